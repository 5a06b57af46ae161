"""Access to a server: allowed addresses, certificates and token."""

import ipaddress
import os
import re
import shlex
import ssl
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import printable

INSTALL = 'pip install "nnunet-pancext[dicom]"'
TOKEN_VARIABLE = "PANCEXT_DICOMWEB_TOKEN"
LONGEST_TOKEN = 1 << 16  # bytes
LONGEST_URL = 300  # characters of it in a message


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a connection needs beside the address. The token goes into no message and no log.

    `ca_bundle` replaces the certificate authorities that are trusted. `client_certificate` is a PEM file with
    the certificate and its key, without a password. `allow_http` admits http:// to other machines.
    """

    token: str = field(default="", repr=False)
    token_file: Path | None = None
    ca_bundle: Path | None = None
    client_certificate: Path | None = None
    allow_http: bool = False

    def tls_context(self) -> ssl.SSLContext:
        """Return a context that verifies the server.

        Raises:
            PancextError: a certificate cannot be read.
        """
        if self.ca_bundle is None:
            context = ssl.create_default_context()
        else:
            try:
                context = ssl.create_default_context(cafile=str(self.ca_bundle))
            except (OSError, ValueError) as error:
                raise PancextError(
                    f"--ca-bundle {self.ca_bundle} cannot be used: {_reason(error)}. "
                    "Give a PEM file with the certificate of the authority that signed the server's."
                ) from error
        if self.client_certificate is not None:
            try:
                context.load_cert_chain(self.client_certificate, password="")
            except (OSError, ValueError) as error:
                raise PancextError(
                    f"--client-certificate {self.client_certificate} cannot be used: {_reason(error)}. "
                    "Give a PEM file with the certificate and its key, without a password."
                ) from error
        return context

    def options(self) -> str:
        """Return the options of a command line that mean the same, each after a blank."""
        files = {
            "--token-file": self.token_file,
            "--ca-bundle": self.ca_bundle,
            "--client-certificate": self.client_certificate,
        }
        words = [f" {option} {shlex.quote(str(path))}" for option, path in files.items() if path is not None]
        return "".join(words) + " --allow-http" * self.allow_http


def access_from(
    *,
    token_file: Path | None = None,
    ca_bundle: Path | None = None,
    client_certificate: Path | None = None,
    allow_http: bool = False,
) -> Access:
    """Return the access that the options give; without a file the token is that of the environment.

    Raises:
        PancextError: a file cannot be read, or holds no token or certificate.
    """
    access = Access(
        token=_read_token(token_file),
        token_file=token_file,
        ca_bundle=ca_bundle,
        client_certificate=client_certificate,
        allow_http=allow_http,
    )
    access.tls_context()
    return access


def _read_token(path: Path | None) -> str:
    """Return the token from the file, or else from the environment; empty where there is none."""
    if path is None:
        where, text = TOKEN_VARIABLE, os.environ.get(TOKEN_VARIABLE, "")
        if not text:
            return ""
    else:
        where = f"--token-file {path}"
        try:
            with path.open("rb") as file:
                text = file.read(LONGEST_TOKEN + 1).decode("latin-1")
        except OSError as error:
            raise PancextError(f"{where} cannot be read: {error.strerror}.") from error
    token = text.strip()
    if len(token) > LONGEST_TOKEN or not re.fullmatch(r"[!-~]+", token):
        raise PancextError(f"{where} holds no bearer token. It is one word, without 'Bearer' before it.")
    return token


def parse_url(text: str, *, access: Access) -> SplitResult:
    """Return the parts of a server's URL.

    Raises:
        PancextError: it is not a URL, holds a password or a query, or is without TLS where that is needed.
    """
    shown = shown_url(text)
    try:
        url = urlsplit(text)
        is_url = text.startswith(("https://", "http://")) and bool(url.hostname) and url.port != 0
    except ValueError:
        is_url = False
    if not is_url or not re.fullmatch(r"[!-~]+", text):
        raise PancextError(f"{shown} is not a URL of a server. Give https://HOST/PATH.")
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise PancextError(
            f"The URL {shown} holds more than host and path. Put a token into {TOKEN_VARIABLE} or a file "
            "(--token-file), which no process list shows, and leave out everything from ? or # on."
        )
    if not may_be_asked(text, access=access):
        raise PancextError(
            f"{shown} is without TLS: anyone on the network path could read the patient's images. "
            "Give https://, or add --allow-http in a network that you trust."
        )
    return url


def may_be_asked(url: str, *, access: Access) -> bool:
    """Whether the URL is https, on this machine, or plain http is allowed."""
    parts = urlsplit(url)
    return parts.scheme == "https" or access.allow_http or is_this_machine(parts.hostname or "")


def is_this_machine(host: str) -> bool:
    """Whether the name is that of the loopback interface."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def shown_url(text: str) -> str:
    """Return a URL for messages, without what may be secret: user, password, query and fragment."""
    text = re.split(r"[?#]", text, maxsplit=1)[0]
    return printable(re.sub(r"//.*@", "//", text), most=LONGEST_URL)


def optional_module(name: str) -> Any:
    """Return a module of the extra `dicom`.

    Raises:
        PancextError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.split(".")[0].replace("_", "-")
        raise PancextError(
            f"This needs {package}, an optional package that cannot be imported ({error}). "
            f"Install the extra: {INSTALL}"
        ) from error


def _reason(error: Exception) -> str:
    """Return why a certificate's file cannot be used, in OpenSSL's words where there are any."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not a certificate").replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)

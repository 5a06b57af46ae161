"""Storing a DICOM file in a PACS: by DICOMweb (STOW-RS), or by DICOM's own protocol (C-STORE).

Nothing is changed or removed here: after a failure the file is as it was, and the error names the command
that sends it again.
"""

import re
import shlex
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.dicom_output.access import Access, optional_module, parse_url, shown_url
from nnunet_pancext.dicom_output.dicomweb import PREFIX, open_client
from nnunet_pancext.dicom_output.http_failures import ask
from nnunet_pancext.dicom_output.http_session import STORE_TIMEOUTS_S, BadAnswer
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import printable

CALLING_AET = "PANCEXT"
CONNECT_S, ANSWER_S, STORE_S = 10, 30, 300  # how long C-STORE waits
NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Statuses of C-STORE and failure reasons of STOW-RS (PS3.4 B.2.3, PS3.7 annex C, PS3.18 I.2.2): first, last.
MEANINGS = (
    (0x0110, 0x0110, "an error while it was processed"),
    (0x0111, 0x0111, "it is stored there already"),
    (0x0117, 0x0117, "its SOP instance UID is not valid"),
    (0x0122, 0x0122, "objects of this kind are not accepted"),
    (0x0124, 0x0124, "storing is not permitted"),
    (0xA700, 0xA7FF, "it is out of resources, such as disk space"),
    (0xA900, 0xA9FF, "the content does not match the kind of object"),
    (0xB000, 0xB000, "some elements were changed"),
    (0xB006, 0xB006, "some elements were left out"),
    (0xB007, 0xB007, "the content does not match the kind of object"),
    (0xC000, 0xCFFF, "it cannot be understood"),
)
WARNING = 0xB000  # to 0xBFFF, and 0x0001: stored all the same


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Who receives by C-STORE: its title, host and port."""

    aet: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.aet}@{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse_peer(text: str) -> Peer:
    """Return what `AET@HOST:PORT` names; PancextError if it has another form."""
    match = re.fullmatch(r"([^@\\]+)@(?:\[([0-9A-Fa-f:.]+)\]|([^@:/\s\[\]]+)):(\d{1,5})", text)
    if match is None or not 0 < int(match[4]) < 1 << 16:
        raise PancextError(
            f"{printable(text)} is not a receiver. Give AET@HOST:PORT, as in ORTHANC@10.0.0.5:4242."
        )
    return Peer(aet=require_aet(match[1]), host=match[2] or match[3], port=int(match[4]))


def require_aet(text: str) -> str:
    """Return an application entity title; PancextError if it is none."""
    if not re.fullmatch(r"[ -\[\]-~]{1,16}", text) or not text.strip():
        raise PancextError(
            f"{printable(text)!r} is not an AE title. It has 1 to 16 characters of ASCII, and no backslash."
        )
    return text


def parse_store(text: str, *, access: Access) -> str:
    """Return the URL of the DICOMweb service that `--store` names, with or without /studies at its end.

    Raises:
        PancextError: it has another form, or may not be asked (`parse_url`).
    """
    url = text.removeprefix(PREFIX).rstrip("/")
    parse_url(url, access=access)
    service = url.removesuffix("/studies")
    if re.search(r"/(studies|series|instances)(/|$)", service):
        raise PancextError(
            f"{shown_url(url)} is the address of an object. Give the DICOMweb service: https://HOST/PATH."
        )
    return service


def store(file: Path, url: str, *, access: Access) -> list[str]:
    """Store the file on the DICOMweb server at `url`; return the server's warnings.

    It is sent once: the server may have stored what it failed to confirm.

    Raises:
        PancextError: it is not a DICOM file, or the server did not confirm that it stored it.
    """
    service = parse_store(url, access=access)
    instance = read_object(file)
    client = open_client(service, access=access, timeouts_s=STORE_TIMEOUTS_S)
    again = f"pancext send {shlex.quote(str(file))} --store {shlex.quote(service)}{access.options()}"
    try:
        return ask(
            lambda: _outcome(client, instance), task=f"store {file}", url=service, access=access, attempts=1
        )
    except PancextError as error:
        raise _kept(error, again) from error


def _outcome(client: Any, instance: Any) -> list[str]:
    """Store the instance and return the warnings; BadAnswer unless the server says that it has it."""
    requests = optional_module("requests")
    try:
        answer = client.store_instances([instance])
    except requests.HTTPError as error:
        # With 409 the server says why, object by object.
        for failed in _failed(error.response):
            raise BadAnswer(f"the server did not store it: {failed}", "Its log may say more.") from error
        raise
    for item in answer.get("FailedSOPSequence") or []:
        reason = meaning(item.get("FailureReason"))
        raise BadAnswer(f"the server did not store it: {reason}", "Its log may say more.")
    for item in answer.get("ReferencedSOPSequence") or []:
        if item.get("ReferencedSOPInstanceUID") == instance.SOPInstanceUID:
            reason = item.get("WarningReason")
            return [] if reason is None else [meaning(reason)]
    raise BadAnswer("the server does not confirm that it stored it", "Look whether the PACS shows it.")


def _failed(response: Any) -> list[str]:
    """Return why the objects of an answer were refused; empty where it does not say."""
    pydicom = optional_module("pydicom")
    try:
        answer = pydicom.Dataset.from_json(response.json())
        return [meaning(item.get("FailureReason")) for item in answer.FailedSOPSequence]
    except Exception:  # the answer may be anything
        return []


def send(
    file: Path, peer: str | Peer, *, access: Access, calling_aet: str = CALLING_AET, tls: bool = False
) -> list[str]:
    """Send the file to `AET@HOST:PORT` by C-STORE; return the receiver's warnings.

    Raises:
        PancextError: it is not a DICOM file, or the receiver did not confirm that it stored it.
    """
    peer = parse_peer(peer) if isinstance(peer, str) else peer
    require_aet(calling_aet)
    instance = read_object(file)
    again = f"pancext send {shlex.quote(str(file))} --send {shlex.quote(str(peer))}"
    if calling_aet != CALLING_AET:
        again += f" --calling-aet {shlex.quote(calling_aet)}"
    again += " --tls" * tls + access.options()
    try:
        status = _c_store(
            instance, peer, calling_aet=calling_aet, context=access.tls_context() if tls else None
        )
        if "Status" not in status:
            raise _refusal(peer, "it ended the association before it confirmed", "Its log may say why.")
        code = int(status.Status)
        if code and code != 1 and code & 0xF000 != WARNING:
            raise _refusal(peer, f"it did not store it: {meaning(code)}", "Its log may say more.")
        return [meaning(code)] if code else []
    except PancextError as error:
        raise _kept(error, again) from error


def _c_store(instance: Any, peer: Peer, *, calling_aet: str, context: ssl.SSLContext | None) -> Any:
    """Send the instance and return the receiver's status; PancextError if it accepts no association."""
    pynetdicom = optional_module("pynetdicom")
    address = _reach(peer)
    entity = pynetdicom.AE(ae_title=calling_aet)
    entity.connection_timeout, entity.acse_timeout = CONNECT_S, ANSWER_S
    entity.dimse_timeout, entity.network_timeout = STORE_S, STORE_S
    entity.add_requested_context(instance.SOPClassUID, _syntaxes(instance))
    opened: list[object] = []
    association = entity.associate(
        address,
        peer.port,
        ae_title=peer.aet,
        tls_args=None if context is None else (context, peer.host),
        evt_handlers=[(pynetdicom.evt.EVT_CONN_OPEN, opened.append)],
    )
    if not association.is_established:
        if not opened:
            raise _unreachable(peer, address, context)
        raise _not_accepted(peer, association, has_tls=context is not None)
    try:
        return association.send_c_store(instance)
    except RuntimeError:  # the association has ended meanwhile
        return {}
    except (ValueError, AttributeError) as error:
        reason = f"the file cannot be sent ({printable(str(error), most=200)})"
        raise _refusal(peer, reason, "Check it with dciodvfy.") from error
    finally:
        if association.is_established:
            association.release()


def _reach(peer: Peer) -> str:
    """Return an IP address of the receiver."""
    try:
        found = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _refusal(
            peer, "the name of the host is not known", "Check the name, and the network."
        ) from error
    # IPv4 first, which most archives listen on alone.
    return str(min(found, key=lambda entry: entry[0] != socket.AF_INET)[4][0])


def _syntaxes(instance: Any) -> list[str]:
    """Return the transfer syntaxes to offer: that of the file, and its like without compression."""
    syntax = instance.file_meta.TransferSyntaxUID
    plain = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]  # explicit and implicit, little endian
    return [syntax, *(other for other in plain if other != syntax)] if syntax in plain else [syntax]


def _unreachable(peer: Peer, address: str, context: ssl.SSLContext | None) -> PancextError:
    """Return why no connection was made, by making one: pynetdicom does not say."""
    try:
        with socket.create_connection((address, peer.port), timeout=CONNECT_S) as plain:
            if context is not None:
                with context.wrap_socket(plain, server_hostname=peer.host):
                    pass
    except ssl.SSLCertVerificationError as error:
        return _refusal(
            peer,
            f"its certificate is not accepted ({error.verify_message})",
            "Give the certificate of its authority (--ca-bundle FILE), and the host as it is named there.",
        )
    except (ssl.SSLError, ConnectionResetError):
        return _refusal(
            peer, "there is no TLS at this port, or none that works", "Check the port; try without --tls."
        )
    except ConnectionRefusedError:
        return _refusal(peer, "nothing listens there (connection refused)", "Check host and port.")
    except OSError as error:
        reason = f"there is no connection ({error.strerror or 'timed out'})"
        return _refusal(peer, reason, "Check host, port and network.")
    return _refusal(peer, "the connection broke off", "Try again.")


def _not_accepted(peer: Peer, association: Any, *, has_tls: bool) -> PancextError:
    """Return why the receiver accepts no association."""
    answer = association.acceptor.primitive
    if association.is_rejected:
        reason = f"it rejects the association ({answer.reason_str.lower()})"
        if "called" in reason:
            return _refusal(peer, reason, "Check the AE title before @; upper and lower case differ.")
        if "calling" in reason:
            return _refusal(
                peer, reason, "Have this machine's AE title registered there, or give --calling-aet."
            )
        return _refusal(peer, reason, "Try again later, or ask whoever runs it.")
    if association.rejected_contexts:
        return _refusal(
            peer, "it does not accept objects of this kind", "Ask for its support of Segmentation Storage."
        )
    remedy = "Its log may say why." if has_tls else "It may be no DICOM service, or want TLS: --tls."
    return _refusal(peer, "it accepts no association", remedy)


def read_object(file: Path) -> Any:
    """Return a DICOM file's content; PancextError if it is none that can be stored."""
    pydicom = optional_module("pydicom")
    try:
        instance = pydicom.dcmread(file)
        missing = [name for name in NEEDED if not instance.get(name)]
        if not instance.file_meta.get("TransferSyntaxUID"):
            missing.append("TransferSyntaxUID")
    except OSError as error:
        raise PancextError(f"Cannot read {file}: {error.strerror}. Give a DICOM file.") from error
    except Exception as error:  # pydicom has no common error class
        raise PancextError(f"{file} is not a DICOM file. Give one such as CASE.seg.dcm.") from error
    if missing:
        raise PancextError(
            f"{file} lacks {', '.join(missing)}, without which no PACS stores it. Write it again."
        )
    return instance


def meaning(code: Any) -> str:
    """Return a status or failure reason in words, with its number."""
    if not isinstance(code, int):
        return "no reason is given"
    words = (text for first, last, text in MEANINGS if first <= code <= last)
    return f"{next(words, 'no further reason')} (0x{code:04X})"


def _refusal(peer: Peer, reason: str, remedy: str) -> PancextError:
    return PancextError(f"Cannot send to {peer}: {reason}. {remedy}")


def _kept(error: PancextError, again: str) -> PancextError:
    """Return the error with the command that sends the file again."""
    return PancextError(f"{error}\nThe file is kept. To send it again: {again}")

"""What went wrong between here and a DICOMweb server, in words, and what to do about it."""

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import requests
import urllib3

from nnunet_pancext.dicom_output.access import TOKEN_VARIABLE, Access, shown_url
from nnunet_pancext.dicom_output.http_session import BadAnswer
from nnunet_pancext.errors import PancextError

Result = TypeVar("Result")
ATTEMPTS = 3
WAITS_S = (1.0, 4.0)  # before the second and the third
LATER = "Try again later, or ask its administrator."
CHECK = "Check the address, and that the service runs."
PASSING_STATUS = (408, 429, 502, 503, 504)
STATUS = {
    404: ("there is nothing at this address", "Check the path to the DICOMweb service, and the UIDs."),
    405: ("the server does not offer this", "Check the path to the DICOMweb service."),
    406: ("the server does not offer DICOM here", "Check the path to the DICOMweb service."),
    409: ("the server did not accept it", "Its log says why."),
    413: ("it is too large for the server", "Ask its administrator to raise the limit."),
    415: ("the server does not accept DICOM here", "Check the path to the DICOMweb service."),
    429: ("the server has too many requests", LATER),
    507: ("the server's disk is full", "Ask its administrator."),
}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a request failed, what to do, and whether it may succeed if it is sent again."""

    reason: str
    remedy: str
    passing: bool = False


def ask(
    call: Callable[[], Result], *, task: str, url: str, access: Access, attempts: int = ATTEMPTS
) -> Result:
    """Return what `call` returns; it is tried again where the failure may pass.

    Raises:
        PancextError: it failed; `task` is what could not be done.
    """
    for attempt in range(1, attempts + 1):
        try:
            return call()
        except PancextError:
            raise
        except Exception as error:  # pydicom has no common error class
            failure = failure_of(error, access=access)
            if failure.passing and attempt < attempts:
                time.sleep(WAITS_S[attempt - 1])
                continue
            tried = f" (tried {attempt} times)" if attempt > 1 else ""
            where = shown_url(_url_of(error) or url)
            raise PancextError(
                f"Cannot {task} at {where}: {failure.reason}{tried}. {failure.remedy}"
            ) from error
    raise AssertionError("unreachable")


def failure_of(error: Exception, *, access: Access) -> Failure:
    """Return why a request failed."""
    if isinstance(error, BadAnswer):
        return Failure(reason=str(error), remedy=error.remedy, passing=error.passing)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return _of_status(error.response.status_code, access=access)
    chain = list(_chain(error))
    text = " ".join(map(str, chain))
    if any(isinstance(link, requests.exceptions.SSLError | urllib3.exceptions.SSLError) for link in chain):
        return _of_tls(text)
    if any(isinstance(link, requests.exceptions.ProxyError) for link in chain):
        remedy = "Check HTTPS_PROXY and HTTP_PROXY; NO_PROXY names the hosts that need none."
        return Failure(reason="the proxy does not answer or refuses", remedy=remedy)
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return Failure(reason="it leads to an address that is no URL of a server", remedy=CHECK)
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return Failure(reason="the server redirects again and again", remedy=CHECK)
    if any(isinstance(link, socket.gaierror) for link in chain) or "NameResolution" in text:
        return Failure(reason="the name of the host is not known", remedy="Check the name, and the network.")
    if any(isinstance(link, ConnectionRefusedError) for link in chain) or "Connection refused" in text:
        return Failure(reason="nothing listens there (connection refused)", remedy=CHECK)
    if any(isinstance(link, requests.exceptions.ConnectTimeout) for link in chain):
        return Failure(reason="the host does not answer", remedy=CHECK, passing=True)
    if "timed out" in text:
        return Failure(reason="the server stopped answering", remedy=LATER, passing=True)
    broken = (
        requests.exceptions.ConnectionError,
        requests.exceptions.ChunkedEncodingError,
        urllib3.exceptions.ProtocolError,
        OSError,
    )
    if isinstance(error, requests.exceptions.InvalidJSONError):
        return Failure(reason="the answer is not JSON", remedy="Check the path to the DICOMweb service.")
    if isinstance(error, broken):
        return Failure(reason="the connection broke off", remedy=LATER, passing=True)
    remedy = "Check the path to the DICOMweb service; the server's log may say more."
    return Failure(
        reason=f"the answer is not what DICOMweb prescribes ({type(error).__name__})", remedy=remedy
    )


def _of_status(status: int, *, access: Access) -> Failure:
    """Return what an HTTP status means."""
    if status in (401, 403):
        if access.token:
            what, remedy = "refuses the token", "Get a new one, or ask for the permission."
        else:
            what = "requires a login" if status == 401 else "does not permit it"
            remedy = f"Put a bearer token into {TOKEN_VARIABLE} or a file (--token-file)."
        return Failure(reason=f"the server {what} ({status})", remedy=remedy)
    if status in STATUS:
        reason, remedy = STATUS[status]
    elif status >= 500:
        reason, remedy = "the server failed", LATER
    else:
        reason, remedy = "the server refuses the request", "Check the path to the DICOMweb service."
    return Failure(reason=f"{reason} ({status})", remedy=remedy, passing=status in PASSING_STATUS)


def _of_tls(text: str) -> Failure:
    """Return what an error of OpenSSL means."""
    lower = text.lower()
    if "hostname mismatch" in lower or "doesn't match" in lower or "ip address mismatch" in lower:
        return Failure(
            reason="the server's certificate is for another host name",
            remedy="Give the name that the certificate has.",
        )
    if "has expired" in lower:
        return Failure(
            reason="the server's certificate has expired", remedy="Ask the server's administrator."
        )
    if "certificate_verify_failed" in lower:
        return Failure(
            reason="the server's certificate is not signed by an authority that is trusted here",
            remedy="Ask its administrator for the certificate of its authority: --ca-bundle FILE.",
        )
    if any(sign in lower for sign in ("certificate_required", "handshake_failure", "eof occurred")):
        return Failure(
            reason="the server ends the TLS connection",
            remedy="It may want a certificate of yours: --client-certificate FILE. Else check host and port.",
        )
    return Failure(reason="there is no TLS at this port, or none that works", remedy="Check host and port.")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those behind it, as requests and urllib3 wrap them."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        link = waiting.pop()
        if not isinstance(link, BaseException) or any(link is known for known in seen):
            continue
        seen.append(link)
        yield link
        waiting += [*link.args, getattr(link, "reason", None), link.__cause__, link.__context__]


def _url_of(error: Exception) -> str:
    """Return the URL that failed, which after a redirection is not the one that was asked for."""
    for name in ("response", "request"):
        if url := getattr(getattr(error, name, None), "url", None):
            return str(url)
    return ""

"""HTTP with limits: answers that are endless, too slow, truncated or web pages are errors."""

import time
from collections.abc import Iterator
from email.message import Message
from functools import partial
from typing import Any

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from nnunet_pancext.dicom_output.access import Access, may_be_asked, shown_url
from nnunet_pancext.io.console_text import printable

TIMEOUTS_S = (10, 60)  # to connect, and between two bytes of an answer
# To connect or to take a further megabyte, and until the answer, before which a server may index the object.
STORE_TIMEOUTS_S = (30, 300)
MOST_SECONDS = 1800  # for a whole answer
MOST_LISTED = 1 << 26  # bytes of a list, or of a text about an error
MOST_INSTANCE = 1 << 31  # bytes of an image: an enhanced CT has a gigabyte
MOST_REDIRECTS = 3
CHUNK = 1 << 16
TAIL = 1 << 10  # bytes at the end, among which the mark is that nothing is missing
JSON = ("application/dicom+json", "application/json")
XML = ("application/dicom+xml", "application/xml", "text/xml")
OBJECTS = ("multipart/related", "application/dicom")
WEB_PAGE = "It may be a login page: check the path to the DICOMweb service, and the token."


class BadAnswer(Exception):
    """What the server sent cannot be used; the text says why.

    `passing` is whether another attempt may get a better one.
    """

    def __init__(self, reason: str, remedy: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.remedy, self.passing = remedy, passing


class BearerToken(AuthBase):
    """Sends the token, and drops a login that a .netrc may hold for the host."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class BoundedAdapter(HTTPAdapter):
    """Verifies the server, and bounds the time and the size of each answer."""

    def __init__(self, access: Access, *, timeouts_s: tuple[float, float]) -> None:
        super().__init__()
        self.access, self.timeouts_s = access, timeouts_s

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        """Send a request, of which a redirection makes another.

        Raises:
            BadAnswer: the answer leads to plain http, or is not of DICOMweb.
        """
        url = request.url or ""
        if not may_be_asked(url, access=self.access):
            raise BadAnswer(
                f"it leads to {shown_url(url)}, which is without TLS",
                "Ask for the https:// address of the service.",
            )
        # dicomweb-client sets it, without the port; it would also go with a redirection to another host.
        request.headers.pop("Host", None)
        # Here, since requests would prefer REQUESTS_CA_BUNDLE to what the session says.
        if self.access.ca_bundle is not None:
            options["verify"] = str(self.access.ca_bundle)
        if self.access.client_certificate is not None:
            options["cert"] = str(self.access.client_certificate)
        options["timeout"] = self.timeouts_s
        response = super().send(request, *args, **options)
        media_type, boundary = media_type_of(response)
        bounded = partial(
            bounded_content,
            response,
            most_bytes=MOST_INSTANCE if media_type in OBJECTS else MOST_LISTED,
            end=f"--{boundary}--".encode() if media_type == "multipart/related" and boundary else b"",
        )
        response.iter_content = bounded  # type: ignore[method-assign]  # `content` reads from it too
        if response.ok and not response.is_redirect and response.status_code != 204:
            require_dicomweb(response, media_type)
        if media_type in (*JSON, *XML):  # dicomweb-client does not know it with parameters
            response.headers["Content-Type"] = media_type
        return response


def open_session(access: Access, *, timeouts_s: tuple[float, float] = TIMEOUTS_S) -> Session:
    """Return a session for one server; proxies are those of the environment.

    Raises:
        PancextError: a certificate of `access` cannot be read.
    """
    if access.ca_bundle is not None or access.client_certificate is not None:
        access.tls_context()
    session = Session()
    session.max_redirects = MOST_REDIRECTS
    session.headers["Accept"] = JSON[0]
    if access.token:
        session.auth = BearerToken(access.token)
    for scheme in ("https://", "http://"):
        session.mount(scheme, BoundedAdapter(access, timeouts_s=timeouts_s))
    return session


def media_type_of(response: Response) -> tuple[str, str]:
    """Return the type of an answer, in lower case, and the boundary between its parts; each may be empty."""
    message = Message()
    message["Content-Type"] = response.headers.get("Content-Type", "")
    media_type = message["Content-Type"].split(";")[0].strip().lower()
    return media_type, message.get_boundary() or ""


def require_dicomweb(response: Response, media_type: str) -> None:
    """Raise BadAnswer unless the answer is a list, an object or empty."""
    if media_type in (*JSON, *XML, *OBJECTS) or response.headers.get("Content-Length") == "0":
        return
    response.close()
    is_page = media_type == "text/html"
    kind = "a web page" if is_page else f"{printable(media_type)!r}" if media_type else "without a media type"
    raise BadAnswer(
        f"the answer is {kind}, not DICOM",
        WEB_PAGE if is_page else "Check the path to the DICOMweb service.",
    )


def bounded_content(
    response: Response, chunk_size: int = CHUNK, decode_unicode: bool = False, *, most_bytes: int, end: bytes
) -> Iterator[bytes]:
    """Yield the body of an answer in place of `Response.iter_content`, in chunks of any size.

    Raises:
        BadAnswer: it is longer than `most_bytes`, takes longer than `MOST_SECONDS`, or lacks `end`.
    """
    last = time.monotonic() + MOST_SECONDS
    total, tail = 0, b""
    for chunk in _chunks(response):
        total += len(chunk)
        if total > most_bytes or time.monotonic() > last:
            response.close()
            limit = f"{most_bytes / 2**20:,.0f} MiB" if total > most_bytes else f"{MOST_SECONDS} s"
            raise BadAnswer(
                f"the answer had not ended after {limit}", "Ask the server's administrator what it sends."
            )
        tail = (tail + chunk)[-TAIL:]
        yield chunk
    if end not in tail:
        raise BadAnswer("the answer breaks off in the middle", "Try again.", passing=True)


def _chunks(response: Response) -> Iterator[bytes]:
    """Yield what arrives, as soon as it does, so that the clock is looked at."""
    if not hasattr(response.raw, "read1"):  # urllib3 before 2
        yield from response.raw.stream(CHUNK, decode_content=True)
        return
    while chunk := response.raw.read1(CHUNK, decode_content=True):
        yield chunk

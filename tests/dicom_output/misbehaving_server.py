"""A DICOMweb server with one series, which fails in a chosen way at a chosen step."""

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pydicom
from contracts.dicom_series import MadeSeries

STEPS = {
    "series": r"GET .*/studies/[^/]+/series(\?.*)?",
    "instances": r"GET .*/series/[^/]+/instances(\?.*)?",
    "instance": r"GET .*/instances/[^/?]+",
    "store": r"POST .*/studies",
}
BOUNDARY = "made-boundary"
MULTIPART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
JSON = "application/dicom+json"


class Handler(BaseHTTPRequestHandler):
    """Answers as the server is told to, and otherwise as DICOMweb prescribes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    served: "MisbehavingServer"

    def do_GET(self) -> None:
        self.body = b""
        self.answer()

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = b""
            while size := int(self.rfile.readline(), 16):
                self.body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer()

    def answer(self) -> None:
        step = next(name for name, form in STEPS.items() if re.fullmatch(form, f"{self.command} {self.path}"))
        self.served.asked.append((step, self.path, dict(self.headers)))
        way = self.served.ways.get(step)
        if isinstance(way, list):
            way = way.pop(0) if way else None
        (way or as_prescribed)(self)

    def send(self, content: bytes, media_type: str = JSON, *, status: int = 200, **headers: str) -> None:
        """Send a whole answer."""
        self.send_response(status)
        if media_type:
            self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", headers.pop("length", str(len(content))))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


Way = Callable[[Handler], None]


@dataclass
class MisbehavingServer:
    """`ways` are what it does at each step, once each where they are lists; `asked` is every request."""

    series: MadeSeries
    port: int = 0
    scheme: str = "http"
    ways: dict[str, Way | list[Way]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    stored: list[bytes] = field(default_factory=list)

    @property
    def service(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/pacs"

    @property
    def address(self) -> str:
        return f"dicomweb:{self.service}/studies/{self.series.study_uid}"


def serve(series: MadeSeries, *, tls: ssl.SSLContext | None = None) -> Iterator[MisbehavingServer]:
    """Run a server in a thread until the generator is closed."""
    served = MisbehavingServer(series)
    handler = type("OwnHandler", (Handler,), {"served": served})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that leave
        if tls is not None:
            # The handshake in the connection's thread: a client that refuses it must not stop the server.
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            served.scheme = "https"
        served.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


def uid_of(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def as_prescribed(handler: Handler) -> None:
    """Answer as DICOMweb prescribes."""
    series, step = handler.served.series, handler.served.asked[-1][0]
    first_page = "offset" not in handler.path
    if step == "series":
        listed = [
            {
                "0020000E": {"vr": "UI", "Value": [series.uid]},
                "00080060": {"vr": "CS", "Value": ["CT"]},
                "0008103E": {"vr": "LO", "Value": ["Portal\u2028venous"]},
                "00201209": {"vr": "IS", "Value": [len(series.files)]},
            }
        ]
        handler.send(json.dumps(listed * first_page).encode())
    elif step == "instances":
        listed = [{"00080018": {"vr": "UI", "Value": [uid_of(path)]}} for path in series.files]
        handler.send(json.dumps(listed * first_page).encode())
    elif step == "instance":
        wanted = handler.path.rsplit("/", 1)[1]
        send_file(handler, next(path for path in series.files if uid_of(path) == wanted))
    else:
        handler.served.stored.append(handler.body)
        uid = re.search(rb"1\.2\.826\.0\.1\.3680043[0-9.]+", handler.body[handler.body.index(b"DICM") :])
        assert uid is not None
        handler.send(json.dumps(store_answer(uid[0].decode())).encode())


def store_answer(uid: str, **more: object) -> dict[str, object]:
    """Return the answer to STOW-RS that names an object as stored."""
    return {"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [uid]}, **more}]}}


def parts(content: bytes) -> bytes:
    """Return a multipart body with one part."""
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return head + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def send_file(handler: Handler, path: Path) -> None:
    handler.send(parts(path.read_bytes()), MULTIPART)


def status(code: int) -> Way:
    """A way that answers with a status and a text that must not be shown."""
    return lambda handler: handler.send(b"<secret of the server>", "text/plain", status=code)


def web_page(handler: Handler) -> None:
    handler.send(b"<!doctype html><title>Login</title>", "text/html; charset=utf-8")


def no_json(handler: Handler) -> None:
    handler.send(b"[{", JSON)


def wrong_type(handler: Handler) -> None:
    handler.send(b"GIF89a", "image/gif")


def no_type(handler: Handler) -> None:
    handler.send(b"something", "")


def closes(handler: Handler) -> None:
    """End the connection without an answer."""
    handler.close_connection = True


def hangs(handler: Handler) -> None:
    """Say nothing for longer than anybody waits."""
    time.sleep(1.5)
    handler.close_connection = True


def hangs_midway(handler: Handler) -> None:
    handler.send(b"[", JSON, length="1000")
    hangs(handler)


def cut_short(handler: Handler) -> None:
    """Send less than the header announces."""
    handler.send(b"[", JSON, length="1000")
    handler.close_connection = True


def cut_chunk(handler: Handler) -> None:
    """End in the middle of a chunk."""
    handler.send_response(200)
    handler.send_header("Content-Type", MULTIPART)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"400\r\nabc")
    handler.close_connection = True


def without_end(handler: Handler) -> None:
    """Send half of an instance without announcing its length."""
    content = parts(handler.served.series.files[0].read_bytes())
    handler.send_response(200)
    handler.send_header("Content-Type", MULTIPART)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])
    handler.close_connection = True


def _endless(piece: bytes, *, pause_s: float) -> Way:
    def send(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", JSON)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        while True:
            handler.wfile.write(piece)
            time.sleep(pause_s)

    return send


endless = _endless(b" " * 65536, pause_s=0)
drops = _endless(b" ", pause_s=0.02)


def redirects(to: str) -> Way:
    return lambda handler: handler.send(b"", "", status=307, Location=to)


def in_a_circle(handler: Handler) -> None:
    handler.send(b"", "", status=307, Location=handler.path)


def not_dicom(handler: Handler) -> None:
    handler.send(parts(b"no DICOM at all"), MULTIPART)


def another_instance(handler: Handler) -> None:
    wanted = handler.path.rsplit("/", 1)[1]
    send_file(handler, next(path for path in handler.served.series.files if uid_of(path) != wanted))

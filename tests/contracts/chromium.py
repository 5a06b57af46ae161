"""A headless Chromium that tests can ask what a page shows, spoken to by the DevTools protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Page:
    """An open page; `errors` are what the browser complained of."""

    def __init__(self, send: int, receive: int) -> None:
        self.send, self.receive = send, receive
        self.pending, self.number, self.session = b"", 0, ""
        self.errors: list[str] = []
        self.loaded = False

    def print_on_a4(self) -> None:
        """Lay the page out as on paper."""
        self.call("Emulation.setEmulatedMedia", media="print")
        # 96 pixels an inch, less Chromium's margins of 1 cm
        self.call(
            "Emulation.setDeviceMetricsOverride", width=718, height=1047, deviceScaleFactor=1, mobile=False
        )

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def open(self, path: Path) -> None:
        """Load a file and wait until it is shown with all its pictures."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self.loaded:
            self._read()

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.pending:
            part = os.read(self.receive, 1 << 16)
            assert part, "Chromium ended"
            self.pending += part
        text, self.pending = self.pending.split(b"\0", 1)
        message = json.loads(text)
        params = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self.loaded = True
            case "Runtime.exceptionThrown":
                self.errors.append(str(params["exceptionDetails"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.errors.append(params["entry"]["text"])
            case "Network.loadingFailed":
                self.errors.append(params["errorText"])
        return message


@contextmanager
def open_page(path: Path) -> Iterator[Page]:
    """Open a page in Chromium; skip the test where there is none."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(PROGRAMS)} is installed")
    (to_read, to_send), (from_read, from_send) = os.pipe(), os.pipe()

    def as_three_and_four() -> None:
        # First out of the way: either may be 3 or 4 already.
        copies = os.dup(to_read), os.dup(from_send)
        for copy, wanted in zip([os.dup(copy) for copy in copies], (3, 4), strict=True):
            os.dup2(copy, wanted)

    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    browser = subprocess.Popen(
        [program, *arguments, f"--user-data-dir={path.parent / 'chromium'}"],
        preexec_fn=as_three_and_four,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(from_send)
    page = Page(to_send, from_read)
    try:
        page.open(path)
        yield page
    finally:
        page.session = ""
        with suppress(Exception):
            page.call("Browser.close")
        browser.kill()
        browser.wait()
        os.close(to_send)
        os.close(from_read)

"""A headless Chromium that tests can ask what a page shows, spoken to by the DevTools protocol."""

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


class Browser:
    """A Chromium that starts with its first page."""

    def __init__(self, profile: Path) -> None:
        self.profile = profile
        self.process: subprocess.Popen[bytes] | None = None
        self.pending, self.number = b"", 0
        self.pages: dict[str, Page] = {}  # by session

    def start(self) -> None:
        """Start it; skip the test where there is none."""
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if program is None:
            pytest.skip(f"none of {', '.join(PROGRAMS)} is installed")
        (to_read, self.send), (self.receive, from_send) = os.pipe(), os.pipe()

        def as_three_and_four() -> None:
            # First out of the way: either may be 3 or 4 already.
            copies = os.dup(to_read), os.dup(from_send)
            for copy, wanted in zip([os.dup(copy) for copy in copies], (3, 4), strict=True):
                os.dup2(copy, wanted)

        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        self.process = subprocess.Popen(
            [program, *arguments, f"--user-data-dir={self.profile}"],
            preexec_fn=as_three_and_four,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(from_send)

    def call(self, method: str, *, session: str = "", **params: Any) -> dict[str, Any]:
        """Call a method of the protocol, in a page's session if one is given, and return its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def read(self) -> dict[str, Any]:
        """Return the next message, after its page has seen it."""
        while b"\0" not in self.pending:
            part = os.read(self.receive, 1 << 16)
            assert part, "Chromium ended"
            self.pending += part
        text, self.pending = self.pending.split(b"\0", 1)
        message = json.loads(text)
        if page := self.pages.get(message.get("sessionId", "")):
            page.see(message)
        return message

    @contextmanager
    def open(self, path: Path) -> Iterator["Page"]:
        """Show a file with all its pictures, until the block ends."""
        if self.process is None:
            self.start()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session)
        try:
            page.load(path)
            yield page
        finally:
            del self.pages[session]
            self.call("Target.closeTarget", targetId=target)

    def close(self) -> None:
        if self.process is None:
            return
        with suppress(Exception):
            self.call("Browser.close")
        self.process.kill()
        self.process.wait()
        os.close(self.send)
        os.close(self.receive)


class Page:
    """An open page; `errors` are what the browser complained of."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser, self.session = browser, session
        self.errors: list[str] = []
        self.loaded = False

    def load(self, path: Path) -> None:
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self.loaded:
            self.browser.read()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol on this page and return its result."""
        return self.browser.call(method, session=self.session, **params)

    def print_on_a4(self) -> None:
        """Lay the page out as on paper."""
        self.call("Emulation.setEmulatedMedia", media="print")
        # 96 pixels an inch, less Chromium's margins of 1 cm
        self.call(
            "Emulation.setDeviceMetricsOverride", width=718, height=1047, deviceScaleFactor=1, mobile=False
        )

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def see(self, message: dict[str, Any]) -> None:
        """Note what the browser reports of this page."""
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

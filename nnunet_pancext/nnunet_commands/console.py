"""Console output of a long run: lines that stay, and a status that the next line replaces."""

import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

from nnunet_pancext.io.progress_interval import interval_from_environment

INDENT = " " * 6


class Status(str):
    """A line about the present moment, not worth keeping."""


class Console:
    """Prints lines; thread-safe.

    On a terminal the next line overwrites a status. Elsewhere a status is printed only when nothing else was
    for `PANCEXT_PROGRESS_SECONDS`, a minute by default. `indent` is put before each line but headings.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        indent: str = INDENT,
    ) -> None:
        self.stream = stream or sys.stdout
        self.indent = indent
        self.clock = clock
        self.printed_at = clock()
        self.heard_at = clock()
        self.has_news = False  # a status was given since the last line that stays
        self.pipe_interval_s = interval_from_environment()
        self.has_status = False
        self.lock = threading.Lock()

    def heading(self, text: str) -> None:
        """Print a line that stays, after an empty one."""
        with self.lock:
            self._print(f"\n{text}")

    def say(self, text: str) -> None:
        """Print an indented line, which stays unless it is a `Status`."""
        with self.lock:
            self.heard_at = self.clock()
            if isinstance(text, Status):
                self._show_status(text)
                self.has_news = True
            else:
                self._print(self.indent + text)

    def heartbeat(self, text: str, *, after_s: float) -> None:
        """Show a status after `after_s` seconds of silence, unless there is one with news already."""
        with self.lock:
            if not self.has_news and self.clock() - self.heard_at >= after_s:
                self._show_status(text)

    def clear_status(self) -> None:
        """Remove the status, so that other output starts on an empty line."""
        with self.lock:
            self.has_news = False
            if self.has_status:
                self.stream.write("\r\x1b[K")
                self.stream.flush()
                self.has_status = False

    def _show_status(self, text: str) -> None:
        if self.stream.isatty():
            width = shutil.get_terminal_size().columns - 1
            self.stream.write("\r\x1b[K" + (self.indent + text)[:width])
            self.stream.flush()
            self.has_status = True
        elif self.clock() - self.printed_at >= self.pipe_interval_s:
            self._print(self.indent + text)

    def _print(self, text: str) -> None:
        self.stream.write(("\r\x1b[K" if self.has_status else "") + text + "\n")
        self.stream.flush()
        self.has_status = self.has_news = False
        self.printed_at = self.heard_at = self.clock()

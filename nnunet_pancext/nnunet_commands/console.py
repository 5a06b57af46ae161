"""Lines of a long run on the console: those that stay, and a status that the next one replaces."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

from nnunet_pancext.io.progress_interval import interval_from_environment

INDENT = " " * 6


class Status(str):
    """A line that is true only for now."""


class Console:
    """Prints lines; thread-safe.

    On a terminal a status is overwritten by the line after it. Elsewhere one is printed when nothing has been
    for `PANCEXT_PROGRESS_SECONDS`, a minute by default.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream or sys.stdout
        self.clock = clock
        self.printed_at = clock()
        self.heard_at = clock()
        self.pipe_interval_s = interval_from_environment()
        self.has_status = False
        self.lock = threading.Lock()

    def heading(self, text: str) -> None:
        """Print a line that stays, with an empty one before it."""
        with self.lock:
            self._print(f"\n{text}")

    def say(self, text: str) -> None:
        """Print an indented line: for good, or as `Status`."""
        with self.lock:
            self.heard_at = self.clock()
            if not isinstance(text, Status):
                self._print(INDENT + text)
            elif self.stream.isatty():
                width = shutil.get_terminal_size().columns - 1
                self.stream.write("\r\x1b[K" + (INDENT + text)[:width])
                self.stream.flush()
                self.has_status = True
            elif self.clock() - self.printed_at >= self.pipe_interval_s:
                self._print(INDENT + text)

    def clear_status(self) -> None:
        """Take the status away, so that what else is printed begins on an empty line."""
        with self.lock:
            if self.has_status:
                self.stream.write("\r\x1b[K")
                self.stream.flush()
                self.has_status = False

    def silence_s(self) -> float:
        """Return for how many seconds nothing has been said."""
        return self.clock() - self.heard_at

    def _print(self, text: str) -> None:
        self.stream.write(("\r\x1b[K" if self.has_status else "") + text + "\n")
        self.stream.flush()
        self.has_status = False
        self.printed_at = self.heard_at = self.clock()

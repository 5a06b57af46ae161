"""Shows a campaign's status repeatedly, until nothing is running."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import TextIO

from nnunet_pancext.campaign.status.summary import Status

EVERY_S = 10.0
QUIET_LOOKS = 2  # without a running step: it may be watched a moment before it is run
PIPE_WIDTH = 120  # characters
HOME_AND_CLEAR = "\x1b[H\x1b[J"


def watch(
    look: Callable[[], Status],
    show: Callable[[Status], None],
    *,
    pause: Callable[[float], None] | None = None,
) -> Status:
    """Show the status every `EVERY_S` seconds until all is done or nothing runs; return the last one."""
    quiet = 0
    while True:
        status = look()
        show(status)
        quiet = 0 if status.is_active else quiet + 1
        if status.is_done or quiet == QUIET_LOOKS:
            return status
        (pause or time.sleep)(EVERY_S)


@contextmanager
def ended_by_exception() -> Iterator[None]:
    """Let SIGTERM and a closed terminal raise SystemExit, so that `finally` counts; nohup stays in force."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def ending(status: Status) -> str:
    """Return why there is nothing more to watch, and what to do."""
    if status.is_done:
        return "All steps are done."
    return (
        f"Nothing is running, but not all steps are done. Continue with: pancext campaign run {status.folder}"
    )


class Screen:
    """Shows a text that changes: redrawn on a terminal, else printed anew where it differs."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.shown = ""

    @property
    def width(self) -> int:
        """Characters of a line."""
        return get_terminal_size((PIPE_WIDTH, 0)).columns

    def show(self, text: str) -> None:
        """Show the text; on a terminal its end, where it is taller."""
        if self.stream.isatty():
            lines, height = text.split("\n"), get_terminal_size().lines - 1
            if len(lines) > height:
                lines = [f"… {len(lines) - height + 1} lines above", *lines[len(lines) - height + 1 :]]
            print(HOME_AND_CLEAR + "\n".join(lines), file=self.stream, flush=True)
        elif text != self.shown:
            print(f"\n{text}" if self.shown else text, file=self.stream, flush=True)
        self.shown = text

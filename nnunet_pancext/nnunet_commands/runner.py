"""Runs nnU-Net's own commands with their output in a log and short progress on the console."""

import os
import shlex
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.durations import duration_text
from nnunet_pancext.io.progress_interval import VARIABLE as PROGRESS_VARIABLE
from nnunet_pancext.nnunet_commands.command_output import (
    TAIL_LINES,
    command_path,
    last_drawn,
    with_last_lines,
)
from nnunet_pancext.nnunet_commands.console import Console, Status

HEARTBEAT_S = 5
STATUS_INTERVAL_S = "1"  # the console decides how many of a training's lines it shows


@dataclass(frozen=True, kw_only=True)
class CommandRecord:
    """A command that was run: a short title, its exact text, and its duration."""

    title: str
    command: str
    seconds: float


class CommandRunner:
    """Runs commands one after the other and remembers them for the report.

    `logs` is a folder with one log per command, `environment` is added to that of every command, and `steps`
    is the total number of steps, for the headings.
    """

    def __init__(self, *, logs: Path, environment: dict[str, str], steps: int) -> None:
        self.logs = logs
        self.environment = {**os.environ, PROGRESS_VARIABLE: STATUS_INTERVAL_S, **environment}
        self.steps = steps
        self.step = 0
        self.records: list[CommandRecord] = []
        self.console = Console()

    def heading(self, title: str) -> None:
        """Print the heading of the next step."""
        self.step += 1
        self.console.heading(f"[{self.step}/{self.steps}] {title}")

    def skip(self, steps: int, reason: str) -> None:
        """Print why the next `steps` steps are skipped."""
        first, self.step = self.step + 1, self.step + steps
        self.console.heading(f"[{first} to {self.step}/{self.steps}] {reason}")

    def record(self, title: str, words: Iterable[str], seconds: float) -> None:
        """Remember a command for the report."""
        self.records.append(CommandRecord(title=title, command=shlex.join(words), seconds=seconds))

    def run(
        self, title: str, words: list[str], *, progress: Callable[[str], str | None] | None = None
    ) -> None:
        """Run a command, found beside this Python, as the next step; PancextError if it fails.

        `progress` turns a line of output into a line for the console, or None to log it only. Lines that
        become a `Status` are not logged.
        """
        self.heading(title)
        self.console.say(shlex.join(words))
        log = self.logs / f"{self.step}_{words[0]}.txt"
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        start = time.monotonic()
        process = subprocess.Popen(
            command_path(words),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        with log.open("w", encoding="utf-8") as stream, process, _heartbeat(self.console, start):
            try:
                for line in process.stdout or ():
                    text = last_drawn(line)
                    message = progress(text) if progress else None
                    if message:
                        self.console.say(message)
                    if isinstance(message, Status):
                        continue
                    stream.write(line)
                    if text:
                        tail.append(text)
            except BaseException:
                process.terminate()
                raise
            finally:
                self.console.clear_status()
        seconds = time.monotonic() - start
        if code := process.returncode:
            raise PancextError(with_last_lines(f"{words[0]} ended with exit code {code}.", tail, log=log))
        self.console.say(f"done in {duration_text(seconds)}")
        self.record(title, words, seconds)


@contextmanager
def _heartbeat(console: Console, start: float) -> Iterator[None]:
    """Show how long a command has been running, as long as it reports no progress itself."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(1):
            console.heartbeat(f"... {duration_text(time.monotonic() - start)}", after_s=HEARTBEAT_S)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

"""Runs nnU-Net's own commands with their output in a log and a few words of progress on the console."""

from __future__ import annotations

import os
import shlex
import subprocess
import sysconfig
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.reports.html import CommandRecord
from nnunet_pancext.reports.numbers import duration_text

HEARTBEAT_S = 10
TAIL_LINES = 15


class CommandRunner:
    """Runs commands one after the other and remembers them for the report.

    Args:
        logs: folder of one log per command.
        environment: added to the environment of every command.
        steps: how many steps the whole has, for the headings.
    """

    def __init__(self, *, logs: Path, environment: dict[str, str], steps: int) -> None:
        self.logs = logs
        self.environment = {**os.environ, **environment}
        self.steps = steps
        self.step = 0
        self.records: list[CommandRecord] = []

    def heading(self, title: str) -> None:
        """Print the heading of the next step."""
        self.step += 1
        print(f"\n[{self.step}/{self.steps}] {title}", flush=True)

    def record(self, title: str, words: Iterable[str], seconds: float) -> None:
        """Remember a command for the report."""
        self.records.append(CommandRecord(title=title, command=shlex.join(words), seconds=seconds))

    def run(
        self, title: str, words: list[str], *, progress: Callable[[str], str | None] | None = None
    ) -> None:
        """Run the command `words` as the next step.

        Args:
            title: of the step.
            words: the command's name, found beside this Python, and its arguments.
            progress: turns a line of output into a line for the console, or None to keep it in the log only.

        Raises:
            PancextError: the command failed; the end of its output is in the message.
        """
        self.heading(title)
        print(f"      {shlex.join(words)}", flush=True)
        log = self.logs / f"{self.step}_{words[0]}.txt"
        start = time.monotonic()
        with log.open("w", encoding="utf-8") as stream:
            code, tail = self._stream(words, stream.write, progress or (lambda line: None), start)
        seconds = time.monotonic() - start
        if code:
            raise PancextError(
                f"{words[0]} ended with exit code {code}. Its last lines (all of them in {log}):\n"
                + "".join(f"  | {line}\n" for line in tail)
            )
        print(f"      done in {duration_text(seconds)}", flush=True)
        self.record(title, words, seconds)

    def _stream(
        self,
        words: list[str],
        write: Callable[[str], object],
        progress: Callable[[str], str | None],
        start: float,
    ) -> tuple[int, list[str]]:
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        process = subprocess.Popen(
            [str(Path(sysconfig.get_path("scripts")) / words[0]), *words[1:]],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        with process, _Heartbeat(start) as heartbeat:
            try:
                for line in process.stdout or ():
                    write(line)
                    text = line.rstrip().rsplit("\r", 1)[-1]
                    if text:
                        tail.append(text)
                    shown = progress(text)
                    if shown:
                        heartbeat.say(shown)
            except BaseException:
                process.terminate()
                raise
        return process.returncode, list(tail)


class _Heartbeat:
    """Says how long a command has been running whenever it has been silent for a while."""

    def __init__(self, start: float) -> None:
        self.start = start
        self.last = time.monotonic()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> _Heartbeat:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.thread.join()

    def say(self, text: str) -> None:
        """Print a line of progress."""
        self.last = time.monotonic()
        print(f"      {text}", flush=True)

    def _beat(self) -> None:
        while not self.ended.wait(1):
            if time.monotonic() - self.last >= HEARTBEAT_S:
                self.say(f"... {duration_text(time.monotonic() - self.start)}")

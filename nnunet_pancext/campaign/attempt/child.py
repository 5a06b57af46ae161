"""A command as a child that does not outlive this process, with its output in a log."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from nnunet_pancext.nnunet_commands.command_output import TAIL_LINES, command_path, last_drawn

MARK = "PANCEXT_CAMPAIGN_STEP"  # in the environment of the child and of all that it starts
LONGEST_BYTES = 1 << 16  # of what is read at once: a progress bar is one line of any length
TICK_S = 0.05
GONE_S = 10.0  # for the kernel to end what was killed
# Run before the command, since no Python code may run between fork and exec: the kernel kills the child when
# its parent dies, also after exec.
WITH_PARENT = """\
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class Child:
    """A running command in a session of its own; its output is appended to `log`.

    It must be created in the main thread: Linux ends it with the thread that did. A log that cannot be
    written does not stop it.

    Attributes:
        exit_code: None while it runs, negative after a signal.
        ended: set when it has ended. A signal handler must not wait for it: `exit_code` is set before.
        tail: the last lines of its output.
        log_error: why the log is not whole; "" if it is.
    """

    def __init__(self, words: Sequence[str], *, environment: Mapping[str, str], log: Path, mark: str) -> None:
        command = command_path(words)
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", WITH_PARENT, str(os.getpid()), *command]
        self.mark = mark
        self.log = log
        self.log_error = ""
        self.exit_code: int | None = None
        self.ended = threading.Event()
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._process = subprocess.Popen(
            command,
            env={**environment, "PYTHONUNBUFFERED": "1", MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        # Threads wait, so that a signal handler may interrupt the main thread anywhere.
        self._reader = threading.Thread(target=self._copy_output, daemon=True)
        self._reader.start()
        threading.Thread(target=self._await_end, daemon=True).start()

    def _await_end(self) -> None:
        self.exit_code = self._process.wait()
        self.ended.set()

    def _copy_output(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for content in iter(lambda: output.readline(LONGEST_BYTES), b""):
                line = last_drawn(content.decode("utf-8", errors="replace"))
                if line:
                    self.tail.append(line)
                self.log_error = append_line(self.log, line) or self.log_error

    def end(self, *, grace_s: float) -> None:
        """End the command with SIGTERM, and with SIGKILL if it still runs after `grace_s` seconds."""
        if grace_s > 0:
            self._process.send_signal(signal.SIGTERM)
            self._wait(grace_s)
        if self.exit_code is None:
            self._process.kill()
            self._wait(GONE_S)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self.exit_code is None and time.monotonic() < until:
            time.sleep(TICK_S)

    def close(self) -> None:
        """End what the command has started and left behind, and wait for the rest of its output."""
        end_leftovers(self.mark)
        until = time.monotonic() + GONE_S
        while self._reader.is_alive() and time.monotonic() < until:
            time.sleep(TICK_S)


def append_line(log: Path, line: str) -> str:
    """Append a line to a log; return why it could not be written, or ""."""
    try:
        with log.open("ab", buffering=0) as stream:
            stream.write(line.encode("utf-8", errors="replace") + b"\n")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def end_leftovers(mark: str) -> None:
    """Kill every process of this machine whose mark starts with this one, and wait for their end."""
    until = time.monotonic() + GONE_S
    while (found := _marked(mark)) and time.monotonic() < until:
        for process in found:
            try:
                process.kill()
            except (psutil.Error, OSError):
                continue
        psutil.wait_procs(found, timeout=1)


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            is_left = (
                process.environ().get(MARK, "").startswith(mark) and process.status() != psutil.STATUS_ZOMBIE
            )
        except (psutil.Error, OSError):
            continue  # another user's, or gone meanwhile
        if is_left and process.pid != os.getpid():
            found.append(process)
    return found

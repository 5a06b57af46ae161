"""Conversions in processes of their own, which a test may kill at any time.

A server that has imported everything forks for each of them: a run is nothing but conversion, and no second
is lost in starting Python.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

SERVER = """
import importlib, json, os, sys, traceback
from pathlib import Path
import nnunetv2.utilities.crossval_split
for name in ("msd", "nih"):
    importlib.import_module(f"nnunet_pancext.dataset_conversion.{name}")
print("ready", flush=True)
for line in sys.stdin:
    layout, sources, options = json.loads(line)
    child = os.fork()
    if not child:
        try:
            module = importlib.import_module(f"nnunet_pancext.dataset_conversion.{layout}")
            options["raw_root"] = Path(options["raw_root"])
            getattr(module, f"convert_{layout}")(*map(Path, sources), show_progress=False, **options)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class ConversionServer:
    """Runs one conversion at a time; a context manager."""

    def __init__(self, *, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self._answer() == "ready"

    def run(
        self, layout: str, *sources: Path, kill_when: Callable[[], bool] = lambda: False, **options: Any
    ) -> int:
        """Convert and return the wait status: 0, or SIGKILL if `kill_when` came true before the end.

        `kill_when` is asked all the time.
        """
        assert self.process.stdin is not None
        job = [layout, list(map(str, sources)), {name: to_json(value) for name, value in options.items()}]
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        child = int(self._answer())
        # A child that has ended stays a zombie until the server's waitpid, which may be at once.
        while is_running(child):
            if kill_when():
                with suppress(ProcessLookupError):  # it may be done just before
                    os.kill(child, signal.SIGKILL)
                break
        return int(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __enter__(self) -> ConversionServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.communicate()


def is_running(process: int) -> bool:
    """Say whether the process is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def to_json(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value

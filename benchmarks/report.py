"""What the benchmarks share: their command lines, processes of their own, and tables in Markdown."""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version
from pathlib import Path


def command_line(description: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help shows a script's docstring as written."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)


def machine(*packages: str, notes: tuple[str, ...] = ()) -> str:
    """Return the date, the processors, notes and the versions of packages, in one line."""
    processors = f"{os.cpu_count()} processors {platform.machine()}"
    return ", ".join(
        [str(date.today()), processors, *notes, *(f"{name} {version(name)}" for name in packages)]
    )


def measure_alone(
    script: str, *words: object, options: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Run a script in a process of its own, for its peak memory; return the JSON on its last line."""
    command = [sys.executable, *options, str(Path(__file__).with_name(script)), *map(str, words)]
    done = subprocess.run(command, env={**os.environ, **(environment or {})}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def memory_mb(entry: str) -> float:
    """Return an entry of Linux's status of this process: VmRSS in use now, VmHWM at its peak.

    The peak that `getrusage` gives may be that of the process which started this one.
    """
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{entry}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {entry} in /proc/self/status: memory is measured on Linux alone")


def forget_peak() -> None:
    """Let the peak memory of this process begin anew with what is in use now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def print_table(title: str, rows: list[list[str]], heading: list[str]) -> None:
    """Print a table in Markdown."""
    print(f"\n### {title}\n")
    for row in (heading, ["---"] * len(heading), *rows):
        print("| " + " | ".join(row) + " |", flush=True)

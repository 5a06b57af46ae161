"""Prints the first tables of benchmarks/README.md: ratios, each pair measured alternately in one run.

These are the non-local block, a training step against MONAI's and the start-up cost; the other tables have
scripts of their own.

python benchmarks/run.py
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import sysconfig
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median

from report import print_table

HERE = Path(__file__).parent
ROUNDS = 3
STARTS = 21
# Memory that is freed goes back at once, so that the peak is what was in use.
ENVIRONMENT = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}


def child(script: str, *arguments: object, options: tuple[str, ...] = ()) -> dict[str, float]:
    """Run a script of this folder and return the JSON on its last line."""
    words = [sys.executable, *options, str(HERE / script), *map(str, arguments)]
    output = subprocess.run(words, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def compare(workload: str, kinds: list[str], size: int) -> list[list[str]]:
    """Measure each of `kinds` in turn, several rounds, and return rows of ratios to the first."""
    rounds = [{kind: child("workloads.py", workload, kind, size) for kind in kinds} for _ in range(ROUNDS)]
    rows = []
    for kind in kinds:
        seconds, megabytes = (median(turn[kind][key] for turn in rounds) for key in ("seconds", "megabytes"))
        time_ratio, memory_ratio = (
            median(turn[kind][key] / turn[kinds[0]][key] for turn in rounds)
            for key in ("seconds", "megabytes")
        )
        rows.append([kind, f"{seconds:.3f}", f"{megabytes:.0f}", f"{time_ratio:.2f}", f"{memory_ratio:.3f}"])
    return rows


def main() -> None:
    """Run everything; about ten minutes on two processors."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "monai", "nnunetv2"))
    machine = f"{os.cpu_count()} processors {platform.machine()}, Python {platform.python_version()}"
    print(f"{date.today()}, {machine}, {versions}")
    heading = ["", "seconds", "MB", "time ratio", "memory ratio"]
    for positions in (3920, 7840, 15680):
        rows = compare("non_local", ["naive", "sdpa"], positions)
        print_table(f"Non-local block, N = {positions}, C = 256, forward and backward", rows, heading)
    for dims, size in ((2, "4 x 128 x 128, 32 filters"), (3, "1 x 32 x 96 x 96, 16 filters")):
        rows = compare("training_step", ["monai", "0", "2"], dims)
        rows = [
            ["MONAI SegResNet", *rows[0][1:]],
            *([f"SegResNetNL, {row[0]} blocks", *row[1:]] for row in rows[1:]),
        ]
        print_table(f"Training step in {dims}D, {size}", rows, heading)
    rows = []
    for command in ("python", "nnUNetv2_train"):
        arguments = (command, sysconfig.get_paths()["purelib"])
        starts = [child("startup.py", *arguments, options=("-I", "-S")) for _ in range(STARTS)]
        times = [start["milliseconds"] for start in starts]
        rows.append([command, f"{median(times):.1f}", f"{max(times):.1f}"])
    print_table("Start-up cost of the plugin", rows, ["command", "median ms", "largest ms"])


if __name__ == "__main__":
    main()

"""Prints the first tables of benchmarks/README.md, with ratios of workloads measured alternately.

They are on the non-local block, a training step compared with MONAI's, and the start-up cost; each other
table has a script of its own.

python benchmarks/run.py
"""

import platform
import sysconfig
from statistics import median

from report import machine, measure_alone, print_table

ROUNDS = 3
STARTS = 21
# Freed memory is returned at once, so that the peak is the memory in use.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536"}


def compare(workload: str, kinds: list[str], size: int) -> list[list[str]]:
    """Measure each of `kinds` in turn, several rounds, and return rows of ratios to the first."""
    rounds = [
        {kind: measure_alone("workloads.py", workload, kind, size, environment=ENVIRONMENT) for kind in kinds}
        for _ in range(ROUNDS)
    ]
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
    print(machine("torch", "monai", "nnunetv2", notes=(f"Python {platform.python_version()}",)))
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
        starts = [
            measure_alone("startup.py", *arguments, options=("-I", "-S"), environment=ENVIRONMENT)
            for _ in range(STARTS)
        ]
        times = [start["milliseconds"] for start in starts]
        rows.append([command, f"{median(times):.1f}", f"{max(times):.1f}"])
    print_table("Start-up cost of the plugin", rows, ["command", "median ms", "largest ms"])


if __name__ == "__main__":
    main()

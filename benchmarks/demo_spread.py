"""Prints the Dice of `pancext demo` over seeds and CPU instruction sets.

python benchmarks/demo_spread.py                                seeds 0 to 3 under three instruction sets
python benchmarks/demo_spread.py --seeds 4 5 6 7 --sets own     further seeds
python benchmarks/demo_spread.py --jobs 2                       two demos at once, with a thread each

PyTorch and oneDNN choose their kernels by CPU, so that one seed gives different networks on different
machines. `ATEN_CPU_CAPABILITY` and `ONEDNN_MAX_CPU_ISA` let one machine act as older ones. A row is printed
as soon as it is known.
"""

import csv
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean, stdev

import report
import torch
from report import command_line, print_table

INSTRUCTION_SETS = {
    "own": {},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "SSE4.1": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """The result of one demo: Dice by test case, and the time it took."""

    seed: int
    instruction_set: str
    dice: list[float]
    seconds: float

    def row(self) -> list[str]:
        """Return the run as cells of the table."""
        cells = [mean(self.dice), min(self.dice)]
        return [
            str(self.seed),
            self.instruction_set,
            *(f"{cell:.3f}" for cell in cells),
            f"{self.seconds / 60:.1f}",
        ]


def run_demo(seed: int, instruction_set: str, *, threads: int | None, options: Sequence[str]) -> Run:
    """Run the demo as a user does, and read its table.

    Raises:
        RuntimeError: the demo failed; the message has the end of its output.
    """
    environment = {**os.environ, **INSTRUCTION_SETS[instruction_set], "PANCEXT_SEED": str(seed)}
    if threads is not None:
        environment |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        command = Path(sysconfig.get_path("scripts")) / "pancext"
        done = subprocess.run(
            [command, "demo", "--out", folder, *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(
                f"the demo with seed {seed} under {instruction_set} failed:\n{done.stdout[-2000:]}"
            )
        with (Path(folder) / "metrics.csv").open(encoding="utf-8", newline="") as table:
            dice = [float(row["dice"]) for row in csv.DictReader(table)]
    return Run(seed=seed, instruction_set=instruction_set, dice=dice, seconds=time.monotonic() - start)


def summary(runs: Sequence[Run]) -> str:
    """Return mean, standard deviation, worst and best of the runs' mean Dice."""
    values = [mean(run.dice) for run in runs]
    spread = f", SD {stdev(values):.3f}" if len(values) > 1 else ""
    return (
        f"{len(values)} runs: mean {mean(values):.3f}{spread}, worst {min(values):.3f}, "
        f"best {max(values):.3f}"
    )


def machine() -> str:
    """Return the date, the machine and the versions."""
    own = torch.backends.cpu.get_cpu_capability()
    note = "" if "AVX512" in own else "; own and AVX2 coincide here"
    notes = (f"own instruction set {own}{note}", f"Python {platform.python_version()}")
    return report.machine("torch", "nnunetv2", notes=notes)


def main() -> None:
    """Run the demos and print the table."""
    parser = command_line(__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--sets", nargs="+", choices=INSTRUCTION_SETS, default=list(INSTRUCTION_SETS))
    parser.add_argument("--jobs", type=int, default=1, help="demos at once, with a thread each if several")
    parsed, options = parser.parse_known_args()
    print(machine(), flush=True)
    pairs = list(product(parsed.sets, parsed.seeds))
    threads = None if parsed.jobs == 1 else 1

    def run(pair: tuple[str, int]) -> Run:
        done = run_demo(pair[1], pair[0], threads=threads, options=options)
        print(*done.row(), file=sys.stderr, flush=True)
        return done

    with ThreadPoolExecutor(parsed.jobs) as pool:
        runs = list(pool.map(run, pairs))
    heading = ["seed", "instruction set", "mean Dice", "worst case", "minutes"]
    print_table("Dice of the demo's test cases", [run.row() for run in runs], heading)
    print(f"\n{summary(runs)}")


if __name__ == "__main__":
    main()

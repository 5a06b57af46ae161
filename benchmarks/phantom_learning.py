"""Prints the held-out Dice on the phantom of each trainer and of stock nnU-Net, after equal iterations.

python benchmarks/phantom_learning.py                 every trainer, about four minutes each on two processors
python benchmarks/phantom_learning.py --trainers nnUNetTrainerBaseline DLKUNetSTrainer

Each trainer goes the way of `pancext demo`: the same phantoms, plan, patch, split, seed and postprocessing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import tempfile
from datetime import date
from importlib.metadata import version
from pathlib import Path

from report import print_table

from nnunet_pancext.demo.pipeline import DEFAULT_EPOCHS, ITERATIONS_PER_EPOCH, run_demo
from nnunet_pancext.evaluation.scores import mean_dice
from nnunet_pancext.trainers import list_trainers

BASELINE = "nnUNetTrainerBaseline"
LABEL = "pancreas"


def held_out_dice(trainer: str, configuration: str, epochs: int) -> float:
    """Return the mean held-out Dice of the demo with this trainer."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        result = run_demo(
            out=Path(folder) / "demo", trainer=trainer, configuration=configuration, epochs=epochs
        )
    return mean_dice(result.scores, LABEL)


def main() -> None:
    """Print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--trainers", nargs="+", metavar="NAME", help="default: all; the first is compared with"
    )
    parser.add_argument("--configuration", choices=("2d", "3d_fullres"), default="2d")
    parser.add_argument("--epochs", type=int, default=DEFAULT_EPOCHS)
    options = parser.parse_args()
    trainers = options.trainers or [BASELINE, *(name for name in list_trainers() if name != BASELINE)]
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "nnunetv2"))
    print(f"{date.today()}, {os.cpu_count()} processors {platform.machine()}, {versions}", flush=True)
    rows = []
    for trainer in trainers:
        dice = held_out_dice(trainer, options.configuration, options.epochs)
        difference = dice - float(rows[0][1]) if rows else 0.0
        rows.append([trainer, f"{dice:.3f}", f"{difference:+.3f}"])
        print(*rows[-1], flush=True)
    iterations = options.epochs * ITERATIONS_PER_EPOCH
    print_table(
        f"Held-out Dice after {iterations} iterations, {options.configuration}",
        rows,
        ["", "Dice", f"against {trainers[0]}"],
    )


if __name__ == "__main__":
    main()

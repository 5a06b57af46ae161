"""Prints the Dice on new phantoms of DLKUNet in both readings of the paper's block, over seeds.

python benchmarks/dlkunet_form.py                       S and L, three seeds: 12 trainings
python benchmarks/dlkunet_form.py --sizes S --jobs 2    two trainings at once, with a thread each

Eq. 2 ends the second half of a block's convolutions with a norm, the text with a ReLU. Both networks have
the paper's full width and equally many parameters. Each is trained as in `phantom_learning.py`.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean, stdev

from phantom_learning import LESION, cells, make_new_cases, silence, train_and_score
from report import command_line, machine, print_table

FORMS = {"Eq. 2": False, "second ReLU": True}  # and whether they have the ReLU
LABELS = "pancreas+tumour"
EPOCHS, ITERATIONS_PER_EPOCH = 20, 20
# nnU-Net finds a trainer in the folders of nnUNet_extTrainer.
TRAINER = """from nnunet_pancext.trainers import find_trainer

BASE = find_trainer("DLKUNet{size}Trainer_{epochs}epochs_{iterations}iterations")


class {name}(BASE):
    network_options = {{**BASE.network_options, "second_relu": {second_relu}}}
"""


@dataclass(frozen=True)
class Run:
    """One training."""

    size: str
    form: str
    seed: int

    def dice(self, threads: int | None) -> tuple[list[str], float]:
        """Return the cells of the table with the scores of the new phantoms, and the minutes taken."""
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            name = f"DLKUNet{self.size}{self.form.replace(' ', '').replace('.', '')}Trainer"
            options = {"size": self.size, "epochs": EPOCHS, "iterations": ITERATIONS_PER_EPOCH, "name": name}
            text = TRAINER.format(**options, second_relu=FORMS[self.form])
            (Path(folder) / "trainer").mkdir()
            (Path(folder) / "trainer" / f"{name.lower()}.py").write_text(text, encoding="utf-8")
            os.environ |= {
                "nnUNet_extTrainer": str(Path(folder) / "trainer"),
                "PANCEXT_SEED": str(self.seed),
            }
            if threads is not None:
                os.environ |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
            with silence():
                cases, labels = make_new_cases(Path(folder), LABELS)
            case_scores = train_and_score(name, cases, labels, configuration="2d", label_choice=LABELS)
        return cells(case_scores, list(labels)), (time.monotonic() - start) / 60


def spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation."""
    return f"{mean(values):.3f} ± {stdev(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def main() -> None:
    """Train, print each run as soon as it is finished, then the tables."""
    parser = command_line(__doc__)
    parser.add_argument("--sizes", nargs="+", choices=("S", "M", "L"), default=["S", "L"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--jobs", type=int, default=1, help="trainings at once, with a thread each if several"
    )
    options = parser.parse_args()
    print(machine("torch", "nnunetv2"), flush=True)
    threads = None if options.jobs == 1 else 1
    runs = [Run(size, form, seed) for seed, size, form in product(options.seeds, options.sizes, FORMS)]
    scores: dict[Run, list[str]] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context, max_tasks_per_child=1) as pool:
        waiting = {pool.submit(run.dice, threads): run for run in runs}
        for done in as_completed(waiting):
            run = waiting[done]
            scores[run], minutes = done.result()
            print(run.size, run.form, run.seed, *scores[run], f"{minutes:.0f}", file=sys.stderr, flush=True)
    heading = ["", "form", "seed", "Dice, pancreas", f"Dice, {LESION}", "lesions detected"]
    rows = [
        [f"DLKUNet-{run.size}", run.form, str(run.seed), *scores[run]] for run in sorted(scores, key=repr)
    ]
    iterations = EPOCHS * ITERATIONS_PER_EPOCH
    print_table(f"New phantoms after {iterations} iterations", rows, heading)
    by_form: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for run in runs:
        by_form[run.size, run.form].append([float(cell) for cell in scores[run][:2]])
    rows = [
        [f"DLKUNet-{size}", form, *map(spread, zip(*values, strict=True))]
        for (size, form), values in by_form.items()
    ]
    print_table(f"Mean ± SD over {len(options.seeds)} seeds", rows, ["", "form", *heading[3:5]])


if __name__ == "__main__":
    main()

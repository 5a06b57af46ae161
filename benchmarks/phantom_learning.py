"""Prints the Dice of each trainer and of stock nnU-Net on new phantoms, after equally many iterations.

python benchmarks/phantom_learning.py                 every trainer, 5 to 20 minutes each on two processors
python benchmarks/phantom_learning.py --trainers nnUNetTrainerBaseline DLKUNetSTrainer
python benchmarks/phantom_learning.py --labels pancreas+tumour --epochs 8 --trainers nnUNetTrainerBaseline ...

Each trainer runs `pancext demo` with more iterations: the same phantoms, plan, patch, split, seed and
postprocessing. Its model then predicts twelve new phantoms.
"""

import contextlib
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from report import command_line, machine, print_table

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.demo.pipeline import (
    DATASET_ID,
    FEW_CASES,
    PHANTOM_SIZE,
    PLANS,
    environment,
    foreground_labels,
    run_demo,
)
from nnunet_pancext.demo.split import CaseFolders, link_cases
from nnunet_pancext.demo.workspace import Workspace
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.folder import evaluate_folder
from nnunet_pancext.evaluation.scores import CaseScores, mean_dice
from nnunet_pancext.phantom import write_phantom_dataset
from nnunet_pancext.trainers import list_trainers

BASELINE = "nnUNetTrainerBaseline"
EPOCHS, ITERATIONS_PER_EPOCH = 3, 100
NEW_CASES = 12
NEW_SEED = 1000  # the demo's phantoms have another
DETECTED = 0.1  # least Dice of a detected lesion
LESION = "cancer"  # its name in MSD's dataset.json


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Suppress all output but the table."""
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def make_new_cases(folder: Path, labels: str) -> tuple[CaseFolders, dict[str, int]]:
    """Return new phantoms in nnU-Net's format with their ground truth, and their labels."""
    source = write_phantom_dataset(folder / "source", cases=NEW_CASES, size=PHANTOM_SIZE, seed=NEW_SEED)
    dataset = convert_msd(source, raw_root=folder / "raw", dataset_id=DATASET_ID, labels=labels)
    cases = link_cases(dataset.training, dataset=dataset.folder, target=folder / "cases")
    return cases, foreground_labels(dataset.folder)


def predict(workspace: Workspace, cases: CaseFolders, target: Path) -> None:
    """Predict the cases with the demo's model and nnU-Net's postprocessing for it."""
    (model,) = workspace.nnunet_folders()["nnUNet_results"].glob("*/*__*__*")
    trainer, _, configuration = model.name.split("__")
    words = ["nnUNetv2_predict", "-i", cases.images, "-o", target / "raw", "-d", DATASET_ID]
    words += ["-c", configuration, "-f", "0", "-tr", trainer, "-p", PLANS, "-device", "cpu", *FEW_CASES]
    postprocessing = model / "fold_0" / "validation" / "postprocessing.pkl"
    apply = ["nnUNetv2_apply_postprocessing", "-i", target / "raw", "-o", target / "final"]
    apply += ["-pp_pkl_file", postprocessing, "-np", "1"]
    for command, *arguments in (words, apply):
        done = subprocess.run(
            [Path(sysconfig.get_path("scripts")) / command, *map(str, arguments)],
            env={**os.environ, **environment(workspace)},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            sys.exit(f"{command} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def train_and_score(
    trainer: str, cases: CaseFolders, labels: dict[str, int], *, configuration: str, label_choice: str
) -> list[CaseScores]:
    """Return the scores of the new cases after the demo with this trainer, named with its suffixes."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo"
        with silence():
            run_demo(out=out, trainer=trainer, configuration=configuration, labels=label_choice, keep=True)
        predict(Workspace(out), cases, Path(folder) / "predictions")
        return evaluate_folder(Path(folder) / "predictions" / "final", cases.labels, labels=labels)


def cells(scores: list[CaseScores], names: list[str]) -> list[str]:
    """Return the mean Dice of each label, and the number of detected lesions."""
    row = [f"{mean_dice(scores, name):.3f}" for name in names]
    if LESION in names:
        dice = [case.labels[LESION].dice for case in scores if case.labels[LESION].truth_volume_ml > 0]
        row.append(f"{sum(value >= DETECTED for value in dice)} of {len(dice)}")
    return row


def main() -> None:
    """Print each row as soon as it is known, then the table."""
    parser = command_line(__doc__)
    parser.add_argument("--trainers", nargs="+", metavar="NAME", help="default: all, stock nnU-Net first")
    parser.add_argument("--configuration", choices=("2d", "3d_fullres"), default="2d")
    parser.add_argument("--labels", choices=("pancreas", "pancreas+tumour"), default="pancreas")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of 100 iterations (default 3)")
    options = parser.parse_args()
    trainers = options.trainers or [BASELINE, *(name for name in list_trainers() if name != BASELINE)]
    print(machine("torch", "nnunetv2"), flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        with silence():
            cases, labels = make_new_cases(Path(folder), options.labels)
        for trainer in trainers:
            start = time.monotonic()
            try:
                scores = train_and_score(
                    f"{trainer}_{options.epochs}epochs_{ITERATIONS_PER_EPOCH}iterations",
                    cases,
                    labels,
                    configuration=options.configuration,
                    label_choice=options.labels,
                )
                row = cells(scores, list(labels))
            except PancextError as error:
                print(f"{trainer}: {error}", file=sys.stderr, flush=True)
                row = ["failed"] * (len(labels) + (LESION in labels))
            rows.append([trainer, *row, f"{(time.monotonic() - start) / 60:.0f}"])
            print(*rows[-1], flush=True)
    heading = ["", *(f"Dice, {name}" for name in labels)] + ["lesions detected"] * (LESION in labels)
    iterations = options.epochs * ITERATIONS_PER_EPOCH
    print_table(
        f"{NEW_CASES} new phantoms after {iterations} iterations, {options.configuration}",
        rows,
        [*heading, "minutes"],
    )


if __name__ == "__main__":
    main()

"""Trains stock nnU-Net and the papers' networks on hard phantoms, in folds, and compares them.

python benchmarks/phantom_study.py WORK                          all of them, hours on two processors
python benchmarks/phantom_study.py WORK --trainers nnUNetTrainerBaseline SegResNetNLTrainer --epochs 4

The phantoms have an organ of low contrast and small lesions. Each trainer has the same plan, patch, seed,
iterations and folds. What is finished in WORK is not done again, and a training that was stopped goes on.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from nnunet_pancext.dataset_conversion.msd import convert_msd
from nnunet_pancext.demo.pipeline import (
    DATASET_ID,
    ITERATIONS_PER_EPOCH,
    PHANTOM_SIZE,
    PLANS,
    environment,
    find_device,
    plan_words,
)
from nnunet_pancext.demo.small_plan import add_small_configuration
from nnunet_pancext.demo.workspace import Workspace
from nnunet_pancext.files import write_json
from nnunet_pancext.phantom.dataset import TASK_FOLDER, write_phantom_dataset

TRAINERS = (
    "nnUNetTrainerBaseline",
    "nnUNetTrainerNonLocal",
    "SegResNetNLTrainer",
    "DLKUNetSTrainer",
    "AttentionUNetTrainer",
    "MultiHeadAttentionUNetTrainer",
    "PancreasTumorCascadeTrainer",
    "CDINSTSegTrainer",
)
CASES = 18
SEED = 2000


def run(words: list[str], *, workspace: Workspace, log: Path) -> None:
    """Run a command with its output in a log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as stream:
        code = subprocess.call(
            [str(Path(sysconfig.get_path("scripts")) / words[0]), *words[1:]],
            env={**os.environ, **environment(workspace)},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    if code:
        sys.exit(f"{' '.join(words)} ended with exit code {code}; see {log}")


def make_dataset(workspace: Workspace, *, configuration: str, folds: int) -> str:
    """Make, plan and preprocess the phantoms, once; return the name of the configuration to train."""
    folders = workspace.nnunet_folders()
    ready = workspace.work / "configuration.txt"
    if ready.is_file():
        return ready.read_text(encoding="utf-8")
    for folder in (workspace.work, *folders.values()):
        folder.mkdir(parents=True, exist_ok=True)
    source = workspace.work / "source" / TASK_FOLDER
    if not source.is_dir():
        write_phantom_dataset(source.parent, cases=CASES, size=PHANTOM_SIZE, seed=SEED, difficulty="hard")
    dataset = convert_msd(
        source,
        raw_root=folders["nnUNet_raw"],
        dataset_id=DATASET_ID,
        labels="pancreas+tumour",
        overwrite=True,
    )
    run(plan_words(configuration), workspace=workspace, log=workspace.logs / "plan.txt")
    preprocessed = folders["nnUNet_preprocessed"] / dataset.folder.name
    if find_device() == "cpu":
        configuration = add_small_configuration(preprocessed / f"{PLANS}.json", configuration)
    cases = sorted(dataset.training)
    parts = [cases[fold::folds] for fold in range(folds)]
    splits = [{"train": [case for case in cases if case not in part], "val": part} for part in parts]
    write_json(preprocessed / "splits_final.json", splits)
    ready.write_text(configuration, encoding="utf-8")
    return configuration


def train(trainer: str, fold: int, *, configuration: str, workspace: Workspace) -> None:
    """Train and validate a fold, or go on with it."""
    (dataset,) = workspace.nnunet_folders()["nnUNet_preprocessed"].iterdir()
    model = workspace.nnunet_folders()["nnUNet_results"] / dataset.name
    folder = model / f"{trainer}__{PLANS}__{configuration}" / f"fold_{fold}"
    if (folder / "validation" / "summary.json").is_file():
        return
    print(f"{trainer}, fold {fold}", flush=True)
    words = ["nnUNetv2_train", str(DATASET_ID), configuration, str(fold), "-tr", trainer]
    words += ["-device", find_device()]
    if any(folder.glob("checkpoint_*.pth")):
        words.append("--c")
    run(words, workspace=workspace, log=workspace.logs / f"{trainer}_{fold}.txt")


def main() -> None:
    """Train what is not trained yet, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path, metavar="WORK", help="folder of everything, kept")
    parser.add_argument(
        "--trainers", nargs="+", default=TRAINERS, metavar="NAME", help="the first: reference"
    )
    parser.add_argument("--configuration", choices=("2d", "3d_fullres"), default="2d")
    parser.add_argument("--epochs", type=int, default=8, help="of 100 iterations (default 8)")
    parser.add_argument("--folds", type=int, default=3)
    options = parser.parse_args()
    workspace = Workspace(options.work.resolve())
    configuration = make_dataset(workspace, configuration=options.configuration, folds=options.folds)
    named = [f"{name}_{options.epochs}epochs_{ITERATIONS_PER_EPOCH}iterations" for name in options.trainers]
    # Fold by fold, so that a study that is stopped has whole folds of all trainers.
    for fold in range(options.folds):
        for trainer in named:
            train(trainer, fold, configuration=configuration, workspace=workspace)
    os.environ.update(environment(workspace))
    command = Path(sysconfig.get_path("scripts")) / "pancext"
    words = ["compare", str(DATASET_ID), "--trainers", *named, "--configuration", configuration]
    sys.exit(subprocess.call([str(command), *words, "-o", str(workspace.root / "comparison")]))


if __name__ == "__main__":
    main()

"""Trains stock nnU-Net and the papers' networks on hard phantoms with cross-validation, and compares them.

python benchmarks/phantom_study.py WORK                          all of them, hours on two processors
python benchmarks/phantom_study.py WORK --trainers nnUNetTrainerBaseline SegResNetNLTrainer --epochs 8

The phantoms have an organ of low contrast and small lesions. Each trainer has the same plan, patch, seed,
iterations and folds. Without a GPU the batch is two patches of nnU-Net's own size. A rerun skips what
is finished in WORK and continues trainings that were stopped.
"""

import json
import os
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path

from report import command_line

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.demo.pipeline import (
    DATASET_ID,
    PHANTOM_SIZE,
    PLANS,
    environment,
    find_device,
    plan_words,
)
from nnunet_pancext.demo.workspace import Workspace
from nnunet_pancext.io.files import write_json
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
ITERATIONS_PER_EPOCH = 100
CASES = 18
SEED = 2000
CPU_BATCH = 2


def run(words: list[str], *, workspace: Workspace, log: Path) -> None:
    """Run a command with its output in a log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    # Threads that wait actively would slow down a training beside this one.
    quiet = {"OMP_WAIT_POLICY": "PASSIVE", "nnUNet_n_proc_DA": "1"}
    with log.open("w", encoding="utf-8") as stream:
        code = subprocess.call(
            [str(Path(sysconfig.get_path("scripts")) / words[0]), *words[1:]],
            env={**os.environ, **environment(workspace), **quiet},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    if code:
        sys.exit(f"{' '.join(words)} ended with exit code {code}; see {log}")


def make_dataset(workspace: Workspace, *, configuration: str, folds: int) -> str:
    """Write, plan and preprocess the phantoms once; return the configuration to train."""
    request = {"configuration": configuration, "folds": folds}
    record = workspace.work / "dataset.json"
    if record.is_file():
        made = json.loads(record.read_text(encoding="utf-8"))
        if made["asked"] != request:
            sys.exit(f"{workspace.root} holds a study of {made['asked']}, not {request}; give another WORK.")
        return made["configuration"]
    folders = workspace.nnunet_folders()
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
        configuration = add_small_batch(preprocessed / f"{PLANS}.json", configuration)
    cases = sorted(dataset.training)
    parts = [cases[fold::folds] for fold in range(folds)]
    splits = [{"train": [case for case in cases if case not in part], "val": part} for part in parts]
    write_json(preprocessed / "splits_final.json", splits)
    write_json(record, {"asked": request, "configuration": configuration})
    return configuration


def add_small_batch(plans_file: Path, configuration: str) -> str:
    """Add a configuration with a batch that a CPU can train, and return its name."""
    plans = json.loads(plans_file.read_text(encoding="utf-8"))
    name = f"{configuration}_study"
    plans["configurations"][name] = {"inherits_from": configuration, "batch_size": CPU_BATCH}
    write_json(plans_file, plans)
    return name


def train(trainer: str, *, fold: int, configuration: str, workspace: Workspace) -> None:
    """Train and validate a fold, or continue it."""
    (dataset,) = workspace.nnunet_folders()["nnUNet_preprocessed"].iterdir()
    model = workspace.nnunet_folders()["nnUNet_results"] / dataset.name
    folder = model / f"{trainer}__{PLANS}__{configuration}" / f"fold_{fold}"
    if (folder / "validation" / "summary.json").is_file():
        return
    print(f"{datetime.now():%H:%M}  {trainer}, fold {fold}", flush=True)
    words = ["nnUNetv2_train", str(DATASET_ID), configuration, str(fold), "-tr", trainer]
    words += ["-device", find_device()]
    if any(folder.glob("checkpoint_*.pth")):
        words.append("--c")
    run(words, workspace=workspace, log=workspace.logs / f"{trainer}_{fold}.txt")


def main() -> None:
    """Train all that is not trained yet, and compare."""
    parser = command_line(__doc__)
    parser.add_argument("work", type=Path, metavar="WORK", help="folder of all files, kept")
    parser.add_argument(
        "--trainers", nargs="+", default=TRAINERS, metavar="NAME", help="the first is the reference"
    )
    parser.add_argument("--configuration", choices=("2d", "3d_fullres"), default="2d")
    parser.add_argument("--epochs", type=int, default=4, help="of 100 iterations (default 4)")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once (default 1)")
    options = parser.parse_args()
    workspace = Workspace(options.work.resolve())
    configuration = make_dataset(workspace, configuration=options.configuration, folds=options.folds)
    named = [f"{name}_{options.epochs}epochs_{ITERATIONS_PER_EPOCH}iterations" for name in options.trainers]
    # Fold by fold, so that a stopped study has complete folds of all trainers.
    for fold in range(options.folds):
        work = partial(train, fold=fold, configuration=configuration, workspace=workspace)
        with ThreadPoolExecutor(options.jobs) as executor:
            list(executor.map(work, named))
    os.environ.update(environment(workspace))
    command = Path(sysconfig.get_path("scripts")) / "pancext"
    words = ["compare", str(DATASET_ID), "--trainers", *named, "--configuration", configuration]
    sys.exit(subprocess.call([str(command), *words, "-o", str(workspace.root / "comparison")]))


if __name__ == "__main__":
    main()

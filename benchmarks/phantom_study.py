"""Trains stock nnU-Net and the papers' networks on hard phantoms with cross-validation, and compares them.

python benchmarks/phantom_study.py WORK                          all of them, hours on two processors
python benchmarks/phantom_study.py WORK --trainers nnUNetTrainerBaseline SegResNetNLTrainer --epochs 8

The phantoms have an organ of low contrast and small lesions. Each trainer has the same plan, patch, seed,
iterations and folds. Without a GPU the batch is two patches of nnU-Net's own size. WORK is the folder of a
campaign: a rerun skips what is finished and continues trainings that were stopped, and `pancext campaign
status WORK` shows where it is.
"""

import os
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

from report import command_line

from nnunet_pancext.campaign.changes import find_changes, redo
from nnunet_pancext.campaign.definition import SEED, present_versions, write_campaign
from nnunet_pancext.campaign.planning.plan import Request, plan_campaign
from nnunet_pancext.campaign.run import run_campaign
from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.demo.pipeline import DATASET_ID, PHANTOM_SIZE, find_device
from nnunet_pancext.io.files import read_json, write_json
from nnunet_pancext.io.parallel import default_jobs
from nnunet_pancext.nnunet_files.folders import DUTIES, PREPROCESSED, RAW
from nnunet_pancext.nnunet_files.plans_file import DEFAULT_PLANS
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
PHANTOM_SEED = 2000
CPU_BATCH = 2
# Threads that wait actively would slow down a training beside this one.
QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "nnUNet_n_proc_DA": "1"}


def make_dataset(work: Path, *, configuration: str, folds: int, device: str) -> tuple[str, str]:
    """Write, convert and plan the phantoms once; return their dataset and the configuration to train."""
    request = {"configuration": configuration, "folds": folds}
    record = work / "dataset.json"
    if record.is_file():
        made = read_json(record, expect=dict)
        if made["asked"] != request:
            sys.exit(f"{work} holds a study of {made['asked']}, not {request}; give another WORK.")
        return made["dataset"], made["configuration"]
    source = work / "source" / TASK_FOLDER
    if not source.is_dir():
        write_phantom_dataset(
            source.parent, cases=CASES, size=PHANTOM_SIZE, seed=PHANTOM_SEED, difficulty="hard"
        )
    dataset = convert_msd(
        source, raw_root=work / RAW, dataset_id=DATASET_ID, labels="pancreas+tumour", overwrite=True
    )
    command = Path(sysconfig.get_path("scripts")) / "nnUNetv2_plan_and_preprocess"
    subprocess.run([command, "-d", str(DATASET_ID), "--no_pp"], check=True)
    preprocessed = work / PREPROCESSED / dataset.folder.name
    if device == "cpu":
        configuration = add_small_batch(preprocessed / f"{DEFAULT_PLANS}.json", configuration)
    cases = sorted(dataset.training)
    parts = [cases[fold::folds] for fold in range(folds)]
    splits = [{"train": [case for case in cases if case not in part], "val": part} for part in parts]
    write_json(preprocessed / "splits_final.json", splits)
    write_json(record, {"asked": request, "dataset": dataset.folder.name, "configuration": configuration})
    return dataset.folder.name, configuration


def add_small_batch(plans_file: Path, configuration: str) -> str:
    """Add a configuration with a batch that a CPU can train, and return its name."""
    plans = read_json(plans_file, expect=dict)
    name = f"{configuration}_study"
    plans["configurations"][name] = {"inherits_from": configuration, "batch_size": CPU_BATCH}
    write_json(plans_file, plans)
    return name


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
    work, device = options.work.resolve(), find_device()
    folders = {name: str(work / name) for name in DUTIES}
    for folder in folders.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    os.environ.update(folders)
    dataset, configuration = make_dataset(
        work, configuration=options.configuration, folds=options.folds, device=device
    )
    named = [f"{name}_{options.epochs}epochs_{ITERATIONS_PER_EPOCH}iterations" for name in options.trainers]
    request = Request(
        datasets=(dataset,),
        trainers=tuple(named),
        configurations=(configuration,),
        folds=tuple(map(str, range(options.folds))),
        device=device,
        seed=int(os.environ.get(SEED, "0")),
    )
    planned = plan_campaign(request, folders=folders, versions=present_versions())
    campaign = replace(planned, environment={**QUIET, "nnUNet_def_n_proc": str(default_jobs())})
    write_campaign(work, campaign)
    # Here, because several runs cannot do it at the same time.
    if again := redo(campaign, work, find_changes(campaign, work)):
        print(f"Set aside, and done again: {', '.join(again)}", flush=True)
    if device == "cuda":
        sys.exit(run_campaign(work, gpus=options.jobs))
    # Without GPUs a run trains one fold at a time, and several runs share the folds among them.
    command = [str(Path(sysconfig.get_path("scripts")) / "pancext"), "campaign", "run", str(work)]
    others = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(options.jobs - 1)]
    code = run_campaign(work)
    for other in others:
        other.wait()
    sys.exit(code)


if __name__ == "__main__":
    main()

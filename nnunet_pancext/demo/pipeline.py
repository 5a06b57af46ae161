"""The whole pipeline: CTs, conversion, planning, training, prediction, evaluation, report."""

import os
import shutil
import time
from pathlib import Path

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.dataset_conversion.report import ConversionResult
from nnunet_pancext.demo.page import collect_facts, collect_notes, format_table, write_report
from nnunet_pancext.demo.small_plan import add_small_configuration
from nnunet_pancext.demo.split import CaseFolders, Split, link_cases, split_cases
from nnunet_pancext.demo.workspace import Workspace, open_workspace
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.folder import evaluate_folder
from nnunet_pancext.evaluation.scores import mean_dice, write_metrics_csv
from nnunet_pancext.evaluation.targets import FOREGROUND
from nnunet_pancext.figures.overlay import write_overlay
from nnunet_pancext.figures.training import training_charts
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.durations import duration_text
from nnunet_pancext.io.files import link_or_copy, read_json, write_json
from nnunet_pancext.io.parallel import default_jobs
from nnunet_pancext.nnunet_commands import progress
from nnunet_pancext.nnunet_commands.runner import CommandRunner
from nnunet_pancext.nnunet_files.folders import PREPROCESSED, RAW, RESULTS
from nnunet_pancext.nnunet_files.splits_final import SPLITS_FILE
from nnunet_pancext.nnunet_files.training_log import read_training_record
from nnunet_pancext.pages.numbers import score_text
from nnunet_pancext.phantom import write_phantom_dataset

DEFAULT_TRAINER = "SegResNetNLTrainer"
# nnU-Net lowers the learning rate from epoch to epoch: with many short ones it ends near zero, and the result
# no longer depends on the last few batches.
DEFAULT_EPOCHS = 20
ITERATIONS_PER_EPOCH = 30
PHANTOM_CASES = 12
PHANTOM_SIZE = (24, 72, 72)
SEED = 0
# Trainer, configuration, labels, data and device of benchmarks/demo_spread.py.
AS_MEASURED = ("SegResNetNLTrainer_20epochs_30iterations", "2d", "pancreas", None, "cpu")
# Without a GPU every flip costs as much as the prediction itself, and each worker process is slow to start.
FEW_CASES = ["--disable_tta", "-npp", "0", "-nps", "0"]
DATASET_ID = 7
PLANS = "nnUNetPlans"
STEPS = 8


def run_demo(
    *,
    out: Path,
    data: Path | None = None,
    trainer: str = DEFAULT_TRAINER,
    configuration: str = "2d",
    labels: str = "pancreas",
    epochs: int | None = None,
    keep: bool = False,
) -> None:
    """Train and test `trainer` on phantoms, or on the MSD-format folder `data`, and write a report to `out`.

    An earlier demo in `out` is replaced. `data` is a folder or archive laid out as MSD's Task07_Pancreas.
    A trainer of this package without suffixes is shortened to `epochs` of 30 iterations, 20 by default.
    `configuration` is "2d" or "3d_fullres", `labels` "pancreas" (the tumour belongs to it) or
    "pancreas+tumour". `keep` keeps nnU-Net's folders, with the trained model, under `out`/work. Without a GPU
    the patch is smaller than the plan's, to train in minutes. PancextError says what the user can put right.
    """
    start = time.monotonic()
    full_trainer, num_epochs = name_trainer(trainer, epochs)
    workspace = open_workspace(out)
    folders = workspace.nnunet_folders()
    device = find_device()
    as_measured = (full_trainer, configuration, labels, data, device) == AS_MEASURED
    runner = CommandRunner(logs=workspace.logs, environment=environment(workspace), steps=STEPS)

    dataset = make_dataset(runner, workspace, data, labels=labels)
    split = split_cases(dataset.training)
    preprocessed = folders[PREPROCESSED] / dataset.folder.name
    plans_file = preprocessed / f"{PLANS}.json"
    runner.run(
        "nnU-Net plans and preprocesses", plan_words(configuration), progress=progress.planning_progress
    )
    if device == "cpu":
        configuration = add_small_configuration(plans_file, configuration)
    write_json(preprocessed / SPLITS_FILE, split.folds)
    model = folders[RESULTS] / dataset.folder.name / f"{full_trainer}__{PLANS}__{configuration}"
    options = ["-tr", full_trainer, "-device", device]
    runner.run(
        f"train {full_trainer}",
        ["nnUNetv2_train", str(DATASET_ID), configuration, "0", *options],
        progress=progress.TrainingProgress(num_epochs),
    )
    test = link_cases(split.test, dataset=dataset.folder, target=workspace.work / "test")
    folders_and_id = ["-i", str(test.images), "-o", str(workspace.raw_predictions), "-d", str(DATASET_ID)]
    runner.run(
        f"predict {counted(len(split.test), 'case')}",
        ["nnUNetv2_predict", *folders_and_id, "-c", configuration, "-f", "0", *options, *FEW_CASES],
        progress=progress.PredictionProgress(split.test),
    )
    postprocess(runner, workspace, model, split, dataset.folder)
    runner.heading("evaluate and report")
    foreground = foreground_labels(dataset.folder)
    scores = evaluate_folder(workspace.predictions, test.labels, labels=foreground)
    write_metrics_csv(scores, workspace.metrics)
    record = read_training_record(model / "fold_0")
    write_report(
        workspace.report,
        title=f"{trainer} on {'phantoms' if data is None else data.name}",
        facts=collect_facts(
            trainer=full_trainer,
            configuration=configuration,
            plans=read_json(plans_file, expect=dict),
            split=split,
            device=device,
            seed=runner.environment["PANCEXT_SEED"],
        ),
        scores=scores,
        labels=foreground,
        overlays=draw_overlays(workspace, test, foreground),
        commands=runner.records,
        training=training_charts([record] if record else []),
        notes=collect_notes(phantoms=data is None, device=device, split=split, as_measured=as_measured),
    )
    if not keep:
        shutil.rmtree(workspace.work)
    print(f"\n{format_table(scores, foreground)}")
    dice = mean_dice(scores, FOREGROUND if len(foreground) > 1 else next(iter(foreground)))
    kind = "training" if split.test_was_trained_on else "test"
    print(f"\nMean foreground Dice on {len(scores)} {kind} cases: {score_text(dice)}")
    print(f"Report: {workspace.report}   ({duration_text(time.monotonic() - start)} in all)")


def name_trainer(trainer: str, epochs: int | None) -> tuple[str, int | None]:
    """Return the trainer's full name with suffixes, and its number of epochs where known."""
    from nnunet_pancext.trainers import find_trainer

    trainer_class = find_trainer(trainer)
    if epochs is not None and epochs < 1:
        raise PancextError(f"--epochs is {epochs}; it must be at least 1.")
    if trainer_class is None or "_" in trainer:
        if epochs is not None:
            raise PancextError(
                f"--epochs works on this package's trainers without suffixes, not on {trainer}. "
                "Omit it, and set the epochs with a suffix of --trainer."
            )
        return trainer, getattr(trainer_class, "num_epochs", None)
    epochs = epochs or DEFAULT_EPOCHS
    return f"{trainer}_{epochs}epochs_{ITERATIONS_PER_EPOCH}iterations", epochs


def find_device() -> str:
    """Return "cuda" if PyTorch can use a GPU, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def environment(workspace: Workspace) -> dict[str, str]:
    """Return the variables for nnU-Net's commands; the user's own environment is unchanged."""
    processes = str(default_jobs())
    return {
        **{name: str(folder) for name, folder in workspace.nnunet_folders().items()},
        "nnUNet_def_n_proc": processes,
        "nnUNet_n_proc_DA": processes,
        "PANCEXT_SEED": os.environ.get("PANCEXT_SEED", str(SEED)),
        "PYTHONUNBUFFERED": "1",
    }


def make_dataset(
    runner: CommandRunner, workspace: Workspace, data: Path | None, *, labels: str
) -> ConversionResult:
    """Convert phantoms, or the user's CTs, into an nnU-Net raw dataset, and print the excluded cases."""
    start = time.monotonic()
    if data is None:
        runner.heading(f"create {PHANTOM_CASES} phantom CTs")
        out = workspace.work / "source"
        data = write_phantom_dataset(out, cases=PHANTOM_CASES, size=PHANTOM_SIZE, seed=SEED)
        options = map(str, ("--cases", PHANTOM_CASES, "--size", *PHANTOM_SIZE, "--seed", SEED))
        words = ["pancext", "phantom", str(out), *options]
        runner.record("create phantom CTs", words, time.monotonic() - start)
    else:
        runner.heading(f"CTs from {data}")
    runner.heading("convert to nnU-Net's format")
    start = time.monotonic()
    raw = workspace.nnunet_folders()[RAW]
    result = convert_msd(data, raw_root=raw, dataset_id=DATASET_ID, labels=labels)
    words = ["pancext", "convert", "msd", str(data), "--out", str(raw), "--labels", labels]
    runner.record("convert", words, time.monotonic() - start)
    for problem in result.left_out:
        runner.console.say(f"left out {problem}")
    runner.console.say(f"{len(result.training)} labelled cases")
    return result


def plan_words(configuration: str) -> list[str]:
    """Return the planning command, with one process per CPU, at most four."""
    processes = str(default_jobs())
    return [
        *("nnUNetv2_plan_and_preprocess", "-d", str(DATASET_ID), "-c", configuration),
        *("-npfp", processes, "-np", processes),
    ]


def postprocess(
    runner: CommandRunner, workspace: Workspace, model: Path, split: Split, dataset: Path
) -> None:
    """Let nnU-Net choose on the validation cases whether to keep only the largest component, and apply it."""
    if len(split.validation) < 2:
        runner.skip(2, "no postprocessing: one validation case is too few to choose it on")
        for prediction in workspace.raw_predictions.glob("*.nii.gz"):
            link_or_copy(prediction, workspace.predictions / prediction.name)
        return
    truth = link_cases(split.validation, dataset=dataset, target=workspace.work / "validation")
    predicted = model / "fold_0" / "validation"
    runner.run(
        f"choose nnU-Net's postprocessing on {len(split.validation)} validation cases",
        [
            *("nnUNetv2_determine_postprocessing", "-i", str(predicted), "-ref", str(truth.labels)),
            *("-plans_json", str(model / "plans.json")),
            *("-dataset_json", str(model / "dataset.json"), "-np", "1"),
        ],
        progress=progress.postprocessing_progress,
    )
    runner.run(
        "apply nnU-Net's postprocessing",
        [
            *("nnUNetv2_apply_postprocessing", "-i", str(workspace.raw_predictions)),
            *("-o", str(workspace.predictions), "-pp_pkl_file", str(predicted / "postprocessing.pkl")),
            *("-np", "1"),
        ],
    )


def foreground_labels(dataset: Path) -> dict[str, int]:
    """Return the foreground labels that the raw dataset declares."""
    labels = read_json(dataset / "dataset.json", expect=dict)["labels"]
    return {name: value for name, value in labels.items() if value != 0}


def draw_overlays(workspace: Workspace, test: CaseFolders, labels: dict[str, int]) -> dict[str, Path]:
    """Write one image per case and return their paths by case."""
    overlays = {}
    for prediction in sorted(workspace.predictions.glob("*.nii.gz")):
        case = prediction.name.removesuffix(".nii.gz")
        overlays[case] = workspace.overlays / f"{case}.png"
        write_overlay(
            overlays[case],
            image=test.images / f"{case}_0000.nii.gz",
            truth=test.labels / prediction.name,
            prediction=prediction,
            labels=labels,
            title=case,
        )
    return overlays

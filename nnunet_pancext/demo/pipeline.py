"""The whole way: CTs, conversion, planning, training, prediction, evaluation, report."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.dataset_conversion.report import ConversionResult
from nnunet_pancext.demo.facts import collect_facts, collect_notes
from nnunet_pancext.demo.held_out import CaseFolders, HeldOut, hold_out, link_cases, write_split
from nnunet_pancext.demo.page import write_report
from nnunet_pancext.demo.score_table import format_table
from nnunet_pancext.demo.small_plan import add_small_configuration
from nnunet_pancext.demo.workspace import Workspace, open_workspace
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.folder import evaluate_folder
from nnunet_pancext.evaluation.scores import CaseScores, mean_dice, write_metrics_csv
from nnunet_pancext.evaluation.targets import FOREGROUND
from nnunet_pancext.figures.overlay import write_overlay
from nnunet_pancext.figures.training import training_charts
from nnunet_pancext.io.durations import duration_text
from nnunet_pancext.io.files import link_or_copy
from nnunet_pancext.nnunet_commands.progress import (
    PredictionProgress,
    TrainingProgress,
    planning_progress,
    postprocessing_progress,
)
from nnunet_pancext.nnunet_commands.runner import CommandRunner
from nnunet_pancext.nnunet_files.training_log import read_training_record
from nnunet_pancext.pages.numbers import score_text
from nnunet_pancext.phantom import write_phantom_dataset

DEFAULT_TRAINER = "SegResNetNLTrainer"
# nnU-Net lowers the learning rate from epoch to epoch: with many short ones it ends near zero, and what has
# been learnt no longer depends on the last few batches.
DEFAULT_EPOCHS = 20
ITERATIONS_PER_EPOCH = 30
PHANTOM_CASES = 12
PHANTOM_SIZE = (24, 72, 72)
SEED = 0
# Trainer, configuration, labels, data and device of benchmarks/demo_spread.py.
AS_MEASURED = (
    "SegResNetNLTrainer_20epochs_30iterations",
    *("2d", "pancreas", None, "cpu"),
)
# Without a GPU every flip costs as much as the prediction itself, and each worker process its start.
FEW_CASES = ["--disable_tta", "-npp", "0", "-nps", "0"]
DATASET_ID = 7
PLANS = "nnUNetPlans"
STEPS = 8


@dataclass(frozen=True)
class DemoResult:
    """Where the report lies and what it says."""

    report: Path
    scores: list[CaseScores]
    labels: dict[str, int]
    seconds: float


def run_demo(
    *,
    out: Path,
    data: Path | None = None,
    trainer: str = DEFAULT_TRAINER,
    configuration: str = "2d",
    labels: str = "pancreas",
    epochs: int | None = None,
    keep: bool = False,
) -> DemoResult:
    """Train and test `trainer` on phantoms, or on the MSD-format folder `data`, and write a report to `out`.

    On a machine without a GPU the plan's patch is cut to what trains in minutes; the report says so.

    Args:
        out: folder of the report; an earlier demo in it is replaced.
        data: a folder or archive laid out like MSD's Task07_Pancreas.
        trainer: any that nnU-Net finds. One of this package without suffixes is shortened to `epochs`.
        configuration: "2d" or "3d_fullres".
        labels: "pancreas" (the tumour belongs to it) or "pancreas+tumour".
        epochs: of 30 iterations each; default 20.
        keep: keep nnU-Net's folders, with the trained model, under `out`/work.

    Raises:
        PancextError: for what the user can put right; the message says what.
    """
    start = time.monotonic()
    full_trainer, num_epochs = name_trainer(trainer, epochs)
    workspace = open_workspace(out)
    folders = workspace.nnunet_folders()
    device = find_device()
    as_measured = (full_trainer, configuration, labels, data, device) == AS_MEASURED
    runner = CommandRunner(logs=workspace.logs, environment=environment(workspace), steps=STEPS)

    source = make_or_take_data(runner, workspace, data)
    dataset = convert(runner, workspace, source, labels=labels)
    held_out = hold_out(dataset.training)
    preprocessed = folders["nnUNet_preprocessed"] / dataset.folder.name
    plans_file = preprocessed / f"{PLANS}.json"
    runner.run("nnU-Net plans and preprocesses", plan_words(configuration), progress=planning_progress)
    if device == "cpu":
        configuration = add_small_configuration(plans_file, configuration)
    write_split(preprocessed / "splits_final.json", held_out)
    model = ["-tr", full_trainer, "-device", device]
    runner.run(
        f"train {full_trainer}",
        ["nnUNetv2_train", str(DATASET_ID), configuration, "0", *model],
        progress=TrainingProgress(num_epochs),
    )
    model_folder = (
        folders["nnUNet_results"] / dataset.folder.name / f"{full_trainer}__{PLANS}__{configuration}"
    )
    test = link_cases(held_out.cases, dataset=dataset.folder, target=workspace.work / "held_out")
    where = ["-i", str(test.images), "-o", str(workspace.raw_predictions), "-d", str(DATASET_ID)]
    runner.run(
        f"predict {len(held_out.cases)} case(s)",
        ["nnUNetv2_predict", *where, "-c", configuration, "-f", "0", *model, *FEW_CASES],
        progress=PredictionProgress(held_out.cases),
    )
    postprocess(runner, workspace, model_folder, held_out, dataset.folder)
    runner.heading("evaluate and report")
    foreground = foreground_labels(dataset.folder)
    scores = evaluate_folder(workspace.predictions, test.labels, labels=foreground)
    write_metrics_csv(scores, workspace.metrics)
    record = read_training_record(model_folder / "fold_0")
    write_report(
        workspace.report,
        title=f"{trainer} on {'made CTs' if data is None else source.name}",
        facts=collect_facts(
            trainer=full_trainer,
            configuration=configuration,
            plans=json.loads(plans_file.read_text(encoding="utf-8")),
            held_out=held_out,
            device=device,
            seed=runner.environment["PANCEXT_SEED"],
        ),
        scores=scores,
        labels=foreground,
        overlays=draw_overlays(workspace, test, foreground),
        commands=runner.records,
        training=training_charts([record] if record else []),
        notes=collect_notes(
            made=data is None,
            device=device,
            held_out=held_out,
            as_measured=as_measured,
        ),
    )
    if not keep:
        shutil.rmtree(workspace.work)
    result = DemoResult(workspace.report, scores, foreground, time.monotonic() - start)
    print_result(result, held_out)
    return result


def name_trainer(trainer: str, epochs: int | None) -> tuple[str, int | None]:
    """Return the trainer's full name with suffixes, and its number of epochs where known.

    Raises:
        PancextError: an unknown suffix, or `epochs` together with a name that cannot take it.
    """
    from nnunet_pancext.trainers import find_trainer

    found = find_trainer(trainer)
    if epochs is not None and epochs < 1:
        raise PancextError(f"--epochs is {epochs}; it must be at least 1.")
    if found is None or "_" in trainer:
        if epochs is not None:
            raise PancextError(
                f"--epochs works on this package's trainers without suffixes, not on {trainer}. "
                "Leave it out, and name the epochs as part of --trainer."
            )
        return trainer, getattr(found, "num_epochs", None)
    epochs = epochs or DEFAULT_EPOCHS
    return f"{trainer}_{epochs}epochs_{ITERATIONS_PER_EPOCH}iterations", epochs


def find_device() -> str:
    """Return "cuda" where PyTorch can use a GPU, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def environment(workspace: Workspace) -> dict[str, str]:
    """Return what nnU-Net's commands need to know, without touching the user's own settings."""
    processes = str(min(4, os.cpu_count() or 1))
    return {
        **{name: str(folder) for name, folder in workspace.nnunet_folders().items()},
        "nnUNet_def_n_proc": processes,
        "nnUNet_n_proc_DA": processes,
        "PANCEXT_SEED": os.environ.get("PANCEXT_SEED", str(SEED)),
        "PYTHONUNBUFFERED": "1",
    }


def make_or_take_data(runner: CommandRunner, workspace: Workspace, data: Path | None) -> Path:
    """Return the MSD-format source, made here unless the user gave one."""
    if data is not None:
        runner.heading(f"CTs from {data}")
        return data
    runner.heading(f"make {PHANTOM_CASES} phantom CTs")
    start = time.monotonic()
    folder = write_phantom_dataset(
        workspace.work / "source", cases=PHANTOM_CASES, size=PHANTOM_SIZE, seed=SEED
    )
    size = map(str, PHANTOM_SIZE)
    words = ["pancext", "phantom", str(folder.parent), "--cases", str(PHANTOM_CASES), "--size", *size]
    words += ["--seed", str(SEED)]
    runner.record("make phantom CTs", words, time.monotonic() - start)
    return folder


def convert(runner: CommandRunner, workspace: Workspace, source: Path, *, labels: str) -> ConversionResult:
    """Convert the source into an nnU-Net raw dataset and name the cases that were left out."""
    runner.heading("convert to nnU-Net's format")
    start = time.monotonic()
    raw = workspace.nnunet_folders()["nnUNet_raw"]
    result = convert_msd(source, raw_root=raw, dataset_id=DATASET_ID, labels=labels)
    words = ["pancext", "convert", "msd", str(source), "--out", str(raw), "--labels", labels]
    runner.record("convert", words, time.monotonic() - start)
    for problem in result.left_out:
        runner.console.say(f"left out {problem}")
    runner.console.say(f"{len(result.training)} labelled cases")
    return result


def plan_words(configuration: str) -> list[str]:
    """Return the planning command, with as many processes as there are processors."""
    processes = str(min(4, os.cpu_count() or 1))
    return [
        *("nnUNetv2_plan_and_preprocess", "-d", str(DATASET_ID), "-c", configuration),
        *("-npfp", processes, "-np", processes),
    ]


def postprocess(
    runner: CommandRunner, workspace: Workspace, model_folder: Path, held_out: HeldOut, dataset: Path
) -> None:
    """Let nnU-Net decide on the validation cases whether to keep the largest component alone, and do so."""
    if len(held_out.validation) < 2:
        runner.skip(2, "no postprocessing: one validation case is too few to choose it on")
        for prediction in workspace.raw_predictions.glob("*.nii.gz"):
            link_or_copy(prediction, workspace.predictions / prediction.name)
        return
    truth = link_cases(held_out.validation, dataset=dataset, target=workspace.work / "validation")
    predicted = model_folder / "fold_0" / "validation"
    runner.run(
        f"choose nnU-Net's postprocessing on {len(held_out.validation)} validation cases",
        [
            *("nnUNetv2_determine_postprocessing", "-i", str(predicted), "-ref", str(truth.labels)),
            *("-plans_json", str(model_folder / "plans.json")),
            *("-dataset_json", str(model_folder / "dataset.json"), "-np", "1"),
        ],
        progress=postprocessing_progress,
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
    declared = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))["labels"]
    return {name: value for name, value in declared.items() if value != 0}


def draw_overlays(workspace: Workspace, test: CaseFolders, labels: dict[str, int]) -> dict[str, Path]:
    """Write one picture per case and return them by case."""
    pictures = {}
    for prediction in sorted(workspace.predictions.glob("*.nii.gz")):
        case = prediction.name.removesuffix(".nii.gz")
        pictures[case] = workspace.overlays / f"{case}.png"
        write_overlay(
            pictures[case],
            image=test.images / f"{case}_0000.nii.gz",
            truth=test.labels / prediction.name,
            prediction=prediction,
            labels=labels,
            title=case,
        )
    return pictures


def print_result(result: DemoResult, held_out: HeldOut) -> None:
    """Print the table of scores, the headline and the report's place."""
    print("\n" + format_table(result.scores, result.labels))
    label = FOREGROUND if len(result.labels) > 1 else next(iter(result.labels))
    kind = "trained-on" if held_out.trained_on else "held-out"
    dice = score_text(mean_dice(result.scores, label))
    print(f"\nMean foreground Dice on {len(result.scores)} {kind} cases: {dice}")
    print(f"Report: {result.report}   ({duration_text(result.seconds)} in all)")

"""The cases, voxels and trainings on a comparison's page: contours side by side, and curves."""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.output.cells import short_names, value_text
from nnunet_pancext.comparison.output.page import write_comparison_page
from nnunet_pancext.comparison.output.side_by_side import write_side_by_side
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.scores import METRICS, CaseScores, choose_cases
from nnunet_pancext.figures.charts import Curve, precision_recall_chart
from nnunet_pancext.figures.training import LOSS_WEIGHTS, epoch_charts
from nnunet_pancext.nnunet_files.dataset_json import read_dataset_json
from nnunet_pancext.nnunet_files.folders import RAW, existing_folder
from nnunet_pancext.nnunet_files.raw_dataset import read_dataset
from nnunet_pancext.nnunet_files.training_log import TrainingRecord, read_training_record
from nnunet_pancext.pages.pictures import CaseFigure, Chart

# Columns of the log by title and y label.
CURVES = {
    ("Loss of training patches", "loss"): "train_losses",
    ("Loss of validation patches", "loss"): "val_losses",
    ("Pseudo Dice of validation patches", "Dice, moving average"): "ema_fg_dice",
}
FOLD_MEANS = (
    "Means over the folds, up to the last epoch that every fold has. Different losses have different scales: "
    "compare only the course of each curve."
)


def write_page_with_cases(path: Path, comparison: Comparison) -> None:
    """Write the page with the worst, median and best case of the reference, and the training of every model.

    What cannot be shown is replaced by the reason; the scores do not depend on it.
    """
    with tempfile.TemporaryDirectory() as folder:
        no_cases = ""
        try:
            cases = case_figures(comparison, Path(folder))
        except PancextError as error:
            cases, no_cases = [], f"There are no figures. {error}"
        training, training_note = training_charts(comparison)
        no_curves = comparison.no_probabilities
        further = {
            "cases": cases,
            "no_cases": no_cases,
            "curves": {} if no_curves else _precision_recall_charts(comparison),
            "no_curves": f"There are no curves. {no_curves}" if no_curves else "",
            "training": training,
            "training_note": training_note,
        }
        write_comparison_page(path, comparison, further=further)


def case_figures(comparison: Comparison, folder: Path) -> list[CaseFigure]:
    """Draw the cases chosen by the first metric of the first label, with a row for each model."""
    scored = comparison.scored
    names = short_names(comparison)
    label, metric = scored.labels[0], comparison.metrics[0]
    figures = []
    for rank, case in choose_cases(scored.scores[comparison.reference], label, metric).items():
        picture = folder / f"{case}.png"
        scores = {
            names[model]: of_model[scored.cases.index(case)] for model, of_model in scored.scores.items()
        }
        _draw(picture, scores, dataset=comparison.dataset)
        values = ", ".join(
            f"{name} {value_text(getattr(of_case.labels[label], metric), metric)}"
            for name, of_case in scores.items()
        )
        why = f"{rank} by the {METRICS[metric].title} of {label}: {values}"
        figures.append(CaseFigure(case=case, why=why, picture=picture))
    return figures


def _precision_recall_charts(comparison: Comparison) -> dict[str, Chart]:
    names = short_names(comparison)
    return {
        label: chart
        for label, curves in comparison.scored.curves.items()
        # In the order of the models, so that colours agree with those of the training curves.
        if (chart := precision_recall_chart({name: curves[model] for model, name in names.items()}))
    }


def training_charts(comparison: Comparison) -> tuple[dict[str, Chart], str]:
    """Draw each logged column with a curve for each model, and the weights of the losses; return a note too.

    The charts show training phases if no two models differ in them.
    """
    names = short_names(comparison)
    records = {names[model]: _records(scores) for model, scores in comparison.scored.scores.items()}
    phases = {name: spans for name, logs in records.items() if logs and (spans := logs[0].phase_spans)}
    bands = next(iter(phases.values()), [])
    if any(spans != bands for spans in phases.values()):
        bands = []
    curves = {
        chart: {name: mean_curve(logs, column) for name, logs in records.items()}
        for chart, column in CURVES.items()
    }
    curves["Loss weights", "weight"] = {
        f"{name}, {term}": mean_curve(logs, column)
        for name, logs in records.items()
        for term, column in LOSS_WEIGHTS.items()
    }
    charts = epoch_charts(curves, bands)
    if not charts:
        return {}, "There are no curves of the training: no fold has a log."
    note = f" Letters above the curves are the phases of {', '.join(phases)}." if bands else ""
    return charts, FOLD_MEANS + note


def mean_curve(records: Sequence[TrainingRecord], column: str) -> Curve:
    """Return the mean of a column over the folds, epoch by epoch; empty if no fold has it."""
    logged = [record.columns[column] for record in records if record.columns.get(column)]
    means = (sum(epoch) / len(epoch) for epoch in zip(*logged, strict=False))
    values = [mean if math.isfinite(mean) else math.nan for mean in means]
    return range(len(values)), values


def _records(scores: Sequence[CaseScores]) -> list[TrainingRecord]:
    folds = {case.prediction_file.parents[1] for case in scores if case.prediction_file}
    return [record for fold in sorted(folds) if (record := read_training_record(fold))]


def _draw(target: Path, scores: dict[str, CaseScores], *, dataset: str) -> None:
    first = next(iter(scores.values()))
    predictions = {name: case.prediction_file for name, case in scores.items() if case.prediction_file}
    if first.truth_file is None or len(predictions) < len(scores):
        raise PancextError(f"The files of {first.case} are unknown. Compare trained models.")
    declared = read_dataset_json(next(iter(predictions.values())).parents[2] / "dataset.json")
    labels = {name: value for name, value in declared.labels.items() if isinstance(value, int)}
    if len(labels) < len(declared.labels):
        raise PancextError("Regions of several values cannot be drawn.")
    image = read_dataset(existing_folder(RAW) / dataset).training.get(first.case)
    if image is None:
        raise PancextError(f"The image of {first.case} is not in {existing_folder(RAW) / dataset}.")
    write_side_by_side(
        target,
        image=image,
        truth=first.truth_file,
        predictions=predictions,
        labels=labels,
        is_ct=declared.is_ct,
    )

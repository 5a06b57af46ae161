"""The parts of a comparison's page that show cases, voxels and trainings: contours side by side, curves."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.output.cells import value_text
from nnunet_pancext.comparison.output.names import short_names
from nnunet_pancext.comparison.output.side_by_side import write_side_by_side
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.choose_cases import choose_cases
from nnunet_pancext.evaluation.scores import METRICS, CaseScores
from nnunet_pancext.figures.charts import Curve, line_chart, precision_recall_chart
from nnunet_pancext.nnunet_files.dataset_json import read_dataset_json
from nnunet_pancext.nnunet_files.folders import existing_folder
from nnunet_pancext.nnunet_files.training_log import TrainingRecord, read_training_record
from nnunet_pancext.pages.page import section
from nnunet_pancext.pages.pictures import Chart, charts_html, picture_html

CURVES = {
    "Loss of training patches": ("train_losses", "loss"),
    "Loss of validation patches": ("val_losses", "loss"),
    "Pseudo Dice of validation patches": ("ema_fg_dice", "Dice, moving average"),
}
WEIGHTS = {"Dice": "loss_weight_dice", "cross-entropy": "loss_weight_ce"}
OF_FOLDS = "Means over the folds, up to the last epoch that every fold has. Losses of different kinds have "
OF_FOLDS += "different scales: only a curve's own course can be read."


def case_and_training_sections(comparison: Comparison) -> str:
    """Return the worst, median and best case of the reference as every model predicts it, and the training.

    What cannot be shown is said in its place: the scores stand without it.
    """
    heading = f"Worst, median and best case of {short_names(comparison)[comparison.reference]}"
    return (
        section(heading, gallery_html(comparison))
        + section("Precision and recall of voxels", precision_recall_html(comparison))
        + section("Training", training_html(comparison))
    )


def gallery_html(comparison: Comparison) -> str:
    """Return a picture of each case chosen by the first metric of the first label, a row for each model."""
    scored = comparison.scored
    names = short_names(comparison)
    by_case = {names[model]: {one.case: one for one in scores} for model, scores in scored.scores.items()}
    label, metric = scored.labels[0], comparison.metrics[0]
    figures = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for why, case in choose_cases(scored.scores[comparison.reference], label, metric).items():
                picture = Path(folder) / f"{case}.png"
                found = {model: cases[case] for model, cases in by_case.items()}
                _draw(picture, found, dataset=comparison.dataset)
                values = ", ".join(
                    f"{model} {value_text(getattr(one.labels[label], metric), metric)}"
                    for model, one in found.items()
                )
                shown = picture_html(picture, text=f"Slices of {case} with the contours of each model")
                figures.append(
                    f"<figure>\n{shown}\n"
                    f"<figcaption><b>{escape(case)}</b> · {why} by the {METRICS[metric].title} of "
                    f"{escape(label)}: {escape(values)}</figcaption>\n</figure>"
                )
    except PancextError as error:
        return f'<p class="soft">There are no pictures. {escape(str(error))}</p>'
    body = "\n".join(figures)
    # One below the other: a picture has several panels already.
    return f'<div class="gallery" style="grid-template-columns:1fr">\n{body}\n</div>' if figures else ""


def precision_recall_html(comparison: Comparison) -> str:
    """Return a chart for each label with a curve for each model, over the voxels of all cases."""
    if comparison.no_probabilities:
        return f'<p class="soft">There are no curves. {escape(comparison.no_probabilities)}</p>'
    names = short_names(comparison)
    charts = {}
    for label, curves in comparison.scored.curves.items():
        # Cases are scored in any order; the colours are those of the trainings' curves.
        chart = precision_recall_chart({names[model]: curves[model] for model in names})
        if chart is not None:
            charts[label] = chart
    return _gallery(charts)


def training_html(comparison: Comparison) -> str:
    """Return a chart of each logged column with a curve for each model, and one of the weights of the losses.

    Where there are phases, and no two models with other ones, every chart shows them.
    """
    names = short_names(comparison)
    records = {names[model]: _records(found) for model, found in comparison.scored.scores.items()}
    charts: dict[str, Chart] = {}
    phased = {model: found[0].phase_spans for model, found in records.items() if found and found[0].phases}
    alike = all(spans == next(iter(phased.values())) for spans in phased.values())
    bands = next(iter(phased.values()), []) if alike else []

    def add(title: str, y_label: str, curves: dict[str, Curve]) -> None:
        shown = {name: curve for name, curve in curves.items() if len(curve[1])}
        if shown:
            charts[title] = line_chart(shown, x_label="epoch", y_label=y_label, bands=bands)

    for title, (column, y_label) in CURVES.items():
        add(title, y_label, {model: mean_curve(found, column) for model, found in records.items()})
    weights = {
        f"{model}, {term}": mean_curve(found, column)
        for model, found in records.items()
        for term, column in WEIGHTS.items()
    }
    add("Loss weights", "weight", weights)
    if not charts:
        return '<p class="soft">There are no curves of the training: no fold has a log.</p>'
    phases = f" Letters above the curves are the phases of {', '.join(phased)}." if bands else ""
    return f'{_gallery(charts)}\n<p class="soft">{escape(OF_FOLDS + phases)}</p>'


def _gallery(charts: Mapping[str, Chart]) -> str:
    return charts_html(charts).replace('class="charts"', 'class="gallery"')


def mean_curve(records: Sequence[TrainingRecord], column: str) -> Curve:
    """Return the mean over the folds of a column, epoch by epoch; empty where no fold has it."""
    logged = [record.columns[column] for record in records if record.columns.get(column)]
    values = [
        sum(epoch) / len(epoch) if all(map(math.isfinite, epoch)) else math.nan
        for epoch in zip(*logged, strict=False)
    ]
    return range(len(values)), values


def _records(scores: Sequence[CaseScores]) -> list[TrainingRecord]:
    folders = {one.prediction_file.parent.parent for one in scores if one.prediction_file is not None}
    found = [read_training_record(folder) for folder in sorted(folders)]
    return [record for record in found if record is not None]


def _draw(target: Path, found: dict[str, CaseScores], *, dataset: str) -> None:
    first = next(iter(found.values()))
    predictions = {model: one.prediction_file for model, one in found.items() if one.prediction_file}
    if first.truth_file is None or len(predictions) < len(found):
        raise PancextError(f"The files of {first.case} are not known. Compare trained models.")
    declared = read_dataset_json(next(iter(predictions.values())).parents[2] / "dataset.json")
    labels = {name: value for name, value in declared.labels.items() if isinstance(value, int)}
    if len(labels) < len(declared.labels):
        raise PancextError("Regions of several values cannot be drawn.")
    images = existing_folder("nnUNet_raw") / dataset / "imagesTr"
    write_side_by_side(
        target,
        image=images / f"{first.case}_0000{declared.file_ending}",
        truth=first.truth_file,
        predictions=predictions,
        labels=labels,
        is_ct=declared.is_ct,
    )

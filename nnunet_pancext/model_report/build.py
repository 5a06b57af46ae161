"""`write_model_report`: from a trained model's folder to its page."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.folder import Evaluation
from nnunet_pancext.evaluation.scores import METRICS, metric_values
from nnunet_pancext.evaluation.totals import total
from nnunet_pancext.figures.charts import precision_recall_chart, strip_chart
from nnunet_pancext.figures.training import training_charts
from nnunet_pancext.io.durations import duration_text
from nnunet_pancext.io.files import atomic_path
from nnunet_pancext.model_report.attention import draw_attention, why_no_attention
from nnunet_pancext.model_report.gallery import draw_gallery
from nnunet_pancext.model_report.page import model_page
from nnunet_pancext.model_report.validation import (
    Validation,
    cases_text,
    score_validations,
    validation_notes,
)
from nnunet_pancext.nnunet_files.model_folder import ModelFolder
from nnunet_pancext.nnunet_files.training_log import TrainingRecord, read_training_record
from nnunet_pancext.pages.pictures import CaseFigure, Chart
from nnunet_pancext.trainers import list_trainers

DISTRIBUTIONS = ("dice", "nsd_2mm", "hd95_mm", "volume_error_ml")
NO_IMAGES = "There are no figures: the images are not in nnUNet_raw. Give their folder with --images."
NO_REGIONS = "There are no figures: regions of several values cannot be drawn."


@dataclass(frozen=True, kw_only=True)
class ModelReport:
    """The scores, and the notes at the top of the page."""

    validation: Validation
    notes: list[str]


def write_model_report(
    model: ModelFolder,
    target: Path,
    *,
    jobs: int = 1,
    show_progress: bool = True,
    attention: bool = False,
) -> ModelReport:
    """Score the validation of every fold and write the page, atomically.

    With `attention` the maps of the median case are drawn too, where the network has any.

    Raises:
        PancextError: a case cannot be scored or drawn, a checkpoint read, or the page written.
    """
    read = (read_training_record(fold.folder) for fold in model.folds)
    records = [record for record in read if record is not None]
    no_attention = why_no_attention(model) if attention else None
    validation = score_validations(model, jobs=jobs, show_progress=show_progress)
    evaluation = validation.evaluation
    labels = {name: evaluation.targets.regions[name] for name in evaluation.targets.declared}
    notes = [*validation_notes(model, validation.fold_of), *_without_record(model, records)]
    drawable = {name: values[0] for name, values in labels.items() if len(values) == 1}
    if model.images is None:
        notes.append(NO_IMAGES)
    if no_attention is not None:
        notes.append(no_attention)
    with tempfile.TemporaryDirectory() as folder:
        gallery: list[CaseFigure] = []
        maps: list[CaseFigure] = []
        if drawable.keys() == labels.keys():
            gallery = draw_gallery(model, evaluation.scores, drawable, folder=Path(folder))
        else:
            notes.append(NO_REGIONS)
        if attention and no_attention is None:
            maps, missing = draw_attention(model, validation, folder=Path(folder) / "maps")
            notes += missing
        page = model_page(
            evaluation,
            title=f"{model.trainer} on {model.dataset_name}",
            facts=_facts(model, validation, records),
            fold_of=validation.fold_of,
            gallery=gallery,
            distributions=_distribution_charts(evaluation),
            training=training_charts(records),
            precision_recall=_precision_recall_chart(evaluation),
            maps=maps,
            notes=notes,
            attention_hint="" if attention else _attention_hint(model),
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as partial:
            partial.write_text(page, encoding="utf-8")
    except OSError as error:
        raise PancextError(f"Cannot write {target}: {error.strerror}. Give another file with -o.") from error
    return ModelReport(validation=validation, notes=notes)


def _attention_hint(model: ModelFolder) -> str:
    """Say how to get maps; empty for other trainers, whose networks have none."""
    if model.trainer.split("_")[0] not in list_trainers():
        return ""
    return (
        "Attention maps need a prediction and are optional: "
        "pancext report with --attention adds those of the median case, if the network has any."
    )


def _facts(
    model: ModelFolder, validation: Validation, records: Sequence[TrainingRecord]
) -> list[tuple[str, str]]:
    facts = [
        ("trainer", model.trainer),
        ("plans", model.name.plans),
        ("configuration", model.name.configuration),
        ("dataset", model.dataset_name),
        ("folds", ", ".join(fold.name for fold in model.folds)),
        ("cases", cases_text(model, validation.fold_of)),
    ]
    for record in records:
        seconds = record.seconds
        if seconds:
            facts.append((f"fold {record.fold}", f"{record.epochs} epochs in {duration_text(sum(seconds))}"))
    facts.append(("folder", str(model.folder)))
    return facts


def _without_record(model: ModelFolder, records: Sequence[TrainingRecord]) -> list[str]:
    read = {record.fold for record in records}
    return [f"Fold {fold.name} has no training log." for fold in model.folds if fold.name not in read]


def _distribution_charts(evaluation: Evaluation) -> dict[str, Chart]:
    """Draw each metric over the cases, a row per label, by title."""
    charts = {}
    for name in DISTRIBUTIONS:
        groups = {
            label: metric_values(evaluation.scores, label, name) for label in evaluation.targets.regions
        }
        charts[METRICS[name].title] = strip_chart(groups, x_label="", in_unit=name in ("dice", "nsd_2mm"))
    return charts


def _precision_recall_chart(evaluation: Evaluation) -> Chart | None:
    """Draw the precision-recall curve of all voxels by label; None where no probabilities were scored."""
    curves = {label: total(evaluation.scores, label).voxel_curve for label in evaluation.targets.regions}
    return precision_recall_chart({label: curve for label, curve in curves.items() if curve is not None})

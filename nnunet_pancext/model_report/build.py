"""`write_model_report`: from a trained model's folder to its page."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.folder import Evaluation
from nnunet_pancext.evaluation.scores import METRICS, metric_values, unmeasured
from nnunet_pancext.evaluation.totals import total
from nnunet_pancext.figures.charts import precision_recall_chart, strip_chart
from nnunet_pancext.figures.training import training_charts
from nnunet_pancext.io.durations import duration_text
from nnunet_pancext.io.files import output_folder, write_text
from nnunet_pancext.model_report.case_figures import draw_attention, draw_gallery, why_no_attention
from nnunet_pancext.model_report.tables import score_tables
from nnunet_pancext.model_report.validation import Validation, cases_text, score_validations, validation_notes
from nnunet_pancext.nnunet_files.model_folder import ModelFolder
from nnunet_pancext.nnunet_files.training_log import TrainingRecord, read_training_record
from nnunet_pancext.pages.page import render_page
from nnunet_pancext.pages.pictures import CaseFigure, Chart
from nnunet_pancext.trainers import list_trainers

DISTRIBUTIONS = ("dice", "nsd_2mm", "hd95_mm", "volume_error_ml")
NO_IMAGES = "There are no figures: the images are not in nnUNet_raw. Give their folder with --images."
NO_REGIONS = "There are no figures: regions of several values cannot be drawn."
ATTENTION_HINT = (
    "Attention maps need a prediction and are optional: "
    "pancext report with --attention adds those of the median case, if the network has any."
)


def write_model_report(
    model: ModelFolder, target: Path, *, jobs: int = 1, show_progress: bool = True, attention: bool = False
) -> tuple[Evaluation, list[str]]:
    """Score the validation of every fold and write the page, atomically; return the scores and all notes.

    With `attention` the maps of the median case are drawn too, where the network has any.

    Raises:
        PancextError: a case cannot be scored or drawn, a checkpoint read, or the page written.
    """
    if target.is_dir():
        raise PancextError(f"{target} is a folder. Give a file with -o, such as {target / 'report.html'}.")
    with output_folder(target.parent):
        page, evaluation, notes = _page(model, jobs=jobs, show_progress=show_progress, attention=attention)
        save_page(target, page)
    return evaluation, notes


def _page(
    model: ModelFolder, *, jobs: int, show_progress: bool, attention: bool
) -> tuple[str, Evaluation, list[str]]:
    """Score the model and render its page; return it with the scores and notes."""
    records = [record for fold in model.folds if (record := read_training_record(fold.folder))]
    no_attention = why_no_attention(model) if attention else None
    validation = score_validations(model, jobs=jobs, show_progress=show_progress)
    evaluation = validation.evaluation
    regions = evaluation.targets.regions
    logged = {record.fold for record in records}
    notes = validation_notes(model, validation)
    notes += [f"Fold {fold.name} has no training log." for fold in model.folds if fold.name not in logged]
    notes += [note for note in (NO_IMAGES if model.images is None else None, no_attention) if note]
    gallery: list[CaseFigure] = []
    maps: list[CaseFigure] = []
    with tempfile.TemporaryDirectory() as folder:
        if all(len(regions[name]) == 1 for name in evaluation.targets.declared):
            labels = {name: regions[name][0] for name in evaluation.targets.declared}
            gallery = draw_gallery(model, evaluation.scores, labels, folder=Path(folder))
        else:
            notes.append(NO_REGIONS)
        if attention and no_attention is None:
            maps, missing = draw_attention(model, validation, folder=Path(folder) / "maps")
            notes += missing
        curves = {label: total(evaluation.scores, label).voxel_curve for label in regions}
        precision_recall = precision_recall_chart({name: curve for name, curve in curves.items() if curve})
        # Networks of other trainers have no maps.
        has_hint = not attention and model.trainer.split("_")[0] in list_trainers()
        page = render_page(
            "model_report/page.html",
            title=f"{model.trainer} on {model.dataset_name}",
            facts=_facts(model, validation, records),
            gallery=gallery,
            distributions=_distribution_charts(evaluation),
            training=training_charts(records),
            precision_recall={"Precision and recall of voxels": precision_recall} if precision_recall else {},
            maps=maps,
            notes=notes,
            attention_hint=ATTENTION_HINT if has_hint else "",
            **score_tables(evaluation, validation.fold_of),
        )
    return page, evaluation, notes


def save_page(target: Path, page: str) -> None:
    """Write the page, atomically, and its folder where needed; PancextError if that is impossible."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, page)
    except OSError as error:
        raise PancextError(f"Cannot write {target}: {error.strerror}. Give another file with -o.") from error


def _facts(
    model: ModelFolder, validation: Validation, records: Sequence[TrainingRecord]
) -> list[tuple[str, str]]:
    return [
        ("trainer", model.trainer),
        ("plans", model.name.plans),
        ("configuration", model.name.configuration),
        ("dataset", model.dataset_name),
        ("folds", ", ".join(fold.name for fold in model.folds)),
        ("cases", cases_text(model, validation.fold_of)),
        *(
            (f"fold {record.fold}", f"{record.epochs} epochs in {duration_text(sum(record.seconds))}")
            for record in records
            if record.seconds
        ),
        ("folder", str(model.folder)),
    ]


def _distribution_charts(evaluation: Evaluation) -> dict[str, Chart]:
    """Draw each metric over the cases, a row per label, by title."""
    charts = {}
    for name in DISTRIBUTIONS:
        if name in unmeasured(evaluation.scores):
            continue
        groups = {
            label: metric_values(evaluation.scores, label, name) for label in evaluation.targets.regions
        }
        charts[METRICS[name].title] = strip_chart(groups, in_unit=name in ("dice", "nsd_2mm"))
    return charts

"""`write_model_report`: from a trained model's folder to its page."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.folder import Evaluation
from nnunet_pancext.files import atomic_path
from nnunet_pancext.model_report.charts import (
    distribution_charts,
    precision_recall_chart,
    training_charts,
)
from nnunet_pancext.model_report.gallery import choose_cases, draw_gallery
from nnunet_pancext.model_report.model_folder import ModelFolder
from nnunet_pancext.model_report.training_record import TrainingRecord, read_training_record
from nnunet_pancext.model_report.validation import (
    Validation,
    cases_text,
    score_validations,
    validation_notes,
)
from nnunet_pancext.reports.model_page import model_page
from nnunet_pancext.reports.numbers import duration_text
from nnunet_pancext.reports.pictures import Shown

NO_IMAGES = "There are no pictures: the images are not in nnUNet_raw. Give their folder with --images."


def write_model_report(
    model: ModelFolder,
    target: Path,
    *,
    jobs: int = 1,
    show_progress: bool = True,
    attention: bool = False,
) -> Validation:
    """Score the validation of every fold and write the page, atomically.

    With `attention` the maps of the median case are drawn too, where the network has any.

    Raises:
        PancextError: a case cannot be scored or drawn, a checkpoint read, or the page written.
    """
    validation = score_validations(model, jobs=jobs, show_progress=show_progress)
    evaluation = validation.evaluation
    records = [record for record in map(read_training_record, model.folds) if record is not None]
    labels = {name: evaluation.targets.regions[name] for name in evaluation.targets.declared}
    notes = [*validation_notes(model, validation.fold_of), *_without_record(model, records)]
    drawable = {name: values[0] for name, values in labels.items() if len(values) == 1}
    if model.images is None:
        notes.append(NO_IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        gallery: list[Shown] = []
        if drawable == {name: values[0] for name, values in labels.items()}:
            gallery = draw_gallery(model, evaluation.scores, drawable, folder=Path(folder))
        else:
            notes.append("There are no pictures: regions of several values cannot be drawn.")
        maps = attention_maps(model, evaluation, folder=Path(folder)) if attention else []
        page = model_page(
            evaluation,
            title=f"{model.trainer} on {model.dataset_name}",
            facts=_facts(model, validation, records),
            fold_of=validation.fold_of,
            gallery=gallery,
            distributions=distribution_charts(evaluation),
            training=training_charts(records),
            precision_recall=precision_recall_chart(evaluation),
            maps=maps,
            notes=notes,
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as partial:
            partial.write_text(page, encoding="utf-8")
    except OSError as error:
        raise PancextError(f"Cannot write {target}: {error.strerror}. Give another file with -o.") from error
    return validation


def attention_maps(model: ModelFolder, evaluation: Evaluation, *, folder: Path) -> list[Shown]:
    """Draw what the first fold's network attends to in the median case; none where it has no maps."""
    import torch

    from nnunet_pancext.attention.maps import read_attention
    from nnunet_pancext.attention.model import TrainedModel
    from nnunet_pancext.attention.write import write_maps

    first = next(iter(evaluation.targets.regions))
    chosen = choose_cases(evaluation.scores, first)
    case = chosen.get("median") or next(iter(chosen.values()), None)
    fold = next((one for one in model.folds if one.checkpoint is not None), None)
    if model.images is None or fold is None or fold.checkpoint is None or case is None:
        return []
    trained = TrainedModel(
        model.folder,
        fold=fold.name,
        checkpoint=fold.checkpoint.name,
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    )
    if not hasattr(trained.network, "attention_names"):
        raise PancextError(
            f"The network of {model.trainer} has no attention maps that need no voxel. Leave --attention out."
        )
    image = trained.prepare([model.images / f"{case}_0000{model.dataset.file_ending}"])
    maps = read_attention(trained, image, None)
    write_maps(maps, reference=image.reference, folder=folder / "maps", case=case, voxel=None)
    return [
        Shown(case=case, why=path.stem.removeprefix(f"{case}_"), picture=path)
        for path in sorted((folder / "maps").glob("*.png"))
    ]


def _facts(
    model: ModelFolder, validation: Validation, records: Sequence[TrainingRecord]
) -> list[tuple[str, str]]:
    facts = [
        ("trainer", model.trainer),
        ("plans", model.plans),
        ("configuration", model.configuration),
        ("dataset", model.dataset_name),
        ("folds", ", ".join(fold.name for fold in model.folds)),
        ("cases", cases_text(model, validation.fold_of)),
    ]
    for record in records:
        seconds = record.seconds
        if seconds:
            told = f"{record.epochs} epochs in {duration_text(sum(seconds))}"
            facts.append((f"fold {record.fold}", told))
    facts.append(("folder", str(model.folder)))
    return facts


def _without_record(model: ModelFolder, records: Sequence[TrainingRecord]) -> list[str]:
    read = {record.fold for record in records}
    return [f"Fold {fold.name} has no checkpoint." for fold in model.folds if fold.name not in read]

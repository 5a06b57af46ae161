"""Figures of a model's worst, median and best cases, and the attention maps of the median one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.folder import Evaluation
from nnunet_pancext.evaluation.scores import CaseScores, choose_cases
from nnunet_pancext.figures.overlay import highest_label, write_overlay
from nnunet_pancext.figures.panel import central_voxel
from nnunet_pancext.io.images import SLICES
from nnunet_pancext.io.label_maps import read_label_map
from nnunet_pancext.model_report.validation import Validation
from nnunet_pancext.nnunet_files.model_folder import Fold, ModelFolder
from nnunet_pancext.pages.pictures import CaseFigure

if TYPE_CHECKING:
    from nnunet_pancext.attention.model import TrainedModel

COLOURS = 3
NO_CHECKPOINT = "There are no attention maps: no fold has a checkpoint."


def draw_gallery(
    model: ModelFolder, scores: Sequence[CaseScores], labels: dict[str, int], *, folder: Path
) -> list[CaseFigure]:
    """Draw the worst, median and best case of each label into `folder`, each once; none without images."""
    if model.images is None:
        return []
    by_case = {case.case: case for case in scores}
    reasons: dict[str, list[str]] = {}
    for label in scores[0].labels:
        for rank, name in choose_cases(scores, label).items():
            reasons.setdefault(name, []).append(f"{rank}, {label}")
    figures = []
    for name, why in reasons.items():
        picture = folder / f"{name}.png"
        write_overlay(
            picture,
            image=image_files(model, name)[0],
            truth=by_case[name].truth_file,
            prediction=by_case[name].prediction_file,
            labels=labels,
            title=name,
            is_ct=model.dataset.is_ct,
        )
        figures.append(CaseFigure(case=name, why="; ".join(why), picture=picture))
    return figures


def image_files(model: ModelFolder, case: str) -> list[Path]:
    """Return the image files of a case, one per channel or a colour picture; none without their folder."""
    if model.images is None:
        return []
    channels = range(len(model.dataset.channel_names))
    files = [model.images / f"{case}_{channel:04d}{model.dataset.file_ending}" for channel in channels]
    if files[0].name.lower().endswith(SLICES) and len(files) == COLOURS and not files[1].exists():
        files = files[:1]
    for file in files:
        if not file.is_file():
            raise PancextError(
                f"The image of case {case!r} is not at {file}. Give the folder of images with --images."
            )
    return files


def why_no_attention(model: ModelFolder) -> str | None:
    """Return why no map can be drawn, or None. Called before the scoring, which may take hours."""
    from nnunet_pancext.attention.maps import has_attention, trainers_with_maps

    for fold in model.folds:
        if fold.checkpoint is not None:
            if has_attention(_open(model, fold, fold.checkpoint).network):
                return None
            return f"There are no attention maps of the network of {model.trainer}. {trainers_with_maps()}"
    return NO_CHECKPOINT


def draw_attention(
    model: ModelFolder, validation: Validation, *, folder: Path
) -> tuple[list[CaseFigure], list[str]]:
    """Draw the maps of the median case by the fold that predicted it; return them and notes.

    For a non-local block the query voxel is the centre of the true label, or of the predicted one where the
    ground truth is empty.
    """
    from nnunet_pancext.attention.heatmap import write_maps
    from nnunet_pancext.attention.maps import needs_voxel, read_attention

    evaluation = validation.evaluation
    chosen = choose_cases(evaluation.scores, next(iter(evaluation.targets.regions)))
    name = chosen.get("median") or next(iter(chosen.values()), None)
    if model.images is None or name is None:
        return [], []
    fold = next(fold for fold in model.folds if fold.name == validation.fold_of[name])
    if fold.checkpoint is None:
        note = f"Fold {fold.name}, which predicted {name}, has no checkpoint: there are no attention maps."
        return [], [note]
    trained = _open(model, fold, fold.checkpoint)
    image = trained.prepare(image_files(model, name))
    scores = next(scores for scores in evaluation.scores if scores.case == name)
    voxel = _centre(scores, evaluation) if needs_voxel(trained.network) else None
    maps = read_attention(trained, image, voxel)
    write_maps(maps, reference=image.reference, folder=folder, case=name, voxel=voxel, is_ct=trained.is_ct)
    origin = f"fold {fold.name}" + ("" if voxel is None else f", from voxel {' '.join(map(str, voxel))}")
    titles = {path.stem.removeprefix(f"{name}_"): path for path in sorted(folder.glob("*.png"))}
    return [
        CaseFigure(case=name, why=f"{title.replace('_', ' ')}, {origin}", picture=path)
        for title, path in titles.items()
    ], []


def _open(model: ModelFolder, fold: Fold, checkpoint: Path) -> "TrainedModel":
    from nnunet_pancext.attention.model import TrainedModel
    from nnunet_pancext.checkpoints.device import choose_device

    device = choose_device(None)
    return TrainedModel(model.folder, fold=fold.name, checkpoint=checkpoint.name, device=device)


def _centre(case: CaseScores, evaluation: Evaluation) -> tuple[int, int, int]:
    """Return the centre (slice, row, column) of the highest label, as in the figures of cases."""
    values = tuple(
        sorted(value for value in evaluation.targets.values if value not in (0, evaluation.targets.ignore))
    )
    for file in filter(None, (case.truth_file, case.prediction_file)):
        mask = highest_label(sitk.GetArrayFromImage(read_label_map(file)), values)
        if mask.any():
            break
    return central_voxel(mask)

"""Figures of a model's worst, median and best cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.scores import CaseScores, choose_cases
from nnunet_pancext.figures.overlay import write_overlay
from nnunet_pancext.nnunet_files.model_folder import ModelFolder
from nnunet_pancext.pages.pictures import CaseFigure


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
    """Return the image files of a case, one per channel; none without a folder of images."""
    if model.images is None:
        return []
    channels = range(len(model.dataset.channel_names))
    files = [model.images / f"{case}_{channel:04d}{model.dataset.file_ending}" for channel in channels]
    for file in files:
        if not file.is_file():
            raise PancextError(
                f"The image of case {case!r} is not at {file}. Give the folder of images with --images."
            )
    return files

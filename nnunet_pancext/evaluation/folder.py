"""Scoring a folder of predicted label maps against a folder of true ones."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.label_maps import foreground_labels, read_label_map, require_same_grid
from nnunet_pancext.evaluation.overlap import dice
from nnunet_pancext.evaluation.scores import CaseScores, LabelScores

FOREGROUND = "foreground"
MM3_PER_ML = 1000


def scored_labels(labels: dict[str, int]) -> dict[str, tuple[int, ...]]:
    """Name and label values of everything that is scored, in the order of reporting.

    These are the foreground labels, preceded by 'foreground', their union, when there are several.

    Raises:
        PancextError: as `foreground_labels`, or 'foreground' is the name of one label among several.
    """
    single: dict[str, tuple[int, ...]] = {name: (value,) for name, value in foreground_labels(labels).items()}
    if len(single) == 1:
        return single
    if FOREGROUND in single:
        raise PancextError(
            f"Label {FOREGROUND!r} = {labels[FOREGROUND]} has the name of the union of all labels. Rename it."
        )
    return {FOREGROUND: tuple(value for values in single.values() for value in values), **single}


def evaluate_folder(
    predictions: Path, truths: Path, *, labels: dict[str, int], file_ending: str = ".nii.gz"
) -> list[CaseScores]:
    """Score each label map in `truths` against the prediction of the same name, in the order of names.

    `labels` gives the value of each label as `dataset.json` does; see `scored_labels` for what is scored.
    Predictions without a truth are left out.

    Raises:
        PancextError: by case name, a prediction is missing or unreadable, lies on another grid than the
            truth, or holds a value that `labels` does not declare; or there is no truth at all.
    """
    regions = scored_labels(labels)
    cases = sorted(
        path.name.removesuffix(file_ending)
        for path in (truths.iterdir() if truths.is_dir() else ())
        if path.name.endswith(file_ending) and not path.name.startswith(".")
    )
    if not cases:
        raise PancextError(
            f"No file ending in {file_ending!r} in the folder of true label maps {truths}. "
            "Check the folder and the file ending."
        )
    missing = [case for case in cases if not (predictions / f"{case}{file_ending}").is_file()]
    if missing:
        raise PancextError(
            f"No prediction for {len(missing)} of {len(cases)} cases in {predictions}: {', '.join(missing)}. "
            f"Predict these cases too, or leave their true label maps out of {truths}."
        )
    return [
        _score_case(
            case,
            prediction_path=predictions / f"{case}{file_ending}",
            truth_path=truths / f"{case}{file_ending}",
            regions=regions,
        )
        for case in cases
    ]


def _score_case(
    case: str, *, prediction_path: Path, truth_path: Path, regions: dict[str, tuple[int, ...]]
) -> CaseScores:
    try:
        prediction_image, truth_image = read_label_map(prediction_path), read_label_map(truth_path)
    except PancextError as error:
        raise PancextError(f"Case {case!r}: {error}") from error
    require_same_grid(
        prediction_image,
        truth_image,
        what=f"Case {case!r}: prediction {prediction_path} and truth {truth_path} differ in geometry",
        remedy="Predict from the image that this truth was drawn on, or resample one onto the other.",
    )
    prediction = sitk.GetArrayViewFromImage(prediction_image)
    truth = sitk.GetArrayViewFromImage(truth_image)
    for role, path, values in (("prediction", prediction_path, prediction), ("truth", truth_path, truth)):
        _require_declared(values, regions, what=f"Case {case!r}: the {role} {path}")
    voxel_ml = math.prod(truth_image.GetSpacing()) / MM3_PER_ML
    scores = {}
    for name, region in regions.items():
        predicted_mask, true_mask = np.isin(prediction, region), np.isin(truth, region)
        scores[name] = LabelScores(
            dice=dice(predicted_mask, true_mask),
            volume_ml=np.count_nonzero(predicted_mask) * voxel_ml,
            truth_volume_ml=np.count_nonzero(true_mask) * voxel_ml,
        )
    return CaseScores(case=case, labels=scores)


def _require_declared(values: NDArray[np.generic], regions: dict[str, tuple[int, ...]], *, what: str) -> None:
    declared = {0, *(value for region in regions.values() for value in region)}
    unknown = sorted(set(np.unique(values).tolist()) - declared)
    if unknown:
        raise PancextError(
            f"{what} holds the values {unknown}, which are not among the declared labels {sorted(declared)}. "
            "Declare them, or evaluate label maps of this dataset."
        )

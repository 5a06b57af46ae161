"""Scoring one predicted label map against the true one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.lesions import count_lesions
from nnunet_pancext.evaluation.overlap import Overlap, count_overlap
from nnunet_pancext.evaluation.per_slice import score_slices
from nnunet_pancext.evaluation.probabilities import (
    VoxelHistogram,
    precision_recall,
    read_probabilities,
    voxel_histogram,
)
from nnunet_pancext.evaluation.scores import CaseScores, LabelScores
from nnunet_pancext.evaluation.surface import surface_distances
from nnunet_pancext.evaluation.targets import Targets
from nnunet_pancext.io.label_maps import read_label_map, require_same_grid

MM3_PER_ML = 1000


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """The files of a case; `probabilities` is None where they are not scored.

    `patient` is whom it shows, None where nothing tells: then it is of a patient of its own.
    """

    case: str
    prediction: Path
    truth: Path
    probabilities: Path | None = None
    patient: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Masks:
    """Two masks within the smallest box that holds both, slices first, and where the box lies."""

    prediction: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    corner: tuple[int, int, int]
    shape: tuple[int, int, int]
    ignored: list[int]  # voxels of each slice of the box; outside of it there are none
    spacing_mm: tuple[float, ...]


def score_case(files: CaseFiles, *, targets: Targets) -> CaseScores:
    """Score every target of a case.

    Raises:
        PancextError: by case name, a file is unreadable, the two lie on different grids or hold a value that
            is not declared, or the probabilities are not those of this case.
    """
    try:
        prediction_image, truth_image = read_label_map(files.prediction), read_label_map(files.truth)
        require_same_grid(
            prediction_image,
            truth_image,
            what=f"prediction {files.prediction} and truth {files.truth} differ in geometry",
            remedy="Predict from the image that this truth was drawn on, or resample one onto the other.",
        )
        prediction, truth = map(sitk.GetArrayViewFromImage, (prediction_image, truth_image))
        box = _box(prediction, truth)
        _require_declared(prediction[box], targets, what=f"the prediction {files.prediction}")
        _require_declared(truth[box], targets, what=f"the truth {files.truth}")
        histograms = _histograms(files, truth, targets=targets)
    except PancextError as error:
        raise PancextError(f"Case {files.case!r}: {error}") from error

    axial = _axial_axis(truth_image)
    if targets.ignore is None:
        ignored = np.zeros(truth[box].shape, dtype=bool)
    else:
        ignored = truth[box] == targets.ignore
    ignored = np.moveaxis(ignored, axial, 0)
    ignored_by_slice = [int(np.count_nonzero(one)) for one in ignored]
    voxels = truth.size - sum(ignored_by_slice)
    labels, overlaps = {}, {}
    for name, values in targets.regions.items():
        masks = _Masks(
            prediction=np.moveaxis(_mask(prediction[box], values), axial, 0) & ~ignored,
            truth=np.moveaxis(_mask(truth[box], values), axial, 0) & ~ignored,
            corner=_axial_first([one.start for one in box], axial),
            shape=_axial_first(truth.shape, axial),
            ignored=ignored_by_slice,
            spacing_mm=_axial_first(truth_image.GetSpacing()[::-1], axial),
        )
        overlaps[name] = count_overlap(masks.prediction, masks.truth, voxels=voxels)
        labels[name] = _score_label(masks, overlaps[name], histograms.get(name))
    return CaseScores(
        case=files.case,
        patient=files.patient,
        labels=labels,
        overlaps=overlaps,
        histograms=histograms,
        prediction_file=files.prediction,
        truth_file=files.truth,
    )


def _score_label(masks: _Masks, overlap: Overlap, histogram: VoxelHistogram | None) -> LabelScores:
    distances = surface_distances(masks.prediction, masks.truth, spacing_mm=masks.spacing_mm)
    lesions = count_lesions(masks.prediction, masks.truth)
    slices = score_slices(
        masks.prediction,
        masks.truth,
        shape=masks.shape[1:],
        corner=masks.corner[1:],
        ignored=masks.ignored,
    )
    voxel_ml = math.prod(masks.spacing_mm) / MM3_PER_ML
    return LabelScores(
        dice=overlap.dice,
        iou=overlap.iou,
        precision=overlap.precision,
        recall=overlap.recall,
        specificity=overlap.specificity,
        accuracy=overlap.accuracy,
        f1=overlap.dice,
        hd95_mm=distances.hd95_mm,
        assd_mm=distances.assd_mm,
        nsd_1mm=distances.nsd(1),
        nsd_2mm=distances.nsd(2),
        volume_ml=(overlap.tp + overlap.fp) * voxel_ml,
        truth_volume_ml=(overlap.tp + overlap.fn) * voxel_ml,
        volume_error_ml=(overlap.fp - overlap.fn) * voxel_ml,
        s_measure=slices.s_measure,
        e_measure=slices.e_measure,
        lesions=lesions.lesions,
        lesions_found=lesions.found,
        false_positives=lesions.false_positives,
        slices=slices.slices,
        slice_dice=slices.dice,
        slice_iou=slices.iou,
        slice_precision=slices.precision,
        slice_recall=slices.recall,
        slice_specificity=slices.specificity,
        slice_accuracy=slices.accuracy,
        probability=histogram.highest if histogram else math.nan,
        average_precision=precision_recall(histogram).average_precision if histogram else math.nan,
    )


def _histograms(
    files: CaseFiles, truth: NDArray[np.generic], *, targets: Targets
) -> dict[str, VoxelHistogram]:
    if files.probabilities is None:
        return {}
    probabilities = read_probabilities(files.probabilities, channels=targets.num_channels, shape=truth.shape)
    scored = truth != targets.ignore if targets.ignore is not None else ...
    histograms = {}
    for name, values in targets.regions.items():
        probability = probabilities[targets.channels(name)].sum(axis=0, dtype=np.float32)
        histograms[name] = voxel_histogram(probability[scored], _mask(truth, values)[scored])
    return histograms


def _mask(label_map: NDArray[np.generic], values: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = label_map == values[0]
    for value in values[1:]:
        mask |= label_map == value
    return mask


def _box(first: NDArray[np.generic], second: NDArray[np.generic]) -> tuple[slice, ...]:
    """Return the smallest box that holds every voxel that is not 0 in both label maps."""
    filled = (first != 0) | (second != 0)
    box: list[slice] = []
    for axis in range(filled.ndim):
        # Cutting axis by axis leaves less and less to look through.
        found = np.flatnonzero(filled.any(axis=tuple(other for other in range(filled.ndim) if other != axis)))
        box.append(slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0))
        filled = filled[(slice(None),) * axis + (box[-1],)]
    return tuple(box)


def _require_declared(values: NDArray[np.generic], targets: Targets, *, what: str) -> None:
    unknown = sorted(set(np.unique(values).tolist()) - targets.values)
    if unknown:
        raise PancextError(
            f"{what} holds the values {unknown}, which are not among the declared labels "
            f"{sorted(targets.values)}. Declare them, or evaluate label maps of this dataset."
        )


def _axial_axis(image: sitk.Image) -> int:
    """Return the axis of the array along which the patient's height runs."""
    along_height = np.abs(np.asarray(image.GetDirection()).reshape(3, 3)[2])
    return 2 - int(along_height.argmax())


def _axial_first(values, axial: int) -> tuple:  # type: ignore[no-untyped-def]
    return (values[axial], *(value for axis, value in enumerate(values) if axis != axial))

"""Scoring a predicted label map against the ground truth."""

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
from nnunet_pancext.evaluation.scores import ML, MM, CaseScores, LabelScores
from nnunet_pancext.evaluation.surface import surface_distances
from nnunet_pancext.evaluation.targets import Targets
from nnunet_pancext.io.label_maps import has_spacing, is_flat, read_label_map, require_same_grid
from nnunet_pancext.raw_cases.geometry import geometry_of

MM3_PER_ML = 1000


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """The files of a case; `probabilities` is None if they are not scored.

    A case without a known `patient` counts as a patient of its own.
    """

    case: str
    prediction: Path
    truth: Path
    probabilities: Path | None = None
    patient: str | None = None


def score_case(files: CaseFiles, *, targets: Targets) -> CaseScores:
    """Score every target of a case.

    Distances in a volume of one slice are those within the slice. What the files do not store, a spacing or a
    thickness, is not measured.

    Raises:
        PancextError: with the case's name, if a file is unreadable, the grids differ, a value is not
            declared, or the probabilities do not belong to this case.
    """
    try:
        prediction_image, truth_image = read_label_map(files.prediction), read_label_map(files.truth)
        require_same_grid(
            prediction_image,
            truth_image,
            what=f"prediction {files.prediction} and ground truth {files.truth} differ in geometry",
            remedy="Predict from the image that was annotated, or resample one of the two onto the other.",
        )
        axial = geometry_of(truth_image).slice_axis
        stored_truth = sitk.GetArrayViewFromImage(truth_image)
        truth = np.moveaxis(stored_truth, axial, 0)
        prediction = np.moveaxis(sitk.GetArrayViewFromImage(prediction_image), axial, 0)
        box = _box(prediction, truth)
        slice_shape, voxels = truth.shape[1:], truth.size
        prediction, truth = prediction[box], truth[box]
        for what, label_map in (
            (f"the prediction {files.prediction}", prediction),
            (f"the ground truth {files.truth}", truth),
        ):
            unknown = sorted(set(np.unique(label_map).tolist()) - targets.values)
            if unknown:
                raise PancextError(
                    f"{what} holds the values {unknown}, which are not among the declared labels "
                    f"{sorted(targets.values)}. Declare them, or evaluate label maps of this dataset."
                )
        histograms = _histograms(files, stored_truth, targets=targets)
    except PancextError as error:
        raise PancextError(f"Case {files.case!r}: {error}") from error

    ignored = _mask(truth, () if targets.ignore is None else (targets.ignore,))
    measured = _Measured.of(truth_image, axial)
    # The box holds every voxel of both label maps, and hence all that are ignored.
    in_slices = np.count_nonzero(ignored, axis=(1, 2)).tolist()
    frame = {"shape": slice_shape, "corner": tuple(part.start for part in box[1:]), "ignored": in_slices}
    labels, overlaps = {}, {}
    for name, values in targets.regions.items():
        masks = _mask(prediction, values) & ~ignored, _mask(truth, values) & ~ignored
        overlaps[name] = count_overlap(*masks, voxels=voxels - sum(in_slices))
        scores = score_slices(*masks, **frame)
        if name in histograms:
            scores["probability"] = histograms[name].highest
            scores["average_precision"] = precision_recall(histograms[name]).average_precision
        labels[name] = _score_label(*masks, measured, overlaps[name], scores)
    return CaseScores(
        case=files.case,
        patient=files.patient,
        labels=labels,
        overlaps=overlaps,
        histograms=histograms,
        prediction_file=files.prediction,
        truth_file=files.truth,
        units=measured.units,
    )


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """What a label map's files allow to measure: spacing along (slice, row, column), and the units."""

    spacing_mm: tuple[float, ...]
    is_one_slice: bool
    units: tuple[str, ...]

    @classmethod
    def of(cls, image: sitk.Image, axis: int) -> "_Measured":
        spacing_mm = list(image.GetSpacing()[::-1])
        spacing_mm.insert(0, spacing_mm.pop(axis))
        units = () if not has_spacing(image) else (MM,) if is_flat(image) else (MM, ML)
        is_one_slice = image.GetSize()[::-1][axis] == 1
        return cls(spacing_mm=tuple(spacing_mm), is_one_slice=is_one_slice, units=units)

    def distances(self, prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> dict[str, float]:
        """Return the scores of the surfaces, or of the outlines in a single slice."""
        if MM not in self.units:
            return {}
        spacing_mm = self.spacing_mm
        if self.is_one_slice:  # in a volume, every voxel of it would be on the surface
            prediction, truth = (np.asarray(mask.any(axis=0)) for mask in (prediction, truth))
            spacing_mm = spacing_mm[1:]
        distances = surface_distances(prediction, truth, spacing_mm=spacing_mm)
        return {
            "hd95_mm": distances.hd95_mm,
            "assd_mm": distances.assd_mm,
            "nsd_1mm": distances.nsd(1),
            "nsd_2mm": distances.nsd(2),
        }

    def volumes(self, overlap: Overlap) -> dict[str, float]:
        if ML not in self.units:
            return {}
        voxel_ml = math.prod(self.spacing_mm) / MM3_PER_ML
        return {
            "volume_ml": (overlap.tp + overlap.fp) * voxel_ml,
            "truth_volume_ml": (overlap.tp + overlap.fn) * voxel_ml,
            "volume_error_ml": (overlap.fp - overlap.fn) * voxel_ml,
        }


def _score_label(
    prediction: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    measured: _Measured,
    overlap: Overlap,
    scores: dict[str, float],
) -> LabelScores:
    lesions = count_lesions(prediction, truth)
    return LabelScores(
        **overlap.ratios,
        **measured.distances(prediction, truth),
        **measured.volumes(overlap),
        f1=overlap.dice,
        lesions=lesions.lesions,
        lesions_found=lesions.detected,
        false_positives=lesions.false_positives,
        **scores,
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
    mask = np.zeros(label_map.shape, dtype=bool)
    for value in values:  # much faster than np.isin
        mask |= label_map == value
    return mask


def _box(first: NDArray[np.generic], second: NDArray[np.generic]) -> tuple[slice, ...]:
    """Return the smallest box that holds every non-zero voxel of both label maps."""
    filled = (first != 0) | (second != 0)
    box: list[slice] = []
    for axis in range(filled.ndim):
        # Cropping axis by axis leaves fewer voxels to search.
        occupied = np.flatnonzero(filled.any(axis=tuple(set(range(filled.ndim)) - {axis})))
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1) if len(occupied) else slice(0, 0))
        filled = filled[(slice(None),) * axis + (box[-1],)]
    return tuple(box)

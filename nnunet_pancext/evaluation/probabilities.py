"""Scores of nnU-Net's probabilities: precision-recall curves of voxels, and the ranking of patients."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nnunet_pancext.errors import PancextError

KEY = "probabilities"
WRITE_AGAIN = "Write them again with `nnUNetv2_predict --save_probabilities`."
HOW_VALIDATION_HAS_THEM = (
    "nnUNetv2_train with --val --npz writes them, or with --c --npz where the training is not finished"
)
# Within a bin the smaller of p and 1 - p has the same leading bits as float32: 256 bins for each doubling
# from 2⁻²⁴, the resolution of float32 just below 1, to 1/2.
DROPPED_BITS = 15
_NUMBERS = np.arange(103 << 8, (126 << 8) + 1, dtype=np.int32)  # leading bits of 2⁻²⁴ to 1/2
_ENDS = np.append(0, (_NUMBERS << DROPPED_BITS).view(np.float32).astype(np.float64))
THRESHOLDS = np.concatenate([_ENDS[:-1], 1 - _ENDS[::-1]])
BINS = len(THRESHOLDS)
CHUNK = 1 << 22
TRIES = 5


@dataclass(frozen=True, kw_only=True)
class VoxelHistogram:
    """Numbers of voxels by probability (BINS), of the target and of the rest, and the highest probability.

    Bin i holds the probabilities from THRESHOLDS[i] up to but not including THRESHOLDS[i + 1]; the last bin
    holds 1. Bins are as narrow near 1 as near 0. Without a voxel the highest probability is nan.
    """

    target: NDArray[np.int64]
    rest: NDArray[np.int64]
    highest: float

    def __add__(self, other: "VoxelHistogram") -> "VoxelHistogram":
        """Return the histogram of both sets of voxels."""
        return VoxelHistogram(
            target=self.target + other.target,
            rest=self.rest + other.rest,
            highest=float(np.fmax(self.highest, other.highest)),
        )


@dataclass(frozen=True, kw_only=True)
class PrecisionRecall:
    """Precision and recall of the voxels at or above each threshold, from high to low thresholds."""

    threshold: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    @property
    def average_precision(self) -> float:
        """Σ (R_n - R_{n-1}) P_n, as scikit-learn defines it; nan without a target voxel."""
        if not len(self.recall):
            return math.nan
        return float(np.sum(np.diff(self.recall, prepend=0) * self.precision))


def read_probabilities(path: Path, *, channels: int, shape: tuple[int, ...]) -> NDArray[np.floating]:
    """Read the file that `nnUNetv2_predict --save_probabilities` writes: (channels, *shape) in [0, 1].

    Raises:
        PancextError: the file is unreadable, has another shape, or holds values that are not probabilities.
    """
    try:
        # Python 3.11 sometimes fails to parse the header of an intact file if several threads parse at once
        # (github.com/python/cpython/issues/106905).
        for _ in range(TRIES - 1):
            with contextlib.suppress(SystemError):
                probabilities = _load(path)
                break
        else:
            probabilities = _load(path)
    except Exception as error:  # a damaged zip or array can raise anything
        raise PancextError(f"Cannot read the probabilities {path} ({error}). {WRITE_AGAIN}") from error
    if probabilities.dtype.kind not in "fiu":
        raise PancextError(
            f"The probabilities {path} are of the type {probabilities.dtype}, not numbers. {WRITE_AGAIN}"
        )
    if probabilities.shape != (channels, *shape):
        raise PancextError(
            f"The probabilities {path} have the shape {probabilities.shape}, expected {(channels, *shape)}: "
            "a channel for each label and the background (or for each region), and the image's axes. "
            "Give those of this case and this dataset.json."
        )
    # nan compares false and is refused too; half precision rounds a sum of ones upwards
    if not (probabilities.min() >= 0 and probabilities.max() <= 1.01):
        raise PancextError(
            f"The probabilities {path} hold values that are not finite or not between 0 and 1. "
            "Predict this case again."
        )
    return probabilities


def _load(path: Path) -> NDArray[np.floating]:
    with np.load(path) as content:
        probabilities: NDArray[np.floating] = content[KEY]
    return probabilities


def voxel_histogram(probability: NDArray[np.floating], truth: NDArray[np.bool_]) -> VoxelHistogram:
    """Count the voxels of a probability map of any shape by probability, separately for target and rest."""
    values, is_target = probability.ravel(), truth.ravel()
    counts = np.zeros((2, BINS), dtype=np.int64)
    for start in range(0, values.size, CHUNK):
        part = slice(start, start + CHUNK)
        places = _bins(values[part]) + BINS * is_target[part]
        counts += np.bincount(places, minlength=2 * BINS).reshape(2, BINS)
    highest = float(min(probability.max(), 1)) if probability.size else math.nan
    return VoxelHistogram(target=counts[1], rest=counts[0], highest=highest)


def precision_recall(histogram: VoxelHistogram) -> PrecisionRecall:
    """Return the curve at the thresholds of non-empty bins; empty without a target voxel."""
    positive = np.cumsum(histogram.target[::-1])
    negative = np.cumsum(histogram.rest[::-1])
    kept = ((histogram.target + histogram.rest)[::-1] > 0) & (positive[-1] > 0)
    return PrecisionRecall(
        threshold=THRESHOLDS[::-1][kept],
        precision=(positive / np.maximum(positive + negative, 1))[kept],
        recall=(positive / max(positive[-1], 1))[kept],
    )


def patient_ranking(highest: Sequence[float], has_target: Sequence[bool]) -> tuple[float, float]:
    """Return AUROC and average precision of separating patients with the target from those without.

    Patients with probability nan, whose voxels are all ignored, are left out. Both scores are nan unless
    there are patients of both kinds.
    """
    is_ranked = ~np.isnan(highest)
    values, kinds = np.asarray(highest)[is_ranked], np.asarray(has_target)[is_ranked]
    if len(np.unique(kinds)) < 2:
        return math.nan, math.nan
    from sklearn.metrics import average_precision_score, roc_auc_score

    return float(roc_auc_score(kinds, values)), float(average_precision_score(kinds, values))


def _bins(probability: NDArray[np.floating]) -> NDArray[np.int32]:
    """Return the bins of probabilities: `np.searchsorted(THRESHOLDS, probability, side="right") - 1`.

    Shifting float32 bit patterns gives the same bins ten times faster.
    """
    values = np.minimum(probability, 1).astype(np.float32)
    bins = np.maximum((values.view(np.int32) >> DROPPED_BITS) - _NUMBERS[0] + 1, 0)
    high = values >= 0.5
    # Minus one bit, because a bin includes its lower end, which is the upper end in 1 - p.
    from_one = ((1 - values[high]).view(np.int32) - 1 >> DROPPED_BITS) - _NUMBERS[0] + 2
    bins[high] = BINS - 1 - np.maximum(from_one, 0)
    return bins

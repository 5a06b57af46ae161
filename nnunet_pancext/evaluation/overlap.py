"""Overlap of two masks, from counts of voxels."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnunet_pancext.errors import PancextError

RATIOS = ("dice", "iou", "precision", "recall", "specificity", "accuracy")


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Numbers of voxels: true positive, false positive, false negative, true negative.

    A ratio whose denominator is 0 is nan: Dice and IoU of two empty masks, the precision of an empty
    prediction, the recall of an empty ground truth, the specificity if every voxel is target.
    """

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def ratios(self) -> dict[str, float]:
        """All `RATIOS` by name."""
        return {name: getattr(self, name) for name in RATIOS}

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN), which is also F1."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN)."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """TP / (TP + FP)."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """TP / (TP + FN), the papers' sensitivity (SEN)."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """TN / (TN + FP)."""
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def accuracy(self) -> float:
        """(TP + TN) / all."""
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)


def count_overlap(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], *, voxels: int | None = None
) -> Overlap:
    """Count the overlap of two boolean masks of one shape.

    `voxels` is the size of the whole image if the masks are cropped from it.

    Raises:
        PancextError: the masks differ in shape, or one of them is not boolean.
    """
    if prediction.shape != truth.shape:
        raise PancextError(
            f"Overlap needs two masks of one shape, got prediction {prediction.shape} and ground truth "
            f"{truth.shape}. Resample the prediction to the grid of the ground truth first."
        )
    if prediction.dtype != np.bool_ or truth.dtype != np.bool_:
        raise PancextError(
            f"Overlap needs boolean masks, got prediction {prediction.dtype} and ground truth {truth.dtype}. "
            "Compare each label map with one label value first."
        )
    tp = int(np.count_nonzero(prediction & truth))
    fp, fn = int(np.count_nonzero(prediction)) - tp, int(np.count_nonzero(truth)) - tp
    return Overlap(tp=tp, fp=fp, fn=fn, tn=(prediction.size if voxels is None else voxels) - tp - fp - fn)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan

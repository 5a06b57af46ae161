"""Lesions detected and missed: components of one mask matched with those of another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

LEAST_IOU = 0.1  # usual in lesion detection (PI-CAI, PANORAMA)


@dataclass(frozen=True, kw_only=True)
class LesionCount:
    """Numbers of ground-truth lesions, of those detected, and of false positive components."""

    lesions: int
    detected: int
    false_positives: int


def count_lesions(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], *, least_iou: float = LEAST_IOU
) -> LesionCount:
    """Match the connected components of both masks one to one, detecting as many lesions as possible.

    A lesion is a component of voxels that touch by face, edge or corner. It is detected if a component of the
    prediction with an IoU of at least `least_iou` is matched to it. Unmatched components of the prediction
    are false positives.
    """
    touching = np.ones((3,) * truth.ndim, dtype=int)
    predicted, predictions = ndimage.label(prediction, structure=touching)
    true, lesions = ndimage.label(truth, structure=touching)
    both = (predicted > 0) & (true > 0)
    # Only overlapping components can match: a noisy prediction has thousands of components elsewhere.
    pairs, shared = np.unique(np.stack([true[both], predicted[both]]), axis=1, return_counts=True)
    sizes = np.bincount(true.ravel())[pairs[0]] + np.bincount(predicted.ravel())[pairs[1]]
    iou = shared / (sizes - shared)
    rows, row = np.unique(pairs[0], return_inverse=True)
    columns, column = np.unique(pairs[1], return_inverse=True)
    # The number of matches comes first; their IoU decides between equal numbers.
    gain = np.zeros((len(rows), len(columns)))
    gain[row, column] = np.where(iou >= least_iou, 1 + iou / (1 + lesions), 0)
    detected = int(np.count_nonzero(gain[linear_sum_assignment(gain, maximize=True)]))
    return LesionCount(lesions=lesions, detected=detected, false_positives=predictions - detected)

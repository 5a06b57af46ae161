"""Scores slice by slice, as papers on 2D networks report them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnunet_pancext.evaluation.overlap import RATIOS, count_overlap
from nnunet_pancext.evaluation.structure_measure import e_measure, s_measure


@dataclass(frozen=True, kw_only=True)
class SliceScores:
    """Means over the slices in which the ground truth holds the label; nan if there is no such slice.

    Precision is 0 in a slice without prediction and specificity is 1 in a slice that is all target, so that
    all means are over the same slices.
    """

    slices: int
    dice: float = math.nan
    iou: float = math.nan
    precision: float = math.nan
    recall: float = math.nan
    specificity: float = math.nan
    accuracy: float = math.nan
    s_measure: float = math.nan
    e_measure: float = math.nan


def score_slices(
    prediction: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    *,
    shape: tuple[int, ...],
    corner: tuple[int, ...] = (0, 0),
    ignored: Sequence[int] | None = None,
) -> SliceScores:
    """Score the slices (first axis) of two masks that hold the label.

    `shape` is that of a whole slice and `corner` the position of the masks in it; `ignored` counts the pixels
    of each slice that are not scored, which neither mask may hold.
    """
    numbers = np.flatnonzero(truth.any(axis=(1, 2))).tolist()
    if not numbers:
        return SliceScores(slices=0)
    overlaps = [
        count_overlap(prediction[n], truth[n], voxels=math.prod(shape) - (ignored[n] if ignored else 0))
        for n in numbers
    ]
    undefined = dict.fromkeys(RATIOS, 0) | {"specificity": 1}
    margins = [
        (start, size - start - part) for start, size, part in zip(corner, shape, truth.shape[1:], strict=True)
    ]
    pairs = [(np.pad(prediction[n], margins), np.pad(truth[n], margins)) for n in numbers]
    return SliceScores(
        slices=len(numbers),
        **{
            name: float(np.nan_to_num([overlap.ratios[name] for overlap in overlaps], nan=value).mean())
            for name, value in undefined.items()
        },
        s_measure=float(np.mean([s_measure(*pair) for pair in pairs])),
        e_measure=float(np.mean([e_measure(*pair) for pair in pairs])),
    )

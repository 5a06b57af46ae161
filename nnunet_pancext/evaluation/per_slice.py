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
    ratios = {}
    for ratio in RATIOS:
        undefined = 1 if ratio == "specificity" else 0
        values = np.nan_to_num([getattr(overlap, ratio) for overlap in overlaps], nan=undefined)
        ratios[ratio] = float(values.mean())
    pairs = [(_whole(prediction[n], shape, corner), _whole(truth[n], shape, corner)) for n in numbers]
    return SliceScores(
        slices=len(numbers),
        **ratios,
        s_measure=float(np.mean([s_measure(*pair) for pair in pairs])),
        e_measure=float(np.mean([e_measure(*pair) for pair in pairs])),
    )


def _whole(part: NDArray[np.bool_], shape: tuple[int, ...], corner: tuple[int, ...]) -> NDArray[np.bool_]:
    whole = np.zeros(shape, dtype=bool)
    whole[corner[0] : corner[0] + part.shape[0], corner[1] : corner[1] + part.shape[1]] = part
    return whole

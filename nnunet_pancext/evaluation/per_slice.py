"""Scores slice by slice, as papers on 2D networks report them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnunet_pancext.evaluation.overlap import Overlap, count_overlap
from nnunet_pancext.evaluation.structure_measure import e_measure, s_measure


@dataclass(frozen=True, kw_only=True)
class SliceScores:
    """Means over the slices in which the truth holds the label; nan where there is no such slice.

    A slice without a prediction has precision 0, and one that is all target specificity 1, so that all means
    go over the same slices.
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
    shape: tuple[int, int],
    corner: tuple[int, int] = (0, 0),
    ignored: Sequence[int] | None = None,
) -> SliceScores:
    """Score the slices (first axis) of two masks that hold the label.

    `shape` is that of a whole slice and `corner` the place of the masks in it; `ignored` are the numbers of
    pixels of each slice that are counted nowhere, which neither mask may hold.
    """
    numbers = np.flatnonzero(truth.any(axis=(1, 2))).tolist()
    if not numbers:
        return SliceScores(slices=0)
    counts = [
        count_overlap(
            prediction[number],
            truth[number],
            voxels=math.prod(shape) - (ignored[number] if ignored else 0),
        )
        for number in numbers
    ]
    pairs = [
        (_whole(prediction[number], shape, corner), _whole(truth[number], shape, corner))
        for number in numbers
    ]

    def mean(score: Callable[[Overlap], float], *, undefined: float = 0) -> float:
        return float(np.nan_to_num([score(one) for one in counts], nan=undefined).mean())

    return SliceScores(
        slices=len(numbers),
        dice=mean(lambda one: one.dice),
        iou=mean(lambda one: one.iou),
        precision=mean(lambda one: one.precision),
        recall=mean(lambda one: one.recall),
        specificity=mean(lambda one: one.specificity, undefined=1),
        accuracy=mean(lambda one: one.accuracy),
        s_measure=float(np.mean([s_measure(*pair) for pair in pairs])),
        e_measure=float(np.mean([e_measure(*pair) for pair in pairs])),
    )


def _whole(part: NDArray[np.bool_], shape: tuple[int, int], corner: tuple[int, int]) -> NDArray[np.bool_]:
    whole = np.zeros(shape, dtype=bool)
    whole[corner[0] : corner[0] + part.shape[0], corner[1] : corner[1] + part.shape[1]] = part
    return whole

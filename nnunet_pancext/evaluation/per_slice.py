"""Scores slice by slice, as papers on 2D networks report them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnunet_pancext.evaluation.overlap import Overlap, count_overlap
from nnunet_pancext.evaluation.structure_measure import e_measure, s_measure


@dataclass(frozen=True, kw_only=True)
class SliceScores:
    """Means over the slices in which the truth holds the label; nan where there is no such slice.

    A slice without a prediction has precision 0, so that all means go over the same slices.
    """

    slices: int
    dice: float = math.nan
    iou: float = math.nan
    precision: float = math.nan
    recall: float = math.nan
    s_measure: float = math.nan
    e_measure: float = math.nan


def score_slices(
    prediction: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    *,
    shape: tuple[int, int],
    corner: tuple[int, int] = (0, 0),
) -> SliceScores:
    """Score the slices (first axis) of two masks that hold the label.

    `shape` is that of a whole slice and `corner` the place of the masks in it.
    """
    numbers = np.flatnonzero(truth.any(axis=(1, 2)))
    if not len(numbers):
        return SliceScores(slices=0)
    counts = [count_overlap(prediction[number], truth[number]) for number in numbers]
    pairs = [
        (_whole(prediction[number], shape, corner), _whole(truth[number], shape, corner))
        for number in numbers
    ]

    def mean(score: Callable[[Overlap], float]) -> float:
        return float(np.nan_to_num([score(one) for one in counts]).mean())

    return SliceScores(
        slices=len(numbers),
        dice=mean(lambda one: one.dice),
        iou=mean(lambda one: one.iou),
        precision=mean(lambda one: one.precision),
        recall=mean(lambda one: one.recall),
        s_measure=float(np.mean([s_measure(*pair) for pair in pairs])),
        e_measure=float(np.mean([e_measure(*pair) for pair in pairs])),
    )


def _whole(part: NDArray[np.bool_], shape: tuple[int, int], corner: tuple[int, int]) -> NDArray[np.bool_]:
    whole = np.zeros(shape, dtype=bool)
    whole[corner[0] : corner[0] + part.shape[0], corner[1] : corner[1] + part.shape[1]] = part
    return whole

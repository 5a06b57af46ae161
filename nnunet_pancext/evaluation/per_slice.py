"""Scores slice by slice, as papers on 2D networks report them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nnunet_pancext.evaluation.overlap import RATIOS, count_overlap
from nnunet_pancext.evaluation.structure_measure import e_measure, s_measure


def score_slices(
    prediction: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    *,
    shape: tuple[int, ...],
    corner: tuple[int, ...] = (0, 0),
    ignored: Sequence[int] | None = None,
) -> dict[str, float]:
    """Return the number of slices (first axis) in which the ground truth has the label, and means over them.

    Precision is 0 in a slice without prediction and specificity is 1 in a slice that is all target, so that
    all means are over the same slices; there are none without such a slice. The names are those of
    `LabelScores`. `shape` is that of a whole slice and `corner` the position of the masks in it; `ignored`
    counts the pixels of each slice that are not scored, which neither mask may hold.
    """
    numbers = np.flatnonzero(truth.any(axis=(1, 2))).tolist()
    if not numbers:
        return {"slices": 0}
    overlaps = [
        count_overlap(prediction[n], truth[n], voxels=math.prod(shape) - (ignored[n] if ignored else 0))
        for n in numbers
    ]
    undefined = dict.fromkeys(RATIOS, 0) | {"specificity": 1}
    margins = [
        (start, size - start - part) for start, size, part in zip(corner, shape, truth.shape[1:], strict=True)
    ]
    pairs = [(np.pad(prediction[n], margins), np.pad(truth[n], margins)) for n in numbers]
    return {
        "slices": len(numbers),
        **{
            f"slice_{name}": float(np.nan_to_num([o.ratios[name] for o in overlaps], nan=value).mean())
            for name, value in undefined.items()
        },
        "s_measure": float(np.mean([s_measure(*pair) for pair in pairs])),
        "e_measure": float(np.mean([e_measure(*pair) for pair in pairs])),
    }

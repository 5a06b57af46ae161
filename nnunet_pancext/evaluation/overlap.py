"""Overlap of two masks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nnunet_pancext.errors import PancextError


def dice(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Dice coefficient 2|P ∩ T| / (|P| + |T|) of two boolean masks of one shape, in [0, 1].

    Two empty masks give nan, because there is nothing to agree on; exactly one empty mask gives 0.

    Raises:
        PancextError: the masks differ in shape, or one of them is not boolean.
    """
    if prediction.shape != truth.shape:
        raise PancextError(
            f"Dice needs two masks of one shape, got prediction {prediction.shape} and truth {truth.shape}. "
            "Resample the prediction to the grid of the truth first."
        )
    if prediction.dtype != np.bool_ or truth.dtype != np.bool_:
        raise PancextError(
            f"Dice needs boolean masks, got prediction {prediction.dtype} and truth {truth.dtype}. "
            "Compare each label map with one label value first."
        )
    total = np.count_nonzero(prediction) + np.count_nonzero(truth)
    if total == 0:
        return math.nan
    return 2 * np.count_nonzero(prediction & truth) / total

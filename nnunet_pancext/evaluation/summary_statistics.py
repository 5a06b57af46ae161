"""Mean, standard deviation and median of one metric over several cases."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, kw_only=True)
class SummaryStatistics:
    """Statistics of one metric over the `n` cases in which it is defined; in `infinite` of them it is inf.

    Mean and standard deviation (n - 1) are over finite values, the median is over all n. A distance is inf if
    only one of prediction and ground truth holds the label.
    """

    mean: float
    sd: float
    median: float
    n: int
    infinite: int


def summary_statistics(values: ArrayLike) -> SummaryStatistics:
    """Return the statistics of the values; nan is undefined and left out."""
    array = np.asarray(values, dtype=float)
    defined = array[~np.isnan(array)]
    finite = defined[np.isfinite(defined)]
    return SummaryStatistics(
        mean=float(finite.mean()) if len(finite) else math.nan,
        sd=float(finite.std(ddof=1)) if len(finite) > 1 else math.nan,
        median=float(np.median(defined)) if len(defined) else math.nan,
        n=len(defined),
        infinite=len(defined) - len(finite),
    )

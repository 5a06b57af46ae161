"""Mean, standard deviation and median of one metric over several cases."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, kw_only=True)
class SummaryStatistics:
    """Of one metric over cases: `n` have a value, in `infinite` of these n it is infinite.

    inf is the distance of a label that only one of prediction and truth holds. Mean and standard deviation
    (n - 1) are those of the finite values; the median is that of all n.
    """

    mean: float
    sd: float
    median: float
    n: int
    infinite: int


def summary_statistics(values: ArrayLike) -> SummaryStatistics:
    """Describe the values; nan is undefined and left out."""
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

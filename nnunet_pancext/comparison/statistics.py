"""Pure functions of numbers: summaries, bootstrap, paired test, correction, effect size.

nan is undefined and excluded everywhere. inf is the distance of a label that prediction or ground truth
lacks: it is included in ranks, medians, wins and losses, and excluded from means.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnunet_pancext.errors import PancextError

Values = NDArray[np.float64]
Interval = tuple[float, float]

ALPHA = 0.05
LEVEL = 0.95
RESAMPLES = 10_000
TIE_TOLERANCE = 1e-3  # in the metric's own unit: of a ratio, 1 in the last decimal that a table shows
# Pairs, in some 15 ms; more than any dataset here has. Above, the normal approximation is off by less than
# 0.001, and the exact distribution takes time that grows with the third power.
MOST_EXACT = 300
RANKED_DIGITS = 9  # significant digits of differences, counted from the leading digit of the largest
UNDEFINED: Interval = (math.nan, math.nan)


def paired_differences(values: ArrayLike, reference: ArrayLike) -> Values:
    """Return `values` - `reference` by pair: nan where one of them is, 0 where both are infinite."""
    first, second = np.asarray(values, dtype=float), np.asarray(reference, dtype=float)
    same = np.isinf(first) & (first == second)
    with np.errstate(invalid="ignore"):
        return np.where(same, 0.0, first - second)


class Bootstrap:
    """Expanded percentile intervals of means from resampled patients (Hesterberg, Am. Stat. 2015, section 4).

    All cases of a drawn patient are drawn together, and all intervals of one `Bootstrap` use the same
    draws. Plain percentiles are too narrow for few patients; expanded, they are as wide as Student's interval
    where that holds. They stay within the range of a metric and are defined for constant values, where the
    corrections of BCa are not.
    """

    def __init__(self, patients: Sequence[str], *, seed: int, resamples: int = RESAMPLES) -> None:
        self.patients = patients
        names, self._owner = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)
        self.num_patients = len(names)
        generator = np.random.default_rng(seed)
        shape = (resamples, self.num_patients)
        first_places = self.num_patients * np.arange(resamples)[:, None]
        drawn = generator.integers(0, self.num_patients, shape) + first_places
        # how often each patient is in each draw
        self._draws = np.bincount(drawn.ravel(), minlength=math.prod(shape)).reshape(shape).astype(float)

    def mean_interval(self, values: ArrayLike) -> Interval:
        """Return the 95 % interval of the mean of the finite values, one for each case.

        nan where fewer than two patients have one.
        """
        from scipy.stats import norm, t

        array = np.asarray(values, dtype=float)
        if array.shape != self._owner.shape:
            raise PancextError(f"{len(self._owner)} cases, but values of shape {array.shape}. Give one each.")
        finite = np.isfinite(array)
        counts = np.bincount(self._owner, weights=finite, minlength=self.num_patients)
        patients = int(np.count_nonzero(counts))
        if patients < 2:
            return UNDEFINED
        # around the mean, so that equal values give an interval of exactly that value
        centre = float(array[finite].mean())
        apart = np.where(finite, array, centre) - centre
        sums = np.bincount(self._owner, weights=apart, minlength=self.num_patients)
        drawn = self._draws @ counts
        with np.errstate(invalid="ignore", divide="ignore"):
            means = (self._draws @ sums) / drawn
        # The share of draws to exclude at each end: at most 2.5 %, less for fewer patients.
        quantile = t.ppf((1 + LEVEL) / 2, patients - 1)
        end = float(norm.cdf(-math.sqrt(patients / (patients - 1)) * quantile))
        low, high = np.quantile(means[drawn > 0], [end, 1 - end])
        return centre + float(low), centre + float(high)


def signed_rank_p(differences: ArrayLike) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test that the differences are symmetric about 0.

    Zeros are dropped, as Wilcoxon did; ties, equal in nine digits counted from the leading digit of the
    largest, share their mean rank. Up to 300 differences the distribution is exact, ties included; above it
    is scipy's normal approximation. Differences that are all 0 give 1, none at all nan.
    """
    signed = _signed_ranks(differences)
    if signed is None:
        return math.nan
    if not len(signed):
        return 1.0
    if len(signed) > MOST_EXACT:
        from scipy.stats import wilcoxon

        return float(wilcoxon(signed, zero_method="wilcox", correction=False).pvalue)
    # Middle ranks are halves, so twice the rank is whole. `ways[w]`: share of all signs with W+ = w / 2.
    doubled = np.rint(2 * np.abs(signed)).astype(int)
    ways = np.zeros(doubled.sum() + 1)
    ways[0] = 1.0
    reached = 1
    for rank in np.sort(doubled):
        part = ways[: reached + rank]
        part /= 2
        part[rank:] += part[:reached].copy()
        reached += rank
    positive = int(doubled[signed > 0].sum())
    return float(min(1.0, 2 * min(ways[: positive + 1].sum(), ways[positive:].sum())))


def rank_biserial(differences: ArrayLike) -> float:
    """Return the effect size of the signed-rank test, (W+ - W-) / (W+ + W-), from -1 to 1 (Kerby 2014).

    Zeros are dropped; differences that are all 0 give 0, none at all nan.
    """
    signed = _signed_ranks(differences)
    if signed is None:
        return math.nan
    return float(signed.sum() / np.abs(signed).sum()) if len(signed) else 0.0


def _signed_ranks(differences: ArrayLike) -> Values | None:
    """Return the ranks of the differences other than 0, or None if there is no difference at all."""
    from scipy.stats import rankdata

    array = np.asarray(differences, dtype=float)
    array = array[~np.isnan(array)]
    if not len(array):
        return None
    largest = np.abs(array[np.isfinite(array)]).max(initial=0)
    # 0.3 - 0.2 and 0.4 - 0.3 are equal differences, though not to the last bit.
    rounded = np.round(array / largest, RANKED_DIGITS) if largest > 0 else array
    kept = rounded[rounded != 0]
    return np.sign(kept) * rankdata(np.abs(kept))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: adjusted p, in the order given; nan stays nan and is not counted."""
    tested = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    least = 0.0
    for step, (p, place) in enumerate(tested):
        least = max(least, min(1.0, (len(tested) - step) * p))
        adjusted[place] = least
    return adjusted


def least_p(pairs: int) -> float:
    """Return the smallest two-sided p that the signed-rank test can give for a number of pairs."""
    return min(1.0, 2.0 ** (1 - pairs))


def wins_ties_losses(gains: ArrayLike) -> tuple[int, int, int]:
    """Count the gains above, within and below the tolerance of a tie, 0.001 in the metric's unit."""
    array = np.asarray(gains, dtype=float)
    groups = (array > TIE_TOLERANCE, np.abs(array) <= TIE_TOLERANCE, array < -TIE_TOLERANCE)
    wins, ties, losses = (int(np.count_nonzero(group)) for group in groups)
    return wins, ties, losses

"""The statistics against scipy, published examples, brute force and numbers by hand."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from nnunet_pancext.comparison.statistics import (
    Bootstrap,
    holm,
    least_p,
    paired_differences,
    rank_biserial,
    signed_rank_p,
    wins_ties_losses,
)
from nnunet_pancext.errors import PancextError

# Darwin 1876, cross- minus self-fertilised maize, in eighths of an inch; p as in scipy's manual
MAIZE = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]
# Hollander & Wolfe 1973, depression before and after a tranquilliser: V = 40, one-sided p = 5 / 256
BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]


def test_wilcoxon_of_darwins_maize():
    assert signed_rank_p(MAIZE) == pytest.approx(0.041259765625, abs=1e-12)
    # W- = 10 + 14 of 120
    assert rank_biserial(MAIZE) == pytest.approx((96 - 24) / 120)


def test_wilcoxon_of_hollander_and_wolfe():
    differences = np.subtract(BEFORE, AFTER)
    assert signed_rank_p(differences) == pytest.approx(2 * 5 / 256, abs=1e-12)
    assert rank_biserial(differences) == pytest.approx((40 - 5) / 45)


def test_wilcoxon_with_ties_is_the_count_of_all_signs():
    differences = [1, 1, -1, 2, 2, 3, -4]
    ranks = [2, 2, 2, 4.5, 4.5, 6, 7]  # middle ranks by hand
    observed = 2 + 2 + 4.5 + 4.5 + 6
    sums = [
        sum(rank for rank, up in zip(ranks, signs, strict=True) if up)
        for signs in product([True, False], repeat=7)
    ]
    larger = sum(total >= observed for total in sums) / len(sums)
    assert signed_rank_p(differences) == pytest.approx(2 * larger, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pairs", [6, 13, 50, 51, 300])
def test_wilcoxon_is_scipys_exact_test(pairs, seed):
    differences = np.random.default_rng(seed).normal(0.3, 1, pairs)
    expected = stats.wilcoxon(differences, method="exact").pvalue
    assert signed_rank_p(differences) == pytest.approx(expected, rel=1e-9)


def test_wilcoxon_of_many_pairs_is_scipys_approximation():
    differences = np.random.default_rng(0).integers(-8, 10, 400).astype(float)
    kept = differences[differences != 0]
    assert 300 < len(kept) < 400
    expected = stats.wilcoxon(kept, correction=False, method="asymptotic").pvalue
    assert signed_rank_p(differences) == pytest.approx(expected, rel=1e-9)


def test_both_ways_to_the_p_agree_where_they_meet():
    differences = np.random.default_rng(1).normal(0.1, 1, 300)
    approximate = stats.wilcoxon(differences, correction=False, method="asymptotic").pvalue
    assert signed_rank_p(differences) == pytest.approx(approximate, abs=0.001)


def test_equal_sizes_are_equal_whatever_their_last_bit():
    """Six gains and one loss of 0.1: W+ is 6 or 7 times the middle rank in 1 + 7 of 128 ways, W- as well."""
    differences = np.subtract([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.2], [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.3])
    assert len(set(np.abs(differences))) > 1
    assert signed_rank_p(differences) == pytest.approx(2 * 8 / 128)
    assert rank_biserial(differences) == pytest.approx(5 / 7)


def test_noise_beside_real_differences_is_no_difference():
    assert signed_rank_p([*MAIZE, 1e-12, -1e-13]) == signed_rank_p(MAIZE)
    assert rank_biserial([1e-13, 1, math.inf, -1]) == pytest.approx((1.5 + 3 - 1.5) / 6)


def test_zeros_are_dropped():
    assert signed_rank_p([*MAIZE, 0, 0, 0]) == signed_rank_p(MAIZE)
    assert rank_biserial([*MAIZE, 0]) == rank_biserial(MAIZE)


@pytest.mark.parametrize("pairs", [1, 5, 60])
def test_no_difference_at_all_has_p_1_and_no_effect(pairs):
    assert signed_rank_p([0.0] * pairs) == 1.0
    assert rank_biserial([0.0] * pairs) == 0.0


def test_without_pairs_there_is_no_test():
    assert math.isnan(signed_rank_p([math.nan, math.nan]))
    assert math.isnan(rank_biserial([]))


@pytest.mark.parametrize(("pairs", "expected"), [(1, 1.0), (5, 0.0625), (6, 0.03125)])
def test_the_least_p_is_that_of_differences_of_one_sign(pairs, expected):
    assert least_p(pairs) == expected
    assert signed_rank_p(range(1, pairs + 1)) == pytest.approx(expected)


def test_infinite_differences_have_the_largest_rank():
    assert signed_rank_p([1, 2, -math.inf]) == signed_rank_p([1, 2, -3])
    assert rank_biserial([1, 2, -math.inf]) == 0.0
    assert rank_biserial([1, 2, math.inf]) == 1.0


def test_holm_by_hand():
    # 0.005 * 4, 0.01 * 3, 0.03 * 2; 0.04 * 1 is not below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])


def test_holm_leaves_out_what_was_not_tested():
    adjusted = holm([math.nan, 0.01, math.nan, 0.04])
    assert adjusted[1::2] == pytest.approx([0.02, 0.04])
    assert math.isnan(adjusted[0])
    assert math.isnan(adjusted[2])


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_closed_test_of_bonferroni(seed):
    """A hypothesis is rejected when every set of hypotheses that holds it is, by Bonferroni."""
    p = np.random.default_rng(seed).uniform(0, 0.2, 6)
    expected = [
        max(
            min(1.0, len(chosen) * min(p[list(chosen)]))
            for size in range(1, 7)
            for chosen in combinations(range(6), size)
            if place in chosen
        )
        for place in range(6)
    ]
    assert holm(list(p)) == pytest.approx(expected)


def test_differences_leave_out_nan_and_tie_two_infinities():
    found = paired_differences([1, math.nan, math.inf, math.inf, 2], [3, 1, math.inf, 5, math.inf])
    np.testing.assert_array_equal(found, [-2, math.nan, 0, math.inf, -math.inf])


def test_wins_and_losses_with_ties_of_a_thousandth():
    gains = [0.5, 0.0011, 0.0009, 0, -0.0009, -0.0011, math.inf, -math.inf, math.nan]
    assert wins_ties_losses(gains) == (3, 3, 2)


def cases(number: int) -> list[str]:
    return [f"case_{index}" for index in range(number)]


@pytest.mark.parametrize("number", [8, 40])
def test_the_bootstrap_covers_the_mean(number):
    generator = np.random.default_rng(0)
    covered = 0
    for sample in range(500):
        values = generator.normal(0.8, 0.1, number)
        low, high = Bootstrap(cases(number), seed=sample, resamples=1000).mean_interval(values)
        covered += low <= 0.8 <= high
    assert 0.92 <= covered / 500 <= 0.98


def test_the_interval_is_that_of_drawn_means():
    values = np.random.default_rng(3).normal(0.7, 0.2, 25)
    generator = np.random.default_rng(4)
    means = values[generator.integers(0, 25, (20_000, 25))].mean(axis=1)
    end = stats.norm.cdf(-math.sqrt(25 / 24) * 2.0639)  # Student's t at 24 degrees of freedom, from a table
    expected = np.quantile(means, [end, 1 - end])
    assert Bootstrap(cases(25), seed=5).mean_interval(values) == pytest.approx(expected, abs=0.004)


def test_the_interval_of_normal_values_is_students():
    values = np.random.default_rng(8).normal(0.7, 0.2, 12)
    expected = stats.t.interval(0.95, 11, values.mean(), values.std(ddof=1) / math.sqrt(12))
    found = Bootstrap(cases(12), seed=0).mean_interval(values)
    assert np.diff(found) == pytest.approx(np.diff(expected), rel=0.06)


def test_the_bootstrap_is_the_same_for_a_seed():
    values = np.random.default_rng(7).normal(0, 1, 12)
    intervals = [Bootstrap(cases(12), seed=seed).mean_interval(values) for seed in (1, 1, 2)]
    assert intervals[0] == intervals[1] != intervals[2]


def test_cases_of_a_patient_are_drawn_together():
    """Each patient twice is as much information as each once, so the interval stays as wide."""
    values = np.random.default_rng(6).normal(0, 1, 20)
    once = Bootstrap(cases(20), seed=0).mean_interval(values)
    twice = Bootstrap(cases(20) * 2, seed=0).mean_interval(np.tile(values, 2))
    independent = Bootstrap(cases(40), seed=0).mean_interval(np.tile(values, 2))
    assert twice == pytest.approx(once)
    assert independent[1] - independent[0] < 0.8 * (once[1] - once[0])


def test_the_interval_of_equal_values_is_that_value():
    assert Bootstrap(cases(5), seed=0).mean_interval([0.3] * 5) == (0.3, 0.3)


def test_the_interval_leaves_out_nan_and_inf():
    values = np.arange(10.0)
    low, high = Bootstrap(cases(12), seed=0).mean_interval([*values, math.nan, math.inf])
    assert 0 < low < 4.5 < high < 9


def test_one_patient_has_no_interval():
    interval = Bootstrap(["a", "a", "b"], seed=0).mean_interval([1, 2, math.nan])
    assert all(math.isnan(end) for end in interval)


def test_the_bootstrap_wants_a_value_for_each_case():
    with pytest.raises(PancextError, match=r"3 cases, but values of shape \(2,\)\. Give one each"):
        Bootstrap(cases(3), seed=0).mean_interval([1, 2])

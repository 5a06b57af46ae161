"""Mean, standard deviation and median, worked by hand."""

import math

import pytest

from nnunet_pancext.evaluation.scores import summary_statistics


def test_undefined_values_are_left_out_and_infinite_ones_out_of_means():
    statistics = summary_statistics([1, 2, 6, math.inf, math.nan])
    assert (statistics.n, statistics.infinite, statistics.mean, statistics.median) == (4, 1, 3.0, 4.0)
    assert statistics.sd == pytest.approx(math.sqrt((4 + 1 + 9) / 2))


@pytest.mark.parametrize(("values", "n"), [([], 0), ([math.nan], 0)])
def test_statistics_of_no_value_are_undefined(values, n):
    statistics = summary_statistics(values)
    assert (statistics.n, statistics.infinite) == (n, 0)
    assert all(math.isnan(value) for value in (statistics.mean, statistics.sd, statistics.median))


def test_one_value_has_no_standard_deviation():
    statistics = summary_statistics([0.5])
    assert (statistics.n, statistics.mean, statistics.median) == (1, 0.5, 0.5)
    assert math.isnan(statistics.sd)


@pytest.mark.parametrize("values", [[1.0, math.inf], [math.inf, math.inf]])
def test_a_median_may_be_infinite(values):
    assert summary_statistics(values).median == math.inf

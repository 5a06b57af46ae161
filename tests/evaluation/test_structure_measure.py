"""S-measure and E-measure equal PySODMetrics', which most papers' numbers come from.

Its results are written out here, because PySODMetrics 1.6.2 cannot be installed beside numpy 2.4.
"""

import numpy as np
import pytest
from scipy import ndimage

from nnunet_pancext.evaluation.per_slice import e_measure, s_measure

SHAPE = (33, 40)


def blob(seed):
    noise = np.random.default_rng(seed).normal(size=SHAPE)
    return ndimage.gaussian_filter(noise, 3) > 0.05


def pixel(row, column):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[row, column] = True
    return mask


EMPTY, FULL = np.zeros(SHAPE, dtype=bool), np.ones(SHAPE, dtype=bool)


@pytest.mark.parametrize(
    ("prediction", "truth", "s", "mean_e"),
    [
        (blob(0), blob(50), 0.369311540722, 0.531698266022),
        (blob(1), blob(51), 0.287440325195, 0.597945732080),
        (blob(2), blob(52), 0.266873551455, 0.583078168556),
        (blob(3), blob(53), 0.241418525446, 0.446812980765),
        (blob(4), blob(54), 0.152668064947, 0.505292356935),
        (blob(1), blob(1), 1.000000000000, 0.997826241471),
        (EMPTY, blob(2), 0.397727272727, 0.250189537528),
        (FULL, blob(2), 0.102272727273, 0.250189537528),
        (blob(3), EMPTY, 0.553030303030, 0.551287670584),
        (blob(3), FULL, 0.446969696970, 0.449470479530),
        (EMPTY, EMPTY, 1.000000000000, 0.996848938590),
        (pixel(3, 4), pixel(3, 4), 1.000000000000, 0.997826241278),
        (pixel(3, 4), pixel(3, 5), 0.983344822669, 0.996692314170),
        (blob(4), pixel(0, 0), 0.365237347674, 0.252325914078),
    ],
)
def test_equals_pysodmetrics(prediction, truth, s, mean_e):
    assert s_measure(prediction, truth) == pytest.approx(s, abs=1e-10)
    assert e_measure(prediction, truth) == pytest.approx(mean_e, abs=1e-10)


def test_alpha_weighs_object_against_region():
    assert s_measure(blob(7), blob(8), alpha=0.2) == pytest.approx(0.11723225611245894)


def test_a_target_in_the_last_corner_is_defined():
    """Three of the four quarters about it are empty; PySODMetrics gives nan."""
    corner = pixel(32, 39)
    assert s_measure(corner, corner) == pytest.approx(1)
    assert 0 < s_measure(blob(4), corner) < 1

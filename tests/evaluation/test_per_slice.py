"""Scores per slice are means over slices of the ground truth."""

import numpy as np
import pytest

from nnunet_pancext.evaluation.per_slice import e_measure, s_measure, score_slices


@pytest.fixture
def masks():
    """Target in slices 1 (4 pixels) and 2 (2 pixels); half of slice 1 and a pixel of slice 3 predicted."""
    prediction, truth = np.zeros((2, 5, 6, 7), dtype=bool)
    truth[1, 2, 1:5], truth[2, 2, 1:3] = True, True
    prediction[1, 2, 1:3], prediction[3, 0, 0] = True, True
    return prediction, truth


def test_means_are_over_slices_with_target(masks):
    scores = score_slices(*masks, shape=(6, 7))
    assert scores["slices"] == 2
    assert scores["slice_dice"] == pytest.approx((2 * 2 / 6 + 0) / 2)
    assert scores["slice_iou"] == pytest.approx((2 / 4 + 0) / 2)
    assert scores["slice_recall"] == pytest.approx((2 / 4 + 0) / 2)
    assert scores["slice_precision"] == pytest.approx((1 + 0) / 2)
    assert scores["slice_specificity"] == 1  # the false pixel is in a slice without target
    assert scores["slice_accuracy"] == pytest.approx(((42 - 2) / 42 + (42 - 2) / 42) / 2)
    pairs = [(masks[0][number], masks[1][number]) for number in (1, 2)]
    assert scores["s_measure"] == pytest.approx(np.mean([s_measure(*pair) for pair in pairs]))
    assert scores["e_measure"] == pytest.approx(np.mean([e_measure(*pair) for pair in pairs]))


def test_a_part_of_the_slices_gives_the_same(masks):
    parts = [mask[1:4, :3, 0:5] for mask in masks]
    assert score_slices(*parts, shape=(6, 7)) == score_slices(*masks, shape=(6, 7))
    parts = [mask[1:4, 2:3, 1:5] for mask in (masks[0] & masks[1], masks[1])]
    assert score_slices(*parts, shape=(6, 7), corner=(2, 1)) == score_slices(
        masks[0] & masks[1], masks[1], shape=(6, 7)
    )


def test_false_pixels_lower_specificity_and_accuracy(masks):
    masks[0][2, 0, :4] = True
    scores = score_slices(*masks, shape=(6, 7))
    assert scores["slice_specificity"] == pytest.approx((1 + 36 / 40) / 2)
    assert scores["slice_accuracy"] == pytest.approx((40 / 42 + 36 / 42) / 2)


def test_ignored_pixels_are_counted_nowhere(masks):
    masks[0][2, 0, :4] = True
    scores = score_slices(*masks, shape=(6, 7), ignored=[0, 20, 30, 0, 0])
    assert scores["slice_specificity"] == pytest.approx((1 + 6 / 10) / 2)
    assert scores["slice_accuracy"] == pytest.approx((20 / 22 + 6 / 12) / 2)


def test_a_slice_that_is_all_target_has_no_false_pixel(masks):
    scores = score_slices(*masks, shape=(6, 7), ignored=[0, 38, 40, 0, 0])
    assert scores["slice_specificity"] == 1
    assert scores["slice_accuracy"] == pytest.approx((2 / 4 + 0) / 2)


def test_without_target_all_is_undefined():
    empty = np.zeros((3, 4, 4), dtype=bool)
    # LabelScores leaves what it is not given undefined.
    assert score_slices(~empty, empty, shape=(4, 4)) == {"slices": 0}

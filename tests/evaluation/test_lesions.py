"""Lesions are matched one to one, by hand."""

import numpy as np
import pytest

from nnunet_pancext.evaluation.lesions import count_lesions


def row(*runs, length=40):
    """A mask of one row with a run of voxels from each start to each end."""
    mask = np.zeros((1, 1, length), dtype=bool)
    for start, end in runs:
        mask[0, 0, start:end] = True
    return mask


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [
        (row(), row(), (0, 0, 0)),
        (row((0, 3)), row(), (0, 0, 1)),
        (row(), row((0, 3), (5, 6)), (2, 0, 0)),
        (row((0, 3), (5, 6)), row((0, 3), (5, 6)), (2, 2, 0)),
        # 1 of 10 voxels shared is an IoU of 0.1, just enough; 1 of 11 is not
        (row((9, 10)), row((0, 10)), (1, 1, 0)),
        (row((10, 11)), row((0, 11)), (1, 0, 1)),
        # one component over two lesions detects one of them
        (row((0, 20)), row((0, 9), (11, 20)), (2, 1, 0)),
        # two components in one lesion: one detects it, the other is false
        (row((0, 9), (11, 20)), row((0, 20)), (1, 1, 1)),
        # the first component overlaps both lesions, the second one more; both are detected all the same
        (row((3, 13), (15, 16)), row((0, 5), (7, 16)), (2, 2, 0)),
    ],
)
def test_counts(prediction, truth, expected):
    counted = count_lesions(prediction, truth)
    assert (counted.lesions, counted.detected, counted.false_positives) == expected


def test_voxels_that_touch_by_a_corner_are_one_lesion():
    mask = np.zeros((3, 3, 3), dtype=bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[2, 2, 2] = True
    assert count_lesions(mask, mask).lesions == 1


def test_a_noisy_prediction_needs_no_large_table():
    noise = np.zeros((60, 80, 80), dtype=bool)
    noise[::2, ::2, ::2] = True
    truth = np.zeros_like(noise)
    truth[::4, ::4, ::4] = True
    counted = count_lesions(noise, truth)
    assert counted.detected == counted.lesions == truth.sum()
    assert counted.false_positives == noise.sum() - truth.sum()

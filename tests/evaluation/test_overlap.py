import math

import numpy as np
import pytest

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.overlap import count_overlap


def square(row: int, column: int) -> np.ndarray:
    mask = np.zeros((6, 6), dtype=bool)
    mask[row : row + 3, column : column + 3] = True
    return mask


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [
        (square(1, 1), square(1, 1), 1.0),
        (square(1, 2), square(1, 1), 2 * 6 / 18),
        (square(2, 2), square(1, 1), 2 * 4 / 18),
        (square(3, 3), square(0, 0), 0.0),
    ],
    ids=["same", "shifted by one column", "shifted by one row and column", "apart"],
)
def test_dice_of_squares_of_nine_pixels(prediction: np.ndarray, truth: np.ndarray, expected: float) -> None:
    assert count_overlap(prediction, truth).dice == pytest.approx(expected)


def test_dice_of_two_empty_masks_is_undefined() -> None:
    empty = np.zeros((2, 3, 4), dtype=bool)
    assert math.isnan(count_overlap(empty, empty).dice)


def test_dice_is_zero_when_exactly_one_mask_is_empty() -> None:
    empty = np.zeros((6, 6), dtype=bool)
    assert count_overlap(empty, square(0, 0)).dice == 0
    assert count_overlap(square(0, 0), empty).dice == 0


def test_dice_refuses_masks_of_different_shape() -> None:
    with pytest.raises(PancextError, match=r"prediction \(2, 3\) and ground truth \(3,\)"):
        count_overlap(np.ones((2, 3), dtype=bool), np.ones(3, dtype=bool))


def test_dice_refuses_label_maps() -> None:
    with pytest.raises(PancextError, match="boolean masks, got prediction uint8"):
        count_overlap(np.ones((2, 2), dtype=np.uint8), np.ones((2, 2), dtype=bool))

"""Boxes around the parts of a mask, with numbers worked out by hand."""

import numpy as np
import pytest

from nnunet_pancext.inference.crops import boxes_around, extended, grown_where, merged, sides_reached

SHAPE = (20, 40, 40)


def box(*ends):
    return tuple(slice(start, stop) for start, stop in ends)


def test_each_part_has_a_box_of_at_least_the_patch():
    mask = np.zeros(SHAPE, bool)
    mask[2:4, 10:14, 10:14] = mask[15, 30, 30] = True
    assert boxes_around(mask, (1, 2, 3), least=(4, 8, 16)) == [
        box((1, 5), (8, 16), (4, 20)),
        box((14, 18), (27, 35), (23, 39)),
    ]


def test_voxels_that_touch_by_a_corner_are_one_part():
    mask = np.zeros(SHAPE, bool)
    mask[5, 5, 5] = mask[6, 6, 6] = True
    assert boxes_around(mask, (0, 0, 0), least=(1, 1, 1)) == [box((5, 7), (5, 7), (5, 7))]


def test_boxes_that_overlap_only_when_extended_are_one():
    mask = np.zeros(SHAPE, bool)
    mask[5, 5, 5] = mask[5, 5, 12] = True
    assert len(boxes_around(mask, (0, 0, 0), least=(1, 1, 7))) == 2
    assert boxes_around(mask, (0, 0, 0), least=(1, 1, 9)) == [box((5, 6), (5, 6), (1, 17))]


def test_a_scattered_mask_has_one_box():
    mask = np.zeros((20, 40, 40), bool)
    mask[1::4, 1::4, 1::4] = True  # 500 single voxels
    assert boxes_around(mask, (0, 0, 0), least=(1, 1, 1)) == [box((1, 18), (1, 38), (1, 38))]


def test_merging_goes_on_while_the_merged_box_meets_others():
    first, second = box((0, 2), (0, 2), (0, 2)), box((4, 6), (4, 6), (4, 6))
    apart = box((8, 9), (0, 1), (0, 1))
    bridge = box((1, 5), (1, 5), (1, 5))
    assert merged([first, second, apart]) == [first, second, apart]
    assert merged([first, second, apart, bridge]) == [apart, box((0, 6), (0, 6), (0, 6))]
    assert merged([first, box((2, 3), (0, 2), (0, 2))]) == [first, box((2, 3), (0, 2), (0, 2))]  # touch


@pytest.mark.parametrize(
    ("side", "expected"), [((9, 11), (7, 13)), ((0, 1), (0, 6)), ((19, 20), (14, 20)), ((2, 12), (2, 12))]
)
def test_an_extended_box_stays_inside(side, expected):
    whole = box(side, (0, 40), (3, 5))
    assert extended(whole, (6, 1, 2), within=SHAPE) == box(expected, (0, 40), (3, 5))


def test_a_box_grows_at_sides_within_the_image_alone():
    place, image = box((0, 10), (5, 15), (5, 36)), box((0, 20), (0, 40), (4, 36))
    mask = np.zeros((10, 10, 31), bool)
    mask[0, 0, 30] = mask[9, 4, 4] = True
    reached = sides_reached(mask, place, within=image)
    assert reached == [(False, True), (True, False), (False, False)]
    assert grown_where(place, reached, (3, 7, 9), within=SHAPE) == box((0, 13), (0, 15), (5, 36))

"""The box around a region, the image in it, and putting a result back."""

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.raw_cases.region_box import cut, region_box, restore_box

SHAPE = (10, 20, 30)


def region(*voxels: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for voxel in voxels:
        mask[voxel] = True
    return mask


def ends(box):
    return [(side.start, side.stop) for side in box]


@pytest.mark.parametrize(
    ("voxels", "margin_mm", "expected"),
    [
        ([(4, 5, 6)], (0, 0, 0), [(4, 5), (5, 6), (6, 7)]),
        # 3 mm are one slice of 3 mm, and 2 and 3 of the pixels of 2 and 1 mm
        ([(4, 5, 6)], (3, 3, 3), [(3, 6), (3, 8), (3, 10)]),
        ([(4, 5, 6)], (3.5, 0, 0), [(2, 7), (5, 6), (6, 7)]),
        ([(0, 0, 0), (9, 19, 29)], (5, 5, 5), [(0, 10), (0, 20), (0, 30)]),  # clipped at both ends
        ([(4, 5, 6), (4, 15, 25)], (0, 0, 0), [(4, 5), (5, 16), (6, 26)]),  # around both components
    ],
)
def test_the_box_holds_all_of_the_region_and_the_margin_inside_the_image(voxels, margin_mm, expected):
    box = region_box(region(*voxels), margin_mm=margin_mm, spacing_mm=(3.0, 2.0, 1.0))
    assert ends(box) == expected


def test_a_margin_of_whole_voxels_is_not_rounded_up_by_the_last_bit():
    box = region_box(region((5, 5, 5)), margin_mm=(0, 0.3, 0.6), spacing_mm=(1, 0.1, 0.2))
    assert ends(box) == [(5, 6), (2, 9), (2, 9)]


def test_an_empty_region_has_no_box():
    assert region_box(region(), margin_mm=(1, 1, 1), spacing_mm=(1, 1, 1)) is None


BOX = (slice(1, 4), slice(2, 9), slice(5, 25))


@pytest.mark.parametrize("pixel", [np.int16, np.uint8, np.float32])
def test_the_part_is_that_of_simpleitk_where_it_was(pixel):
    image = sitk.GetImageFromArray(np.arange(6000).reshape(SHAPE).astype(pixel))
    image.SetSpacing((0.7, 0.8, 3.0))
    image.SetOrigin((-120.5, 33.25, 900))
    image.SetDirection((0.6, -0.8, 0, -0.8, -0.6, 0, 0, 0, -1))
    part = cut(image, BOX)
    expected = sitk.RegionOfInterest(image, (20, 7, 3), (5, 2, 1))
    assert (sitk.GetArrayFromImage(part) == sitk.GetArrayFromImage(expected)).all()
    for name in ("GetOrigin", "GetSpacing", "GetDirection", "GetPixelID"):
        assert getattr(part, name)() == pytest.approx(getattr(expected, name)())


def test_channels_in_a_fourth_axis_and_slices_are_cut_too():
    channels = sitk.GetImageFromArray(np.zeros((2, *SHAPE), np.float32), isVector=False)
    assert cut(channels, BOX).GetSize() == (20, 7, 3, 2)
    colours = sitk.GetImageFromArray(np.zeros((20, 30, 3), np.uint8), isVector=True)
    part = cut(colours, (slice(0, 1), *BOX[1:]))
    assert (part.GetSize(), part.GetNumberOfComponentsPerPixel()) == ((20, 7), 3)


def test_a_result_is_put_back_exactly():
    values = np.random.default_rng(0).integers(0, 3, (3, 7, 20)).astype(np.uint8)
    whole = restore_box(values, BOX, size=SHAPE)
    assert whole.shape == SHAPE
    assert whole.dtype == np.uint8
    assert (whole[1:4, 2:9, 5:25] == values).all()
    assert whole.sum() == values.sum()  # nothing outside

"""Colours in CIELab are those of an independent conversion."""

import pytest

from nnunet_pancext.dicom_output.colours import SEGMENT_COLOURS, cielab_of
from nnunet_pancext.figures.overlay import COLOURS, PREDICTION


def test_white_black_and_grey_have_no_hue():
    # a = b = 0 is (0 + 128) / 255 of 65535, which is 32896.
    assert cielab_of("#ffffff") == [65535, 32896, 32896]
    assert cielab_of("#000000") == [0, 32896, 32896]
    assert cielab_of("#777777")[1:] == [32896, 32896]


@pytest.mark.parametrize("colour", [*SEGMENT_COLOURS, "#ff0000", "#00ff00", "#0000ff"])
def test_colours_are_those_of_littlecms(colour):
    from PIL import Image, ImageCms

    rgb = Image.new("RGB", (1, 1), colour)
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lightness, a, b = ImageCms.applyTransform(rgb, transform).getpixel((0, 0))
    expected = [lightness / 255 * 100, a - 128, b - 128]
    actual = cielab_of(colour)
    found = [actual[0] / 65535 * 100, *(number / 65535 * 255 - 128 for number in actual[1:])]
    assert found == pytest.approx(expected, abs=1.1)  # LittleCMS gives whole numbers


def test_first_colours_are_those_of_predictions_in_figures():
    assert SEGMENT_COLOURS[:3] == COLOURS[PREDICTION]

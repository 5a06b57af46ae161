"""Colours as DICOM writes them: CIELab under the illuminant D50, as whole numbers."""

import numpy as np

# From linear sRGB to XYZ under D50, the illuminant of ICC profiles; D65 adapted by Bradford's matrix
# (Lindbloom, http://www.brucelindbloom.com, "RGB/XYZ Matrices").
TO_XYZ = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
WHITE = TO_XYZ.sum(axis=1)
# Those of predictions in figures, then others that differ from them.
SEGMENT_COLOURS = (
    *("#2bdc5a", "#35d0ff", "#d4ff5c"),
    *("#d9792b", "#b0589b", "#c0504d", "#8a7fd1", "#9b8237", "#4aa39a", "#2b8fb3"),
)


def cielab_of(colour: str) -> list[int]:
    """Return '#rrggbb' as the three numbers of RecommendedDisplayCIELabValue."""
    srgb = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ linear / WHITE
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    lightness, a, b = 116 * y - 16, 500 * (x - y), 200 * (y - z)
    # PS3.3 C.10.7.1.1: lightness 0 to 100 and a, b -128 to 127 over the range of 16 bits.
    scaled = np.array([lightness / 100, (a + 128) / 255, (b + 128) / 255]) * 65535
    return [int(number) for number in np.clip(np.rint(scaled), 0, 65535)]

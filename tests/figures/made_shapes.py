"""Boxes in a small volume, and the colours in which pictures draw them."""

import numpy as np

SHAPE, SPACING = (40, 60, 80), (1.5, 1.5, 3.0)
RED, GREEN, ORANGE, CYAN = (0xFF, 0x3B, 0x3B), (0x2B, 0xDC, 0x5A), (0xFF, 0xB0, 0x2E), (0x35, 0xD0, 0xFF)


def box(slices: slice, rows: slice, columns: slice, value: int = 1) -> np.ndarray:
    array = np.zeros(SHAPE, dtype=np.uint8)
    array[slices, rows, columns] = value
    return array


EMPTY = box(slice(0), slice(0), slice(0))
CUBE = box(slice(16, 26), slice(20, 40), slice(30, 50))

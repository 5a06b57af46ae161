"""Boxes around a predicted region: cutting an image to one, and putting a result back."""

from collections.abc import Sequence
from math import ceil

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

Box = tuple[slice, ...]  # slice, row, column


def region_box(
    region: NDArray[np.bool_], *, margin_mm: Sequence[float], spacing_mm: Sequence[float]
) -> Box | None:
    """Return the box around all voxels of the region, every component; None if it is empty.

    It is grown by at least the margin on each side, as far as the image goes. Margin and spacing are in the
    order slice, row, column.
    """
    if not region.any():
        return None
    box = []
    for axis, (margin, spacing) in enumerate(zip(margin_mm, spacing_mm, strict=True)):
        others = tuple(other for other in range(region.ndim) if other != axis)
        inside = np.flatnonzero(region.any(axis=others))
        reach = ceil(round(margin / spacing, 6))
        box.append(
            slice(max(0, int(inside[0]) - reach), min(region.shape[axis], int(inside[-1]) + 1 + reach))
        )
    return tuple(box)


def cut(image: sitk.Image, box: Box) -> sitk.Image:
    """Return the part of a 2D, 3D or, with channels as the last axis, 4D image; it stays where it was."""
    axes = image.GetDimension()
    sides = [slice(side.start, side.stop) for side in reversed(box)]  # SimpleITK's order is x, y, z
    return image[tuple([*sides, slice(None)][:axes])]


def restore_box(values: NDArray[np.generic], box: Box, *, size: Sequence[int]) -> NDArray[np.generic]:
    """Return values (slice, row, column) of a box in an image of the given size, zero around it."""
    whole = np.zeros(tuple(size), values.dtype)
    whole[box] = values
    return whole

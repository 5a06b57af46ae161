"""Axial, coronal and sagittal slices of a volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

# Columns run to the left, rows to the back, slices to the feet: drawn as stored, every plane follows the
# radiological convention (patient right on the left, feet down).
DISPLAY_ORIENTATION = "LPI"


@dataclass(frozen=True, kw_only=True)
class Plane:
    """A slice of an array (slice, row, column) perpendicular to `axis`.

    `edges` are the directions at its left, right, top and bottom.
    """

    name: str
    axis: int
    edges: str

    def cut(self, volume: NDArray[np.generic], centre: tuple[int, int, int]) -> NDArray[np.generic]:
        """Return the slice (row, column) through the voxel `centre`."""
        return np.moveaxis(volume, self.axis, 0)[centre[self.axis]]

    def pixel_mm(self, spacing_mm: tuple[float, float, float]) -> tuple[float, float]:
        """Return height and width of a pixel, from the spacing along (slice, row, column)."""
        height, width = (spacing_mm[axis] for axis in range(3) if axis != self.axis)
        return height, width


AXIAL = Plane(name="Axial", axis=0, edges="RLAP")
CORONAL = Plane(name="Coronal", axis=1, edges="RLSI")
SAGITTAL = Plane(name="Sagittal", axis=2, edges="APSI")


def display_array(image: sitk.Image) -> tuple[NDArray[np.generic], tuple[float, float, float]]:
    """Return the array (slice, row, column) of `image` as displayed, and its spacing in mm."""
    oriented = sitk.DICOMOrient(image, DISPLAY_ORIENTATION)
    across, down, along = oriented.GetSpacing()
    return sitk.GetArrayFromImage(oriented), (along, down, across)


def central_voxel(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return the voxel of `mask` nearest to its centre of mass, or the centre of the array if it is empty.

    The centre of mass itself may be outside a curved organ.
    """
    voxels = np.argwhere(mask)
    if len(voxels) == 0:
        voxels = np.array([mask.shape]) // 2
    nearest = np.square(voxels - voxels.mean(axis=0)).sum(axis=1).argmin()
    first, second, third = voxels[nearest].tolist()
    return first, second, third

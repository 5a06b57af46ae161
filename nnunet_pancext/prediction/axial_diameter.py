"""The longest diameter of a structure in an axial slice, as a radiologist measures it with a calliper."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

CORNERS = np.array([(-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)])
FEW = 64  # corners, of which all pairs are as fast as a hull


def longest_axial_diameter(
    voxels: NDArray[np.intp], *, steps_mm: NDArray[np.float64], slice_axis: int
) -> float:
    """Return the longest distance in mm between two corners of voxels (N, 3) that lie in one slice.

    The slices are perpendicular to the array axis `slice_axis`; column i of `steps_mm` is the way in the
    patient from a voxel to the next one along the array axis i. Of a single voxel it is the diagonal. It is
    measured across gaps and hollows, as a calliper does.
    """
    down, across = (axis for axis in range(3) if axis != slice_axis)
    in_plane_mm = steps_mm[:, [down, across]]
    longest_mm = 0.0
    slices = _slices(voxels[:, [slice_axis, down, across]])
    # The diagonal of a slice's box is an upper bound: most slices need not be measured.
    bounds_mm = [_box_diagonal(ends, in_plane_mm) for ends in slices]
    for number in np.argsort(bounds_mm)[::-1].tolist():
        if bounds_mm[number] <= longest_mm:
            break
        corners = (slices[number][:, None] + CORNERS).reshape(-1, 2)
        # A hull of voxels in the array is also one in the patient: the map between them is affine.
        outer = corners if len(corners) <= FEW else corners[ConvexHull(corners).vertices]
        longest_mm = max(longest_mm, float(pdist(outer @ in_plane_mm.T).max()))
    return longest_mm


def _slices(voxels: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return for each slice the first and the last voxel (row, column) of every row; others never count."""
    slice_, row, column = voxels[np.lexsort(voxels.T[::-1])].T
    is_first = np.ones(len(voxels) + 1, dtype=bool)
    is_first[1:-1] = (np.diff(slice_) != 0) | (np.diff(row) != 0)
    is_end = is_first[:-1] | is_first[1:]
    ends = np.stack([row[is_end], column[is_end]], axis=1)
    return np.split(ends, np.flatnonzero(np.diff(slice_[is_end])) + 1)


def _box_diagonal(voxels: NDArray[np.intp], in_plane_mm: NDArray[np.float64]) -> float:
    """Return the longer diagonal in mm of the box (a parallelogram where axes are sheared) around voxels."""
    height, width = np.ptp(voxels, axis=0) + 1
    diagonals = np.array([[height, width], [height, -width]]) @ in_plane_mm.T
    return float(np.linalg.norm(diagonals, axis=1).max())

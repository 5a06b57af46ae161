"""Distances between the surfaces of two masks, in mm."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from nnunet_pancext.errors import PancextError

# Headers store spacings in single precision, so that five voxels of 0.2 mm may be more than 1 mm.
ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class SurfaceDistances:
    """Distance of each surface voxel to the nearest surface voxel of the other mask, in mm.

    `to_truth` starts from the prediction's surface, `to_prediction` from that of the ground truth. If one
    mask is empty, the distances from the other are infinite.
    """

    to_truth: NDArray[np.float64]
    to_prediction: NDArray[np.float64]

    @property
    def hd95_mm(self) -> float:
        """The larger of the two directions' 95th percentiles; nan for two empty masks, inf for one."""
        if not self._all.size:
            return math.nan
        if not self.to_truth.size or not self.to_prediction.size:
            return math.inf
        return float(max(np.percentile(self.to_truth, 95), np.percentile(self.to_prediction, 95)))

    @property
    def assd_mm(self) -> float:
        """Mean of all distances of both directions; nan for two empty masks, inf for one."""
        return float(self._all.mean()) if self._all.size else math.nan

    def nsd(self, tolerance_mm: float) -> float:
        """Share of both surfaces within `tolerance_mm` of the other; nan for two empty masks, 0 for one."""
        return float(np.mean(self._all <= tolerance_mm * (1 + ROUNDING))) if self._all.size else math.nan

    @property
    def _all(self) -> NDArray[np.float64]:
        return np.concatenate([self.to_truth, self.to_prediction])


def surface_distances(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], *, spacing_mm: Sequence[float]
) -> SurfaceDistances:
    """Measure from surface voxel to nearest surface voxel, centre to centre.

    A voxel is on the surface if one of its faces borders on a voxel outside the mask or on the edge of the
    image. `spacing_mm` is in the order of the masks' axes.

    Raises:
        PancextError: the masks differ in shape, or the spacing does not fit or is not positive.
    """
    if prediction.shape != truth.shape or len(spacing_mm) != truth.ndim or min(spacing_mm) <= 0:
        raise PancextError(
            "Surface distances need two masks of one shape and a positive spacing for each axis, got "
            f"{prediction.shape}, {truth.shape} and {tuple(spacing_mm)} mm."
        )
    points = [np.argwhere(surface(mask)) * np.asarray(spacing_mm) for mask in (prediction, truth)]
    return SurfaceDistances(
        to_truth=_nearest(points[0], points[1]), to_prediction=_nearest(points[1], points[0])
    )


def surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the voxels of a mask that have a face on the outside."""
    padded = np.pad(mask, 1)
    inside = mask.copy()
    for axis in range(mask.ndim):
        for neighbour in (slice(0, -2), slice(2, None)):
            shifted = [slice(1, -1)] * mask.ndim
            shifted[axis] = neighbour
            inside &= padded[tuple(shifted)]
    return mask & ~inside


def _nearest(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(points) or not len(others):
        return np.full(len(points), math.inf)
    # A surface has few voxels: their tree costs a tenth of a distance map of the whole volume.
    return KDTree(others).query(points)[0]

"""One phantom case: image, label map and their position in the scanner."""

from dataclasses import dataclass

import numpy as np

from nnunet_pancext.errors import PancextError
from nnunet_pancext.phantom.anatomy import NOISE_STREAM, Anatomy, random_stream, sample_anatomy
from nnunet_pancext.phantom.difficulty import DIFFICULTIES, Difficulty
from nnunet_pancext.phantom.pancreas import TUMOUR_LABEL
from nnunet_pancext.phantom.render import VoxelGrid, paint, scan

DEFAULT_SIZE = (40, 80, 80)
SMALLEST_SIZE = (16, 32, 32)


@dataclass(frozen=True, kw_only=True)
class PhantomCase:
    """A CT with its label map; the array axes run z to superior, y to anterior, x to the patient's right."""

    image: np.ndarray  # (Z, Y, X) int16, HU
    label: np.ndarray  # (Z, Y, X) uint8: 0 background, 1 pancreas, 2 tumour
    spacing_mm: tuple[float, float, float]  # (z, y, x)
    # (x, y, z) of the first voxel in the scanner, right, anterior and superior positive, as in a NIfTI affine
    origin_mm: tuple[float, float, float]
    lesion_diameter_mm: float | None  # mean diameter of the tumour, None without one
    lesion_centre_voxel: tuple[int, int, int] | None  # (z, y, x) of its centre


def make_phantom_case(*, seed: int, index: int, size: tuple[int, int, int], difficulty: str) -> PhantomCase:
    """Return case `index` (1, 2, ...) of the series `seed`, on a grid of `size` (Z, Y, X) voxels.

    The image always covers the whole body (about 345 mm wide, 235 mm long, varying by case), so a larger
    size shows the same patient in finer voxels. A tumour smaller than a voxel is still labelled, in the voxel
    of its centre, as a reader would mark it. PancextError for an argument out of range.
    """
    numbers = check_request(seed=seed, size=size, difficulty=difficulty)
    if index < 1:
        raise PancextError(f"phantom case index {index} does not exist: count from 1")
    anatomy = sample_anatomy(seed=seed, index=index, difficulty=numbers)
    grid = voxel_grid(anatomy, size=size)
    image, label = paint(anatomy.layers, grid)
    lesion, centre = anatomy.lesion, None
    if lesion:
        axes = enumerate(reversed(lesion.centre_mm))
        z, y, x = (int(np.abs(grid.axis_mm(axis) - place).argmin()) for axis, place in axes)
        centre = z, y, x
        label[centre] = TUMOUR_LABEL
    rng = random_stream(seed=seed, index=index, stream=NOISE_STREAM)
    first = np.array([grid.axis_mm(axis)[0] for axis in (2, 1, 0)]) - grid.centre_mm
    right, anterior, superior = first + anatomy.scan.isocentre_mm
    return PhantomCase(
        image=scan(image, grid, rng, noise_sd_hu=numbers.noise_sd_hu),
        label=label,
        spacing_mm=grid.spacing_mm,
        origin_mm=(float(right), float(anterior), float(superior)),
        lesion_diameter_mm=lesion.diameter_mm if lesion else None,
        lesion_centre_voxel=centre,
    )


def check_request(*, seed: int, size: tuple[int, int, int], difficulty: str) -> Difficulty:
    """Return the difficulty by name; PancextError if unknown, or for a negative seed or too small a size."""
    if seed < 0:
        raise PancextError(f"phantom seed {seed} is negative: give 0 or a positive whole number")
    if len(size) != 3 or any(length < least for length, least in zip(size, SMALLEST_SIZE, strict=True)):
        raise PancextError(
            f"phantom size {' '.join(map(str, size))} is too small to hold a pancreas: "
            f"give Z Y X of at least {' '.join(map(str, SMALLEST_SIZE))} voxels"
        )
    if difficulty not in DIFFICULTIES:
        known = ", ".join(DIFFICULTIES)
        raise PancextError(f"unknown phantom difficulty {difficulty!r}: choose one of {known}")
    return DIFFICULTIES[difficulty]


def voxel_grid(anatomy: Anatomy, *, size: tuple[int, int, int]) -> VoxelGrid:
    """Return the grid of `size` voxels over the scan; the shorter of Y and X spans the field of view."""
    in_plane = round(float(anatomy.scan.field_of_view_mm) / min(size[1:]), 6)
    between = round(anatomy.scan.coverage_mm / size[0], 6)
    return VoxelGrid(size=size, spacing_mm=(between, in_plane, in_plane), centre_mm=anatomy.scan.centre_mm)

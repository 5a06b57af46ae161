"""From layers to voxels: painting on a fine grid, averaging to voxels, the scanner's blur and noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnunet_pancext.phantom.shapes import Layer

AIR_HU, LOWEST_HU, HIGHEST_HU = -1000.0, -1024, 3071
FINE_SPACING_MM = 3.5
FINE_POINTS_PER_SLAB = 4_000_000
BLUR_MM, BLUR_VOXELS = 0.7, 0.35
NOISE_GRAIN_VOXELS = (0.3, 0.6, 0.6)
TEXTURE_SD_HU, TEXTURE_GRAIN_MM, TEXTURE_ABOVE_HU = 4.0, 9.0, -250.0


@dataclass(frozen=True, kw_only=True)
class VoxelGrid:
    """Voxels of `spacing_mm` (z, y, x), `size` (Z, Y, X), around `centre_mm` (x, y, z) in the body."""

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    centre_mm: np.ndarray

    def axis_mm(self, axis: int, *, parts: int = 1) -> np.ndarray:
        """Return the coordinates in mm of the voxels, or of their `parts`, along array axis 0, 1 or 2."""
        count, spacing = self.size[axis] * parts, self.spacing_mm[axis] / parts
        offsets = (np.arange(count) - (count - 1) / 2) * spacing
        return (offsets + self.centre_mm[2 - axis]).astype(np.float32)


def paint(layers: Sequence[Layer], grid: VoxelGrid) -> tuple[np.ndarray, np.ndarray]:
    """Return the noise-free image in HU (float32) and the label map (uint8), both (Z, Y, X).

    A voxel is cut into parts of at most 3.5 mm. Its HU is their mean, which gives the partial-volume effect;
    its label is the class of most of them. Works through slabs of slices, so that memory stays bounded.
    """
    parts = tuple(int(np.ceil(spacing / FINE_SPACING_MM)) for spacing in grid.spacing_mm)
    z, y, x = (grid.axis_mm(axis, parts=parts[axis]) for axis in range(3))
    image = np.empty(grid.size, np.float32)
    label = np.empty(grid.size, np.uint8)
    step = max(1, FINE_POINTS_PER_SLAB // (len(x) * len(y) * parts[0]))
    for first in range(0, grid.size[0], step):
        last = min(first + step, grid.size[0])
        slab = z[first * parts[0] : last * parts[0]]
        hu, classes = _paint_fine(layers, x, y, slab)
        image[first:last] = _block_mean(hu, parts)
        shares = [_block_mean((classes == value).astype(np.float32), parts) for value in range(3)]
        label[first:last] = np.argmax(shares, axis=0)
    return image, label


def _paint_fine(
    layers: Sequence[Layer], x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    hu = np.full((len(z), len(y), len(x)), AIR_HU, np.float32)
    classes = np.zeros(hu.shape, np.uint8)
    for layer in layers:
        low, high = layer.shape.bounds()
        box = tuple(
            slice(*np.searchsorted(axis, (low[k] - layer.edge_mm, high[k] + layer.edge_mm)))
            for k, axis in ((2, z), (1, y), (0, x))
        )
        if any(part.start >= part.stop for part in box):
            continue
        distance = layer.shape.distance(x[None, None, box[2]], y[None, box[1], None], z[box[0], None, None])
        cover = np.clip(0.5 - distance / np.float32(layer.edge_mm), 0, 1)
        hu[box] += cover * (np.float32(layer.hu) - hu[box])
        if layer.label is not None:
            np.putmask(classes[box], np.broadcast_to(distance < 0, classes[box].shape), layer.label)
    return hu, classes


def _block_mean(fine: np.ndarray, parts: tuple[int, ...]) -> np.ndarray:
    if parts == (1, 1, 1):
        return fine
    depth, height, width = (length // part for length, part in zip(fine.shape, parts, strict=True))
    return fine.reshape(depth, parts[0], height, parts[1], width, parts[2]).mean(axis=(1, 3, 5))


def scan(image: np.ndarray, grid: VoxelGrid, rng: np.random.Generator, *, noise_sd_hu: float) -> np.ndarray:
    """Return a painted image as a scanner stores it, in HU (int16): blurred, with texture and noise.

    The blur is a Gaussian of 0.7 mm widened by a third of a voxel; the noise has a grain of about a voxel in
    the slice and the standard deviation `noise_sd_hu`.
    """
    from scipy.ndimage import gaussian_filter

    sigma = [np.hypot(BLUR_MM / spacing, BLUR_VOXELS) for spacing in grid.spacing_mm]
    image = gaussian_filter(image, sigma, mode="nearest")
    _add_texture(image, grid, rng)
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    noise = gaussian_filter(noise, NOISE_GRAIN_VOXELS, mode="wrap")
    image += noise * (np.float32(noise_sd_hu) / noise.std())
    return np.clip(np.rint(image), LOWEST_HU, HIGHEST_HU).astype(np.int16)


def _add_texture(image: np.ndarray, grid: VoxelGrid, rng: np.random.Generator) -> None:
    """Add the slow unevenness of real tissue, 4 HU over about 9 mm, to all that is not gas, in place."""
    lengths = [
        int(size * spacing / TEXTURE_GRAIN_MM) + 2
        for size, spacing in zip(grid.size, grid.spacing_mm, strict=True)
    ]
    coarse = rng.standard_normal(lengths, dtype=np.float32)
    ramps = []
    for axis, length in enumerate(lengths):
        place = np.arange(grid.size[axis]) * grid.spacing_mm[axis] / TEXTURE_GRAIN_MM
        ramps.append(np.maximum(1 - np.abs(place[:, None] - np.arange(length)), 0).astype(np.float32))
    in_plane = np.einsum("zyx,by,cx->zbc", coarse, ramps[1], ramps[2], optimize=True)
    in_plane *= TEXTURE_SD_HU / in_plane.std()
    for slice_hu, ramp in zip(image, ramps[0], strict=True):
        slice_hu += (slice_hu > TEXTURE_ABOVE_HU) * np.tensordot(ramp, in_plane, axes=1)

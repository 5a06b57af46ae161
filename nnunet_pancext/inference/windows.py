"""The grid of windows that a network slides over an image, and the part of the image that each decides."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np
from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window
from numpy.typing import NDArray

from nnunet_pancext.inference.logits import Box
from nnunet_pancext.inference.trained_folds import LoadedFolds

Mask = NDArray[np.bool_]
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Grid:
    """Windows of one `size` over an image of `shape`: where they start along slices, rows and columns.

    A choice of windows is a Boolean array whose axes are those of the image. In 2D windows are one slice
    thick.
    """

    shape: Triple
    size: Triple
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    @property
    def counts(self) -> Triple:
        slices, rows, columns = map(len, self.starts)
        return slices, rows, columns

    def __len__(self) -> int:
        return prod(self.counts)

    def all(self) -> Mask:
        """Choose every window."""
        return np.ones(self.counts, bool)

    def none(self) -> Mask:
        """Choose no window."""
        return np.zeros(self.counts, bool)

    def boxes(self, chosen: Mask) -> Iterator[Box]:
        """Yield the chosen windows in nnU-Net's order."""
        for index in np.argwhere(chosen):
            corner = [starts[i] for starts, i in zip(self.starts, index, strict=True)]
            yield as_box((start, start + length) for start, length in zip(corner, self.size, strict=True))

    def core_boxes(self, chosen: Mask) -> Iterator[Box]:
        """Yield the cores of the chosen windows, in the order of `boxes`."""
        edges = [list(pairwise(self.core_edges(axis))) for axis in range(3)]
        for index in np.argwhere(chosen):
            yield as_box(ends[i] for ends, i in zip(edges, index, strict=True))

    def core_edges(self, axis: int) -> list[int]:
        """Return where the cores along an axis begin, and the end of the last.

        The core of a window is the part of the image that is nearer to its centre than to any other's.
        """
        starts, length = self.starts[axis], self.size[axis]
        return [0, *((first + second + length) // 2 for first, second in pairwise(starts)), self.shape[axis]]

    def cores(self, chosen: Mask) -> Mask:
        """Return the voxels in the cores of the chosen windows."""
        mask = chosen
        for axis in range(3):
            mask = mask.repeat(np.diff(self.core_edges(axis)), axis)
        return mask

    def near(self, mask: Mask, reach: Sequence[int]) -> Mask:
        """Choose the windows whose core, grown by `reach` voxels along each axis, meets a mask."""
        for axis, (voxels, length) in enumerate(zip(reach, self.shape, strict=True)):
            along = np.moveaxis(mask, axis, 0)
            met = [
                along[max(0, start - voxels) : min(length, stop + voxels)].any(0)
                for start, stop in pairwise(self.core_edges(axis))
            ]
            mask = np.moveaxis(np.stack(met), 0, axis)
        return mask

    def hull(self, chosen: Mask) -> Box:
        """Return the smallest box around the chosen windows."""
        indices = bounding_box(chosen)
        return as_box(
            (starts[index.start], starts[index.stop - 1] + length)
            for starts, index, length in zip(self.starts, indices, self.size, strict=True)
        )

    def covering(self) -> Mask:
        """Choose few windows that cover the image: each is the furthest that leaves no gap to the last."""
        chosen = self.all()
        for axis, (starts, length) in enumerate(zip(self.starts, self.size, strict=True)):
            kept = [0]
            while kept[-1] < len(starts) - 1:
                end = starts[kept[-1]] + length
                kept.append(max(i for i, start in enumerate(starts) if start <= end))
            chosen &= np.expand_dims(
                np.isin(np.arange(len(starts)), kept), [other for other in range(3) if other != axis]
            )
        return chosen


def make_grid(shape: Sequence[int], *, patch: Sequence[int], step: float) -> Grid:
    """Return nnU-Net's windows of `patch` voxels over an image (slice, row, column) at least as large.

    Neighbours are at most `step` of their length apart. With a patch of two axes, windows are planes.
    """
    slices, rows, columns = shape
    starts = [
        tuple(compute_steps_for_sliding_window((length,), (size,), step)[0])
        for length, size in zip(shape[-len(patch) :], patch, strict=True)
    ]
    if len(patch) == 2:
        starts, patch = [tuple(range(slices)), *starts], (1, *patch)
    return Grid((slices, rows, columns), (patch[0], patch[1], patch[2]), (starts[0], starts[1], starts[2]))


def padded_shape(shape: Sequence[int], *, patch: Sequence[int]) -> Triple:
    """Return the size (slice, row, column) of an image that is padded to hold a patch."""
    patch = (*(1,) * (3 - len(patch)), *patch)
    slices, rows, columns = (max(length, size) for length, size in zip(shape, patch, strict=True))
    return slices, rows, columns


def stock_grid(folds: LoadedFolds, shape: Sequence[int]) -> Grid:
    """Return the windows of nnU-Net's own prediction of a preprocessed image, in the padded image."""
    patch = folds.patch_size
    return make_grid(padded_shape(shape, patch=patch), patch=patch, step=folds.predictor.tile_step_size)


def count_windows(folds: LoadedFolds, shape: Sequence[int]) -> int:
    """Return how many windows nnU-Net runs over a preprocessed image of `shape` (slice, row, column)."""
    return len(stock_grid(folds, shape))


def as_box(ends: Iterable[tuple[int, int]]) -> Box:
    """Return the box with these ends along slices, rows and columns."""
    slices, rows, columns = (slice(int(start), int(stop)) for start, stop in ends)
    return slices, rows, columns


def whole(shape: Sequence[int]) -> Box:
    """Return the box of an image of `shape`."""
    return as_box((0, length) for length in shape)


def with_channels(box: Box) -> tuple[slice, ...]:
    """Return the index of a box in a tensor (channel, slice, row, column)."""
    return (slice(None), *box)


def bounding_box(mask: Mask) -> Box:
    """Return the smallest box around the True voxels of a mask (slice, row, column) that has some."""
    ends = []
    for axis in range(3):
        (indices,) = mask.any(tuple(other for other in range(3) if other != axis)).nonzero()
        ends.append((indices[0], indices[-1] + 1))
    return as_box(ends)


def grown(box: Box, reach: Sequence[int], *, within: Sequence[int]) -> Box:
    """Return a box grown by `reach` voxels on both sides of each axis, inside an image of shape `within`."""
    return as_box(
        (max(0, side.start - voxels), min(length, side.stop + voxels))
        for side, voxels, length in zip(box, reach, within, strict=True)
    )


def size_of(box: Box) -> Triple:
    """Return the lengths of a box."""
    slices, rows, columns = (side.stop - side.start for side in box)
    return slices, rows, columns


def shifted(box: Box, origin: Box) -> Box:
    """Return a box in coordinates that begin where `origin` does."""
    return as_box(
        (side.start - other.start, side.stop - other.start) for side, other in zip(box, origin, strict=True)
    )


def moved(box: Box, origin: Box) -> Box:
    """Return in the coordinates of `origin` a box in coordinates that begin where `origin` does."""
    return as_box(
        (side.start + other.start, side.stop + other.start) for side, other in zip(box, origin, strict=True)
    )


def common(box: Box, other: Box) -> Box | None:
    """Return what two boxes have in common; None if nothing."""
    ends = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, other, strict=True)]
    return as_box(ends) if all(start < stop for start, stop in ends) else None

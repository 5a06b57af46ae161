"""Windows of one common size around what a mask marks, one for each sample of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional

Box = tuple[tuple[int, ...], tuple[int, ...]]  # first index and one past the last, per axis


@dataclass(frozen=True)
class Windows:
    """Where the windows lie: of sample `samples[i]`, from `starts[i]` on, each of `size` voxels per axis.

    `shape` is that of the images that they lie in.
    """

    samples: tuple[int, ...]
    starts: tuple[tuple[int, ...], ...]
    size: tuple[int, ...]
    shape: tuple[int, ...]

    def crop(self, batch: Tensor) -> Tensor:
        """Return the windows of (B, C, *spatial) as (number of windows, C, *size).

        An image that ends before `shape` counts as padded with zeros.
        """
        missing = [length - found for length, found in zip(self.shape, batch.shape[2:], strict=True)]
        if any(missing):
            batch = functional.pad(batch, [amount for last in reversed(missing) for amount in (0, last)])
        return torch.stack([batch[self._index(number)] for number in range(len(self.samples))])

    def paste(self, windows: Tensor, onto: Tensor) -> Tensor:
        """Return a copy of `onto` (B, C, *spatial) with the windows put in."""
        result = onto.clone()
        for number in range(len(self.samples)):
            result[self._index(number)] = windows[number].to(result.dtype)
        return result

    def _index(self, number: int) -> tuple[int | slice, ...]:
        spatial = (
            slice(start, start + length) for start, length in zip(self.starts[number], self.size, strict=True)
        )
        return (self.samples[number], slice(None), *spatial)


def boxes(mask: Tensor) -> list[Box | None]:
    """Return the smallest box of the True voxels of each sample of (B, 1, *spatial), None without any."""
    found: list[Box | None] = []
    for sample in mask[:, 0]:
        ranges = []
        for axis in range(sample.dim()):
            others = tuple(other for other in range(sample.dim()) if other != axis)
            marked = sample.amax(dim=others).nonzero()
            if not len(marked):
                break
            ranges.append((int(marked[0]), int(marked[-1]) + 1))
        found.append(tuple(zip(*ranges, strict=True)) if ranges else None)  # type: ignore[arg-type]
    return found


def widen(box: Box, before: Sequence[int], after: Sequence[int], shape: Sequence[int]) -> Box:
    """Return the box with margins before and after it, within an image of `shape`."""
    starts, stops = box
    return (
        tuple(max(0, start - margin) for start, margin in zip(starts, before, strict=True)),
        tuple(min(length, stop + margin) for stop, margin, length in zip(stops, after, shape, strict=True)),
    )


def common_windows(
    found: Sequence[Box | None], *, shape: Sequence[int], divisor: Sequence[int], least: Sequence[int]
) -> Windows | None:
    """Return a window around each box, or None where there is no box.

    All have the size of the largest box along each axis, at least `least`, rounded up to a multiple of
    `divisor`; each is shifted to lie within `shape`, whose lengths `divisor` must divide.
    """
    samples = tuple(index for index, box in enumerate(found) if box is not None)
    known = [box for box in found if box is not None]
    if not known:
        return None
    size = tuple(
        min(length, step * ceil(max(short, *(stops[axis] - starts[axis] for starts, stops in known)) / step))
        for axis, (length, step, short) in enumerate(zip(shape, divisor, least, strict=True))
    )
    starts = tuple(
        tuple(
            min(max(0, (start + stop - extent) // 2), length - extent)
            for start, stop, extent, length in zip(*box, size, shape, strict=True)
        )
        for box in known
    )
    return Windows(samples, starts, size, tuple(shape))

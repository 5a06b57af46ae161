"""Windows of one common size around a mask's foreground, one for each sample of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from nnunet_pancext.architectures.dims import pad_end

Box = tuple[tuple[int, ...], tuple[int, ...]]  # first index and one past the last, per axis
LEAST_POSITIONS = 2  # of a window at the deepest level, where the patch has as many


@dataclass(frozen=True)
class Windows:
    """Windows of `size` voxels per axis, one for each of `samples`, at `starts`, in images of `shape`."""

    samples: tuple[int, ...]
    starts: tuple[tuple[int, ...], ...]
    size: tuple[int, ...]
    shape: tuple[int, ...]

    def crop(self, batch: Tensor) -> Tensor:
        """Return the windows of (B, C, *spatial) as (number of windows, C, *size).

        An image that ends before `shape` counts as padded with zeros.
        """
        batch = pad_end(batch, self.shape)
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
    marked = [sample.nonzero() for sample in mask[:, 0]]
    return [
        (tuple(positions.amin(dim=0).tolist()), tuple((positions.amax(dim=0) + 1).tolist()))
        if len(positions)
        else None
        for positions in marked
    ]


def widen(box: Box, before: Sequence[int], after: Sequence[int], shape: Sequence[int]) -> Box:
    """Return the box with margins before and after it, within an image of `shape`."""
    starts, stops = box
    return (
        tuple(max(0, start - margin) for start, margin in zip(starts, before, strict=True)),
        tuple(min(length, stop + margin) for stop, margin, length in zip(stops, after, shape, strict=True)),
    )


def common_windows(
    found: Sequence[Box | None],
    *,
    shape: Sequence[int],
    size_divisibility: Sequence[int],
    least: Sequence[int],
) -> Windows | None:
    """Return a window around each box, or None where there is no box.

    All have the size of the largest box along each axis, at least `least`, rounded up to a multiple of
    `size_divisibility`; each is shifted into `shape`, whose lengths `size_divisibility` must divide.
    """
    boxes_of = {sample: box for sample, box in enumerate(found) if box is not None}
    if not boxes_of:
        return None
    extents = [[stop - start for start, stop in zip(*box, strict=True)] for box in boxes_of.values()]
    needed = [max(lengths) for lengths in zip(least, *extents, strict=True)]
    size = tuple(
        min(length, step * ceil(long / step))
        for length, step, long in zip(shape, size_divisibility, needed, strict=True)
    )
    starts = tuple(
        tuple(
            min(max(0, (start + stop - extent) // 2), length - extent)
            for start, stop, extent, length in zip(*box, size, shape, strict=True)
        )
        for box in boxes_of.values()
    )
    return Windows(tuple(boxes_of), starts, size, tuple(shape))


def choose_windows(
    organ: Tensor,
    truth: Tensor | None = None,
    *,
    margin: Sequence[int],
    size_divisibility: Sequence[int],
    follow_truth: bool = False,
) -> Windows | None:
    """Return windows around the organ of each sample, or None where there is no organ.

    Args:
        organ: the predicted mask, (B, 1, *spatial).
        truth: the ground-truth mask, in training only. Margins then vary at random, and a sample without
            predicted organ gets its window from the ground truth.
        margin: voxels per axis on each side.
        size_divisibility: of the windows' size and of the image's.
        follow_truth: place all windows by the ground truth.
    """
    shape = organ.shape[2:]
    least = [min(size, LEAST_POSITIONS * step) for size, step in zip(shape, size_divisibility, strict=True)]
    if truth is None:
        widened = [box and widen(box, margin, margin, shape) for box in boxes(organ)]
    else:
        found = boxes(truth)
        if not follow_truth:
            found = [box or true for box, true in zip(boxes(organ), found, strict=True)]
        widened = [box and widen(box, *random_margins(margin), shape) for box in found]
    return common_windows(widened, shape=shape, size_divisibility=size_divisibility, least=least)


def whole_image(batch: Tensor) -> Windows:
    """Return a window per sample of (B, C, *spatial) that is the whole image."""
    shape = tuple(batch.shape[2:])
    return Windows(tuple(range(len(batch))), ((0,) * len(shape),) * len(batch), shape, shape)


def random_margins(margin: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """Return the margins before and after a box: in half of the cases random, up to twice `margin`."""
    if torch.rand(()) < 0.5:
        before, after = ([int(torch.randint(2 * width + 1, ())) for width in margin] for _ in range(2))
        return before, after
    return margin, margin

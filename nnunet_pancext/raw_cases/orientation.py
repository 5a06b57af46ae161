"""Which way round a label lies on its image, told by the image's own intensities.

Headers of labels that were drawn in another program are often wrong, and an overlap of shapes tells
nothing. But an organ is brighter than the fat around it: with the label in its place, a voxel inside is
brighter than one just outside; in any other place, inside and outside look alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nnunet_pancext.errors import PancextError

AXES = "zyx"
RIM_VOXELS = 2  # width of the rim, in plane
LEAST_SCORE = 0.65
LEAST_MARGIN = 0.1
MOST_BINS = 1 << 16
LEAST_VOXELS = 50  # fewer have a good score in some place by chance


@dataclass(frozen=True)
class Turn:
    """A way to lay a label (z, y, x) onto an image: first the order of its axes, then the flipped ones."""

    axes: tuple[int, ...] = (0, 1, 2)
    flipped: tuple[bool, ...] = (False, False, False)

    def apply(self, label: NDArray) -> NDArray:
        """Return a view of the label, turned."""
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)
        return label.transpose(self.axes)[steps]

    def __str__(self) -> str:
        words = []
        if self.axes != (0, 1, 2):
            words.append(f"axes in the order {', '.join(AXES[axis] for axis in self.axes)}")
        flipped = [name for name, flip in zip(AXES, self.flipped, strict=True) if flip]
        if flipped:
            words.append(f"{' and '.join(flipped)} flipped")
        return "; ".join(words) or "as it is"


@dataclass(frozen=True)
class Orientation:
    """The turn with the best score, that score, the next best, and that of the label as it is.

    A score is the probability that a voxel of the label is brighter than one of its rim: 1 for an organ in
    fat, 0.5 where the label has nothing to do with the image. `as_it_is` is nan where the label's shape is
    not the image's. `voxels` are the labelled ones.
    """

    turn: Turn
    score: float
    runner_up: float
    as_it_is: float
    voxels: int

    @property
    def margin(self) -> float:
        """How far the best is ahead."""
        return self.score - self.runner_up

    @property
    def is_clear(self) -> bool:
        """Say whether the evidence suffices to act on."""
        enough = self.voxels >= LEAST_VOXELS
        return enough and self.score >= LEAST_SCORE and self.margin >= LEAST_MARGIN

    def __str__(self) -> str:
        return f"{self.turn}: score {self.score:.2f}, next best {self.runner_up:.2f}"


def find_orientation(image: NDArray, label: NDArray) -> Orientation:
    """Score every turn of the label that fits the image.

    Args:
        image: intensities, (z, y, x); CT, or any in which the labelled organs outshine what is around them.
        label: 0 for background, in any order and direction of axes.

    Raises:
        PancextError: the label has no foreground, or fits the image in no order of its axes.
    """
    turns = list(fitting_turns(image.shape, label.shape))
    if not turns:
        raise PancextError(
            f"the label's size {label.shape[::-1]} fits the image's {image.shape[::-1]} in no order of axes"
        )
    if not label.any():
        raise PancextError("the label has no foreground voxel")
    scores = dict(score_turns(image, label, turns))
    best = max(scores, key=scores.__getitem__)
    others = [score for turn, score in scores.items() if turn != best]
    return Orientation(
        turn=best,
        score=scores[best],
        runner_up=max(others, default=0.5),
        as_it_is=scores.get(Turn(), float("nan")),
        voxels=int(np.count_nonzero(label)),
    )


def fitting_turns(image_shape: tuple[int, ...], label_shape: tuple[int, ...]) -> Iterator[Turn]:
    """Yield the turns after which the label has the image's shape."""
    for axes in permutations(range(3)):
        if tuple(label_shape[axis] for axis in axes) == tuple(image_shape):
            for flipped in product((False, True), repeat=3):
                yield Turn(axes, flipped)


def score_turns(image: NDArray, label: NDArray, turns: list[Turn]) -> Iterator[tuple[Turn, float]]:
    """Yield each turn with its score. Turns that lay the label onto the same voxels count as one."""
    box = bounding_box(label, margin=RIM_VOXELS)
    seen: set[tuple] = set()
    for turn in turns:
        where = turned_box(box, label.shape, turn)
        mask = turn.apply(label[box]) > 0
        key = (tuple((part.start, part.stop) for part in where), mask.tobytes())
        if key not in seen:
            seen.add(key)
            yield turn, separation(image[where], mask)


def bounding_box(label: NDArray, *, margin: int) -> tuple[slice, ...]:
    """Return the box of the foreground, widened where there is room."""
    box = []
    for axis, length in enumerate(label.shape):
        others = tuple(other for other in range(3) if other != axis)
        (marked,) = np.nonzero(label.any(axis=others))
        box.append(slice(max(0, marked[0] - margin), min(length, marked[-1] + 1 + margin)))
    return tuple(box)


def turned_box(box: tuple[slice, ...], shape: tuple[int, ...], turn: Turn) -> tuple[slice, ...]:
    """Return where the box of a label of `shape` lies after the turn."""
    turned = []
    for axis, flip in zip(turn.axes, turn.flipped, strict=True):
        part, length = box[axis], shape[axis]
        turned.append(slice(length - part.stop, length - part.start) if flip else part)
    return tuple(turned)


def separation(image: NDArray, mask: NDArray) -> float:
    """Return the probability that a voxel of the mask is brighter than one of its rim, ties counting half.

    That is the area under the ROC curve. The rim lies in plane: slices are often thicker than organs are far
    apart. 0.5 where there is no rim.
    """
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    rim = ndimage.binary_dilation(mask, in_plane, iterations=RIM_VOXELS) & ~mask
    inside, outside = image[mask], image[rim]
    if not inside.size or not outside.size:
        return 0.5
    if image.dtype.kind in "iu":
        low, high = (int(of([of(inside), of(outside)])) for of in (np.min, np.max))
        if high - low < MOST_BINS:  # counting beats sorting
            here, there = (
                np.bincount(part.astype(np.int64) - low, minlength=high - low + 1)
                for part in (inside, outside)
            )
            return float((here * (np.cumsum(there) - there / 2)).sum() / inside.size / outside.size)
    outside = np.sort(outside)
    below = np.searchsorted(outside, inside, side="left")
    not_above = np.searchsorted(outside, inside, side="right")
    return float((below + not_above).mean() / 2 / outside.size)

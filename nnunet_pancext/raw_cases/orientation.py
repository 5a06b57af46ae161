"""The orientation of a label relative to its image, determined from the image's intensities.

Headers of labels drawn in another program are often wrong, and the overlap of shapes proves nothing. But an
organ is brighter than the fat around it: with the label in its place, a voxel inside is brighter than one
just outside; in any other place, the two look alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nnunet_pancext.errors import PancextError

AXES = "zyx"
SHELL_VOXELS = 2  # width of the shell around the organ, in plane
LEAST_SCORE = 0.65
LEAST_MARGIN = 0.1
MOST_BINS = 1 << 16
LEAST_VOXELS = 50  # fewer reach a good score somewhere by chance


@dataclass(frozen=True)
class Reorientation:
    """A permutation of a label's axes (z, y, x), and then a flip of some."""

    axes: tuple[int, ...] = (0, 1, 2)
    flipped: tuple[bool, ...] = (False, False, False)

    def apply(self, label: NDArray) -> NDArray:
        """Return a view of the label, reoriented."""
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)
        return label.transpose(self.axes)[steps]

    def __str__(self) -> str:
        words = []
        if self.axes != (0, 1, 2):
            words.append(f"axes in the order {', '.join(AXES[axis] for axis in self.axes)}")
        flipped = [name for name, flip in zip(AXES, self.flipped, strict=True) if flip]
        if flipped:
            words.append(f"{' and '.join(flipped)} flipped")
        return "; ".join(words) or "as stored"


@dataclass(frozen=True)
class Orientation:
    """The reorientation with the best score, that score, the next best, and that of the label as stored.

    A score is the probability that a voxel of the label is brighter than one of the shell around it: 1 for an
    organ in fat, 0.5 where label and image are unrelated. `as_it_is` is the score of the label as stored, nan
    where its shape is not the image's; `voxels` counts the labelled ones.
    """

    turn: Reorientation
    score: float
    runner_up: float
    as_it_is: float
    voxels: int

    @property
    def margin(self) -> float:
        """The lead of the best score over the next."""
        return self.score - self.runner_up

    @property
    def is_clear(self) -> bool:
        """Whether the evidence suffices."""
        scores_suffice = self.score >= LEAST_SCORE and self.margin >= LEAST_MARGIN
        return scores_suffice and self.voxels >= LEAST_VOXELS

    def __str__(self) -> str:
        return f"{self.turn}: score {self.score:.2f}, next best {self.runner_up:.2f}"


def find_orientation(image: NDArray, label: NDArray) -> Orientation:
    """Score every reorientation of the label that fits the image.

    Args:
        image: intensities, (z, y, x); CT, or any with organs brighter than their surroundings.
        label: 0 for background, in any order and direction of axes.

    Raises:
        PancextError: the label has no foreground, or no permutation of its axes fits the image.
    """
    candidates = [
        Reorientation(axes, flipped)
        for axes in permutations(range(3))
        if label.transpose(axes).shape == image.shape
        for flipped in product((False, True), repeat=3)
    ]
    if not candidates:
        raise PancextError(
            f"the label's size {label.shape[::-1]} does not fit the image's {image.shape[::-1]} "
            "in any order of axes"
        )
    if not label.any():
        raise PancextError("the label has no foreground voxel")
    scores = dict(score_reorientations(image, label, candidates))
    best = max(scores, key=scores.__getitem__)
    return Orientation(
        turn=best,
        score=scores[best],
        runner_up=max((score for other, score in scores.items() if other != best), default=0.5),
        as_it_is=scores.get(Reorientation(), float("nan")),
        voxels=int(np.count_nonzero(label)),
    )


def score_reorientations(
    image: NDArray, label: NDArray, candidates: list[Reorientation]
) -> Iterator[tuple[Reorientation, float]]:
    """Yield each candidate with its score, but only the first of those that give the same placement."""
    (tight,) = ndimage.find_objects((label != 0).view(np.int8))
    box = [
        (max(0, part.start - SHELL_VOXELS), min(length, part.stop + SHELL_VOXELS))
        for part, length in zip(tight, label.shape, strict=True)
    ]
    labelled = label[tuple(slice(*ends) for ends in box)]
    seen: set[tuple] = set()
    for candidate in candidates:
        target = tuple(
            (label.shape[axis] - box[axis][1], label.shape[axis] - box[axis][0]) if flip else box[axis]
            for axis, flip in zip(candidate.axes, candidate.flipped, strict=True)
        )
        mask = candidate.apply(labelled) > 0
        key = (target, mask.tobytes())
        if key not in seen:
            seen.add(key)
            yield candidate, separation(image[tuple(slice(*ends) for ends in target)], mask)


def separation(image: NDArray, mask: NDArray) -> float:
    """Return the probability that a voxel of the mask is brighter than one of its shell, ties counting half.

    That is the area under the ROC curve. The shell lies in plane, because slices are often thicker than the
    gap between organs. 0.5 where there is no shell.
    """
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    shell = ndimage.binary_dilation(mask, in_plane, iterations=SHELL_VOXELS) & ~mask
    inside, outside = image[mask], image[shell]
    if not inside.size or not outside.size:
        return 0.5
    if image.dtype.kind in "iu":
        low = min(int(inside.min()), int(outside.min()))
        high = max(int(inside.max()), int(outside.max()))
        if high - low < MOST_BINS:  # counting beats sorting
            inside_counts, outside_counts = (
                np.bincount(values.astype(np.int64) - low, minlength=high - low + 1)
                for values in (inside, outside)
            )
            below = np.cumsum(outside_counts) - outside_counts / 2
            return float((inside_counts * below).sum() / inside.size / outside.size)
    outside = np.sort(outside)
    ranks = np.searchsorted(outside, inside, side="left") + np.searchsorted(outside, inside, side="right")
    return float(ranks.mean() / 2 / outside.size)

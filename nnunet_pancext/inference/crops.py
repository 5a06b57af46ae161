"""Boxes around the parts of a mask, to be cropped out of an image."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from nnunet_pancext.inference.foreground import components
from nnunet_pancext.inference.logits import Box
from nnunet_pancext.inference.windows import Mask, as_box, common, grown, moved

MOST_PARTS = 100  # a mask of more is scattered over the image: one box holds them all


def boxes_around(mask: Mask, reach: Sequence[int], *, least: Sequence[int]) -> list[Box]:
    """Return boxes around the connected parts of a mask, grown by `reach` voxels.

    They have at least the size `least`, which the mask must have too, and do not overlap.
    """
    around, labels, parts = components(mask)
    found = [around]
    if parts <= MOST_PARTS:
        found = [moved(box, around) for box in ndimage.find_objects(labels)]
    boxes = merged([grown(box, reach, within=mask.shape) for box in found])
    return merged([extended(box, least, within=mask.shape) for box in boxes])


def merged(boxes: Sequence[Box]) -> list[Box]:
    """Return boxes that do not overlap: those that do become one, around both."""
    separate: list[Box] = []
    for box in boxes:
        while overlapping := [other for other in separate if common(box, other)]:
            separate = [other for other in separate if other not in overlapping]
            box = as_box(
                (min(side.start for side in sides), max(side.stop for side in sides))
                for sides in zip(box, *overlapping, strict=True)
            )
        separate.append(box)
    return separate


def extended(box: Box, least: Sequence[int], *, within: Sequence[int]) -> Box:
    """Return a box of at least the size `least` around a box, inside an image of shape `within`."""
    ends = []
    for side, length, limit in zip(box, least, within, strict=True):
        lacking = max(0, length - (side.stop - side.start))
        start = min(max(0, side.start - lacking // 2), limit - (side.stop - side.start) - lacking)
        ends.append((start, start + side.stop - side.start + lacking))
    return as_box(ends)


def sides_reached(mask: Mask, place: Box, *, within: Box) -> list[tuple[bool, bool]]:
    """Return for each axis whether a mask of `place` touches its start and its end, inside `within`."""
    reached = []
    for axis, (side, limit) in enumerate(zip(place, within, strict=True)):
        along = np.moveaxis(mask, axis, 0)
        reached.append(
            (
                bool(along[0].any()) and side.start > limit.start,
                bool(along[-1].any()) and side.stop < limit.stop,
            )
        )
    return reached


def grown_where(
    box: Box, reached: Sequence[tuple[bool, bool]], reach: Sequence[int], *, within: Sequence[int]
) -> Box:
    """Return a box grown by `reach` voxels on those sides that are reached."""
    return as_box(
        (max(0, side.start - voxels * before), min(limit, side.stop + voxels * after))
        for side, (before, after), voxels, limit in zip(box, reached, reach, within, strict=True)
    )

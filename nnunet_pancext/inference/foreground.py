"""Where logits say foreground, and how much of it there is."""

from collections.abc import Sequence
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from nnunet_pancext.inference.logits import Box, Region, Request
from nnunet_pancext.inference.prepared_image import PreparedImage
from nnunet_pancext.inference.trained_folds import LoadedFolds
from nnunet_pancext.inference.windows import Mask, bounding_box

# Further windows follow only what has some volume: a few scattered voxels of a noisy network would otherwise
# lead to windows over the whole image.
GROWTH_LEAST_ML = 0.05
NOT_FINITE = (
    "The network's logits are not finite in half precision, in which windows are averaged, in nnU-Net too. "
    "Check the image's values, or give another checkpoint (-chk)."
)
# Of the foreground of a well trained network, mirrored, the coarse pass sees nine tenths.
LEAST_SEEN = 0.7
UNSEEN = 10.0  # how much the logits say background where no window was run


def is_foreground(logits: torch.Tensor, *, has_regions: bool, doubt: float = 0.0) -> torch.Tensor:
    """Return where logits (heads, ...) have another label than background, as nnU-Net decides it.

    With `doubt` also where background wins by no more than that.
    """
    return (logits > -doubt).any(0) if has_regions else logits[1:].amax(0) > logits[0] - doubt


def foreground_of_folds(
    logits: Sequence[torch.Tensor], *, of_any: bool, has_regions: bool, doubt: float = 0.0
) -> torch.Tensor:
    """Return where the mean of the folds' logits, or also any fold's alone, has foreground."""
    mean = torch.stack([part.float() for part in logits]).mean(0)
    found = is_foreground(mean, has_regions=has_regions, doubt=doubt)
    for part in logits if of_any else ():
        found |= is_foreground(part.float(), has_regions=has_regions, doubt=doubt)
    return found


def make_background(logits: torch.Tensor, where: torch.Tensor, *, has_regions: bool) -> None:
    """Lower the foreground's logits (heads, ...) in place, so that they say background at `where`."""
    foreground = logits if has_regions else logits[1:]
    highest = torch.full_like(logits[0], -1.0) if has_regions else logits[0] - 1
    torch.where(where, torch.minimum(foreground, highest), foreground, out=foreground)


def make_unseen(logits: torch.Tensor, where: torch.Tensor, *, has_regions: bool) -> None:
    """Set logits (heads, ...) to certain background in place at `where`."""
    logits.masked_fill_(where, -UNSEEN)
    if not has_regions:
        logits[0].masked_fill_(where, UNSEEN)


def foreground_of_regions(regions: Sequence[Region], shape: Sequence[int], *, has_regions: bool) -> Mask:
    """Return the foreground (slice, row, column) of logits of an image of `shape`."""
    mask = np.zeros(tuple(shape), bool)
    for region in regions:
        mask[region.box] |= is_foreground(region.logits, has_regions=has_regions).numpy()
    return mask


def voxel_spacing_mm(folds: LoadedFolds, image: PreparedImage) -> tuple[float, ...]:
    """Return the spacing (slice, row, column) of a preprocessed image; in 2D slices keep their distance."""
    spacing = tuple(folds.configuration.spacing)
    original = [image.properties["spacing"][axis] for axis in folds.plans.transpose_forward]
    return tuple(map(float, (*original[: 3 - len(spacing)], *spacing)))


def volume_ml(voxels: int, spacing_mm: Sequence[float]) -> float:
    """Return the volume of a number of voxels."""
    return voxels * prod(spacing_mm) / 1000


def components(mask: Mask) -> tuple[Box, NDArray[np.int32], int]:
    """Return the bounding box of a mask that is not empty, its components there, and how many they are.

    They are connected by faces, edges or corners.
    """
    box = bounding_box(mask)
    labels, number = ndimage.label(mask[box], structure=np.ones((3, 3, 3)))
    return box, labels, number


def large_components(mask: Mask, spacing_mm: Sequence[float]) -> Mask:
    """Return the components of a mask that have GROWTH_LEAST_ML or more."""
    large = np.zeros_like(mask)
    if mask.any():
        box, labels, _ = components(mask)
        is_large = np.bincount(labels.ravel()) * prod(spacing_mm) / 1000 >= GROWTH_LEAST_ML
        is_large[0] = False
        large[box] = is_large[labels]
    return large


def implausible(foreground_ml: float, request: Request) -> str:
    """Say why a volume is not believed; empty if it is."""
    if foreground_ml == 0:
        return "no foreground was found in the windows that were run"
    if request.plausible_ml is None:
        return ""
    least, most = request.plausible_ml
    if least <= foreground_ml <= most:
        return ""
    return (
        f"the foreground found has {foreground_ml:.3g} mL; {least:.3g} to {most:.3g} mL are plausible by the "
        "training cases"
    )


def hardly_seen(foreground: int, seen: int) -> str:
    """Say that the coarse pass saw too little of the foreground to be relied on; empty if it did not."""
    if seen >= LEAST_SEEN * foreground:
        return ""
    return f"the coarse pass saw only {100 * seen / foreground:.0f} % of the foreground found near it"

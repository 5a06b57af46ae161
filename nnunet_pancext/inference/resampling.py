"""Linear resampling of a part of an image, as nnU-Net resamples the whole image's logits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from nnunetv2.preprocessing.resampling.default_resampling import (
    determine_do_sep_z_and_axis,
    resample_data_or_seg_to_shape,
)
from numpy.typing import NDArray

from nnunet_pancext.inference.logits import Box
from nnunet_pancext.inference.windows import Triple, as_box

DEFAULTS = {"is_seg": False, "order": 1, "order_z": 0}
SLAB = 16  # slices that are interpolated at a time, so that little memory is taken


@dataclass(frozen=True)
class Axis:
    """For target voxels `first` to `last` of an axis: the two source voxels, and the weight of the second."""

    first: int
    lower: NDArray[np.intp]
    upper: NDArray[np.intp]
    weight: NDArray[np.float32]

    @property
    def last(self) -> int:
        return self.first + len(self.lower)


def is_linear(resampling: Any) -> bool:
    """Whether a configuration's `resampling_fn_probabilities` is nnU-Net's default with linear order."""
    options = {**DEFAULTS, **getattr(resampling, "keywords", {})}
    return getattr(resampling, "func", None) is resample_data_or_seg_to_shape and all(
        options[name] == value for name, value in DEFAULTS.items()
    )


def plan_axes(
    box: Box,
    source: Sequence[int],
    target: Sequence[int],
    *,
    resampling: Any,
    source_spacing: Sequence[float],
    target_spacing: Sequence[float],
) -> tuple[Axis, Axis, Axis] | None:
    """Return how the target voxels follow from the source voxels in a box; None if no target is in it.

    `source` and `target` are the sizes of the whole grids.
    """
    options = resampling.keywords
    # the defaults of nnU-Net's function, where the plan leaves them out
    separate = options.get("force_separate_z", False)
    limits = {name: options[name] for name in ("separate_z_anisotropy_threshold",) if name in options}
    is_separate, nearest = determine_do_sep_z_and_axis(separate, source_spacing, target_spacing, **limits)
    axes = [
        _axis(side, length, new, is_nearest=is_separate and index == nearest)
        for index, (side, length, new) in enumerate(zip(box, source, target, strict=True))
    ]
    return (axes[0], axes[1], axes[2]) if all(len(axis.lower) for axis in axes) else None


def resampled_slabs(
    logits: torch.Tensor, axes: tuple[Axis, Axis, Axis]
) -> Iterator[tuple[Box, torch.Tensor]]:
    """Yield boxes of the target and their logits (heads, *box) in single precision.

    They are rounded to the type of `logits`, as nnU-Net rounds them.
    """
    slices, rows, columns = axes
    for start in range(0, len(slices.lower), SLAB):
        part = slice(start, start + SLAB)
        slab = _interpolate(logits, 1, slices.lower[part], slices.upper[part], slices.weight[part])
        slab = _interpolate(slab, 2, rows.lower, rows.upper, rows.weight)
        slab = _interpolate(slab, 3, columns.lower, columns.upper, columns.weight)
        first = slices.first + start
        box = as_box(((first, first + slab.shape[1]), (rows.first, rows.last), (columns.first, columns.last)))
        yield box, slab.to(logits.dtype).float()


def nearest_source(target: NDArray[np.integer], source_length: int, target_length: int) -> NDArray[np.intp]:
    """Return the source voxels nearest to target voxels along an axis."""
    return ((target + 0.5) * source_length / target_length).astype(int)


def _axis(side: slice, source: int, target: int, *, is_nearest: bool) -> Axis:
    position = (np.arange(target) + 0.5) * (source / target) - 0.5
    if is_nearest:
        lower = upper = np.clip(np.floor(position + 0.5), 0, source - 1).astype(int)
        weight = np.zeros(target, np.float32)
    else:
        position = np.clip(position, 0, source - 1)
        lower = np.floor(position).astype(int)
        weight = (position - lower).astype(np.float32)
        upper = np.where(weight > 0, np.minimum(lower + 1, source - 1), lower)
    (inside,) = ((lower >= side.start) & (upper < side.stop)).nonzero()
    first = int(inside[0]) if len(inside) else 0
    return Axis(first, lower[inside] - side.start, upper[inside] - side.start, weight[inside])


def _interpolate(
    values: torch.Tensor,
    axis: int,
    lower: NDArray[np.intp],
    upper: NDArray[np.intp],
    weight: NDArray[np.float32],
) -> torch.Tensor:
    low = values.index_select(axis, torch.from_numpy(lower)).float()
    if not weight.any():
        return low
    high = values.index_select(axis, torch.from_numpy(upper)).float()
    shape = [1] * values.ndim
    shape[axis] = len(weight)
    return torch.lerp(low, high, torch.from_numpy(weight).reshape(shape))


def target_size(properties: Any) -> Triple:
    """Return the size of the image's own grid within nnU-Net's crop, with the plan's order of axes."""
    slices, rows, columns = properties["shape_after_cropping_and_before_resampling"]
    return slices, rows, columns

"""From an nnU-Net plan to the strides of a network with its own number of levels."""

from __future__ import annotations

from collections.abc import Sequence

# nnU-Net's planner stops halving an axis before its feature map falls below this many voxels.
SMALLEST_FEATURE_MAP = 4


def strides_from_plan(
    *, plan_strides: Sequence[Sequence[int]], patch_size: Sequence[int], num_downsamplings: int
) -> list[tuple[int, ...]]:
    """Return the first `num_downsamplings` strides of the plan, so that anisotropic spacing is respected.

    A plan for small images can have fewer. The missing ones halve each axis as long as nnU-Net's planner
    would: while the patch stays divisible and no feature map falls below 4 voxels; else they are 1.

    Args:
        plan_strides: one per stage of the plan's network; the first stage's, all ones, is not a downsampling.
        patch_size: in voxels.
        num_downsamplings: how many the network needs.
    """
    strides = [tuple(stride) for stride in plan_strides if any(step > 1 for step in stride)]
    strides = strides[:num_downsamplings]
    sizes = list(patch_size)
    for stride in strides:
        sizes = [length // step for length, step in zip(sizes, stride, strict=True)]
    while len(strides) < num_downsamplings:
        stride = tuple(
            2 if length % 2 == 0 and length // 2 >= SMALLEST_FEATURE_MAP else 1 for length in sizes
        )
        strides.append(stride)
        sizes = [length // step for length, step in zip(sizes, stride, strict=True)]
    return strides

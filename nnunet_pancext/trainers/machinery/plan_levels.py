"""The levels of a network, with its own number of them, from an nnU-Net plan."""

from collections.abc import Sequence

# nnU-Net's planner stops halving an axis before its feature map falls below this many voxels.
SMALLEST_FEATURE_MAP = 4


def strides_from_plan(
    *, plan_strides: Sequence[Sequence[int]], patch_size: Sequence[int], num_downsamplings: int
) -> list[tuple[int, ...]]:
    """Return the first `num_downsamplings` strides of the plan, so that anisotropic spacing is respected.

    `plan_strides` has one entry per stage of the plan's network; the first one, all ones, is not a
    downsampling. A plan for small images may have fewer. Missing strides halve each axis as long as nnU-Net's
    planner would (the patch stays divisible, no feature map falls below 4 voxels), and are 1 otherwise.
    """
    planned = iter([tuple(stride) for stride in plan_strides if any(step > 1 for step in stride)])
    strides: list[tuple[int, ...]] = []
    sizes = list(patch_size)
    for _ in range(num_downsamplings):
        halving = tuple(2 if size % 2 == 0 and size // 2 >= SMALLEST_FEATURE_MAP else 1 for size in sizes)
        strides.append(next(planned, halving))
        sizes = [size // step for size, step in zip(sizes, strides[-1], strict=True)]
    return strides


def kernel_sizes_from_plan(
    *, plan_kernels: Sequence[Sequence[int]], plan_strides: Sequence[Sequence[int]], num_levels: int
) -> list[tuple[int, ...]]:
    """Return the plan's kernel size at each of the network's levels, finest first.

    `plan_kernels` and `plan_strides` have one entry per stage of the plan's network; a stage after the first
    whose stride is all ones is not a level. Where the plan has fewer levels, its deepest kernel is repeated.
    """
    kernels = [
        tuple(kernel)
        for stage, (kernel, stride) in enumerate(zip(plan_kernels, plan_strides, strict=True))
        if stage == 0 or any(step > 1 for step in stride)
    ][:num_levels]
    return kernels + [kernels[-1]] * (num_levels - len(kernels))

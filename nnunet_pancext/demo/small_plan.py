"""A configuration of the plan that a CPU can train in minutes."""

from collections.abc import Sequence
from math import ceil, prod
from pathlib import Path
from typing import Any

from nnunet_pancext.io.files import read_json, write_json

# By the number of dimensions: the smallest patch where the plan's is larger, and the voxels of a batch.
SMALL_PATCH = {2: (32, 32), 3: (16, 32, 32)}
BATCH_VOXELS = {2: 16 * 32 * 32, 3: 2 * 16 * 32 * 32}
MIN_BATCH = 2
# A slice needs at most four overlapping patches along an axis: with more, prediction would take longer than
# training.
IMAGE_TO_PATCH = 2.5


def add_small_configuration(plans_file: Path, configuration: str) -> str:
    """Add a configuration with a smaller patch, which inherits the rest, to the plans; return its name."""
    plans = read_json(plans_file, expect=dict)
    full = plans["configurations"][configuration]
    name = f"{configuration}_demo"
    plans["configurations"][name] = {"inherits_from": configuration, **small_patch(full)}
    write_json(plans_file, plans)
    return name


def small_patch(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return patch and batch size: small, and divisible as the plan's network requires."""
    patch = configuration["patch_size"]
    image = configuration["median_image_size_in_voxels"]
    strides = configuration["architecture"]["arch_kwargs"]["strides"]
    divisors = [prod(steps) for steps in zip(*strides, strict=True)]
    smallest: Sequence[float] = SMALL_PATCH[len(patch)]
    if len(patch) == 2:
        smallest = [
            max(small, length / IMAGE_TO_PATCH) for small, length in zip(smallest, image, strict=True)
        ]
    size = [
        min(length, ceil(wanted / divisor) * divisor)
        for length, wanted, divisor in zip(patch, smallest, divisors, strict=True)
    ]
    return {"patch_size": size, "batch_size": max(MIN_BATCH, BATCH_VOXELS[len(patch)] // prod(size))}

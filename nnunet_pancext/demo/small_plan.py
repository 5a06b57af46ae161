"""A configuration of the plan that a CPU can train in minutes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import ceil, prod
from pathlib import Path
from typing import Any

from nnunet_pancext.io.files import write_json

# By the number of axes: the smallest patch where the plan's is larger, and the voxels of a batch.
SMALL_PATCH = {2: (32, 32), 3: (16, 32, 32)}
BATCH_VOXELS = {2: 16 * 32 * 32, 3: 2 * 16 * 32 * 32}
LEAST_BATCH = 2
# A slice shall not need more than four overlapping patches along an axis: else predicting would take longer
# than training.
IMAGE_TO_PATCH = 2.5


def add_small_configuration(plans_file: Path, configuration: str) -> str:
    """Add to nnU-Net's plans a configuration with a smaller patch, and return its name.

    It inherits everything else, also the preprocessed data, from `configuration`. That is nnU-Net's
    documented way to vary a plan.
    """
    plans = json.loads(plans_file.read_text(encoding="utf-8"))
    full = plans["configurations"][configuration]
    name = f"{configuration}_demo"
    plans["configurations"][name] = {"inherits_from": configuration, **small_patch(full)}
    write_json(plans_file, plans)
    return name


def small_patch(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return patch and batch size: small, and divisible as the plan's network needs it."""
    patch = configuration["patch_size"]
    image = configuration["median_image_size_in_voxels"]
    strides = configuration["architecture"]["arch_kwargs"]["strides"]
    divisors = [prod(steps) for steps in zip(*strides, strict=True)]
    least: Sequence[float] = SMALL_PATCH[len(patch)]
    if len(patch) == 2:
        least = [max(small, length / IMAGE_TO_PATCH) for small, length in zip(least, image, strict=True)]
    size = [
        min(length, ceil(wanted / divisor) * divisor)
        for length, wanted, divisor in zip(patch, least, divisors, strict=True)
    ]
    return {
        "patch_size": size,
        "batch_size": max(LEAST_BATCH, BATCH_VOXELS[len(patch)] // prod(size)),
    }

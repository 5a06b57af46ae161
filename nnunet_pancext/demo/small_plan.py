"""A configuration of the plan that a CPU can train in minutes."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

from nnunet_pancext.files import write_json

# By the number of axes: the longest patch in voxels, and the batch.
LONGEST_PATCH = {2: (32, 32), 3: (16, 32, 32)}
BATCH_SIZE = {2: 16, 3: 2}


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
    """Return patch and batch size: at most `LONGEST_PATCH`, and divisible as the plan's network needs it."""
    patch = configuration["patch_size"]
    strides = configuration["architecture"]["arch_kwargs"]["strides"]
    limits = LONGEST_PATCH[len(patch)]
    divisors = [prod(steps) for steps in zip(*strides, strict=True)]
    return {
        "patch_size": [
            min(length, max(divisor, limit // divisor * divisor))
            for length, limit, divisor in zip(patch, limits, divisors, strict=True)
        ],
        "batch_size": BATCH_SIZE[len(patch)],
    }

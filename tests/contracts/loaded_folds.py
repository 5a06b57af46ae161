"""Folds of networks that a test controls, without files, and images prepared for them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from contracts.made_preprocessed import made_dataset_json, made_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from nnunet_pancext.inference.prepared_image import PreparedImage, prepare
from nnunet_pancext.inference.trained_folds import CountingPredictor, LoadedFolds

SPACING = (2.5, 0.8, 0.8)


class Threshold(nn.Module):
    """Label k where the smoothed first channel is nearest to k: what is seen in a window is what is there.

    Labels beyond `heads` are those of regions: head k says whether the value is above k + 0.5. `calls` counts
    the forward passes, on its own.
    """

    def __init__(self, spatial_dims: int, *, heads: int, regions: bool = False, blur: int = 1) -> None:
        super().__init__()
        self.calls, self.heads, self.regions = 0, heads, regions
        pool = nn.AvgPool2d if spatial_dims == 2 else nn.AvgPool3d
        self.smooth = pool(2 * blur + 1, stride=1, padding=blur, count_include_pad=False)

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.logits(self.smooth(window[:, :1]))

    def logits(self, value: torch.Tensor) -> torch.Tensor:
        if self.regions:
            return torch.cat([4 * (value - head - 0.5) for head in range(self.heads)], 1)
        return torch.cat([-4 * (value - head) ** 2 for head in range(self.heads)], 1)


class Contextual(Threshold):
    """A network that sees the less of an organ the less of the body around it is in its window."""

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        seen = self.smooth(window[:, :1])
        context = nn.functional.adaptive_avg_pool3d(window[:, :1], 2)
        return self.logits(seen * (0.8 + 0.2 * context.gt(0.02).float().mean()))


class Blind(Threshold):
    """A network that finds nothing in its first `misses` forward passes, which are the coarse pass's."""

    def __init__(self, spatial_dims: int, *, heads: int, misses: int) -> None:
        super().__init__(spatial_dims, heads=heads)
        self.misses = misses

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        logits = super().forward(window)
        return torch.zeros_like(logits) if self.calls <= self.misses else logits


def plans_with(
    configuration: str,
    patch: Sequence[int],
    *,
    spacing: Sequence[float] = SPACING,
    channels: int = 1,
    transpose: Sequence[int] = (0, 1, 2),
) -> dict[str, Any]:
    """Return plans whose `configuration` has this patch and spacing, and leaves intensities as they are."""
    plans = made_plans(channels)
    planned = plans["configurations"][configuration]
    planned["patch_size"] = list(patch)
    planned["spacing"] = list(spacing)[-len(patch) :]
    plans["transpose_forward"], plans["transpose_backward"] = list(transpose), np.argsort(transpose).tolist()
    plans["foreground_intensity_properties_per_channel"] = {
        str(channel): {"mean": 0.0, "std": 1.0, "percentile_00_5": -1e3, "percentile_99_5": 1e3}
        for channel in range(channels)
    }
    return plans


def folds_of(
    networks: Sequence[nn.Module],
    *,
    configuration: str = "3d_fullres",
    patch: Sequence[int] = (8, 16, 16),
    axes: tuple[int, ...] | None = None,
    kind: str = "two foregrounds",
    plans: dict[str, Any] | None = None,
    **changes: Any,
) -> LoadedFolds:
    """Return folds of these networks, mirrored along `axes`, by default all."""
    channels = changes.get("channels", 1)
    plans = plans or plans_with(configuration, patch, **changes)
    manager = PlansManager(plans)
    predictor: Any = CountingPredictor(device=torch.device("cpu"), use_mirroring=axes != ())
    predictor.manual_initialization(
        networks[0],
        manager,
        manager.get_configuration(configuration),
        None,
        made_dataset_json(kind, channels),
        "Stub",
        tuple(range(len(patch))) if axes is None else axes or None,
    )
    return LoadedFolds(predictor, networks)


def image_of(
    folds: LoadedFolds,
    voxels: np.ndarray,
    *,
    spacing: Sequence[float] = SPACING,
    previous: np.ndarray | None = None,
) -> PreparedImage:
    """Prepare voxels ([channel,] slice, row, column)."""
    voxels = voxels if voxels.ndim == 4 else voxels[None]
    return prepare(folds, voxels.astype(np.float32), {"spacing": list(spacing)}, previous=previous)

"""Attention of few parameters: squeeze-and-excitation, ECA and the spatial attention module of CBAM."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nnunet_pancext.architectures.dims import convolution

SQUEEZE_REDUCTION = 16
SPATIAL_KERNEL = 7


class SqueezeExcitation(nn.Module):
    """x * sigmoid(W2 ReLU(W1 z)), z the mean over positions (Hu et al., CVPR 2018, Eq. 2-4).

    W1 reduces to C / 16 channels, at least 1; both have a bias.

    Shapes: (B, C, *spatial) to the same.
    """

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // SQUEEZE_REDUCTION)
        self.squeeze = nn.Linear(channels, inner)
        self.excite = nn.Linear(inner, channels)

    def forward(self, features: Tensor) -> Tensor:
        mean = features.flatten(2).mean(dim=2)
        return _scale(features, self.excite(self.squeeze(mean).relu()).sigmoid())


class EfficientChannelAttention(nn.Module):
    """x * sigmoid(conv1d(z)) along channels, z the mean over positions (Wang et al., CVPR 2020, Eq. 9-12).

    The kernel, without bias, has the odd size next to |log2(C) / 2 + 1 / 2|: 5 for 512 channels.

    Shapes: (B, C, *spatial) to the same.
    """

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        size = int(abs(math.log2(channels) + 1) / 2)
        size += 1 - size % 2
        self.along_channels = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        mean = features.flatten(2).mean(dim=2)
        return _scale(features, self.along_channels(mean.unsqueeze(1)).squeeze(1).sigmoid())


class SpatialAttentionModule(nn.Module):
    """x * sigmoid(conv7([mean; maximum] over channels)), without bias (CBAM, Woo et al., ECCV 2018, Eq. 3).

    Shapes: (B, C, *spatial) to the same.
    """

    def __init__(self, *, spatial_dims: int) -> None:
        super().__init__()
        self.gate = convolution(spatial_dims, 2, 1, SPATIAL_KERNEL)

    def forward(self, features: Tensor) -> Tensor:
        both = [features.mean(dim=1, keepdim=True), features.amax(dim=1, keepdim=True)]
        return features * self.gate(torch.cat(both, dim=1)).sigmoid()


def _scale(features: Tensor, weights: Tensor) -> Tensor:
    """Return (B, C, *spatial) times (B, C)."""
    return features * weights.view(*weights.shape, *[1] * (features.dim() - 2))

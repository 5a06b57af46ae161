"""Localization: attention, then a coarse map (Qiu et al., 3.2.1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_pancext.architectures.blocks.head import map_head
from nnunet_pancext.architectures.blocks.light_attention import (
    EfficientChannelAttention,
    SpatialAttentionModule,
    SqueezeExcitation,
)

CHANNELS_PER_QUERY = 8
NON_LOCAL, SE, ECA, SAM = "non-local", "se", "eca", "sam"
ATTENTIONS = (NON_LOCAL, SE, ECA, SAM)


class ChannelAttention(nn.Module):
    """F'_i = gamma * sum_j softmax_j(F_i . F_j) F_j + F_i over channels i, j (Eq. 5-6); gamma starts at 1.

    The products run over all positions, which overflows half precision, so they are taken in float32.

    Shapes: (B, C, *spatial) to the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1))

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            rows = features.flatten(2)
            if rows.dtype in (torch.float16, torch.bfloat16):
                rows = rows.float()
            mixed = (rows @ rows.transpose(1, 2)).softmax(dim=2) @ rows
        return self.gamma * mixed.to(features.dtype).view_as(features) + features


class SpatialAttention(nn.Module):
    """F''_i = gamma * sum_j softmax_j(q_i . k_j) v_j + F'_i over positions i, j (Eq. 7-8); gamma starts at 1.

    q and k have C / 8 channels, v has C; all are 1x1 convolutions with bias, written as linear maps over
    positions. PyTorch's attention avoids the matrix over all pairs of positions where q, k and v have equally
    many channels, so q and k are padded with zeros, which change no product.

    Shapes: (B, C, *spatial) to the same.
    """

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // CHANNELS_PER_QUERY)
        self.query = nn.Linear(channels, inner)
        self.key = nn.Linear(channels, inner)
        self.value = nn.Linear(channels, channels)
        self.gamma = nn.Parameter(torch.ones(1))

    def forward(self, features: Tensor) -> Tensor:
        positions = features.flatten(2).transpose(1, 2).unsqueeze(1)  # (B, one attention head, N, C)
        query, key = (
            functional.pad(projected, (0, positions.shape[-1] - projected.shape[-1]))
            for projected in (self.query(positions), self.key(positions))
        )
        mixed = functional.scaled_dot_product_attention(query, key, self.value(positions), scale=1.0)
        update = mixed.squeeze(1).transpose(1, 2)
        return self.gamma * update.unflatten(2, features.shape[2:]) + features


class NonLocalLocalization(nn.Module):
    """Finds roughly where the target is: channel attention, spatial attention, 7x7 convolution to a map.

    Shapes: (B, channels, *spatial) to the attended features, of the same shape, and the logits of the map
    (B, num_maps, *spatial).
    """

    def __init__(self, *, spatial_dims: int, channels: int, num_maps: int = 1) -> None:
        super().__init__()
        self.channel_attention = ChannelAttention()
        self.spatial_attention = SpatialAttention(channels=channels)
        self.map = map_head(spatial_dims, channels, num_maps)

    def attend(self, features: Tensor) -> Tensor:
        """Return the attended features."""
        return self.spatial_attention(self.channel_attention(features))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        attended = self.attend(features)
        return attended, self.map(attended)


class MappedFeatures(NonLocalLocalization):
    """The same with another attention in place of both."""

    def __init__(self, attention: nn.Module, *, spatial_dims: int, channels: int, num_maps: int = 1) -> None:
        nn.Module.__init__(self)
        self.attention = attention
        self.map = map_head(spatial_dims, channels, num_maps)

    def attend(self, features: Tensor) -> Tensor:
        return self.attention(features)


def localization_module(
    attention: str | None, *, spatial_dims: int, channels: int, num_maps: int = 1
) -> nn.Module:
    """Return a localization with that attention ("non-local", "se", "eca" or "sam"), or None without any.

    Raises:
        ValueError: `attention` is unknown.
    """
    sizes = {"spatial_dims": spatial_dims, "channels": channels, "num_maps": num_maps}
    if attention == NON_LOCAL:
        return NonLocalLocalization(**sizes)
    others: dict[str | None, Callable[[], nn.Module]] = {
        None: nn.Identity,
        SE: lambda: SqueezeExcitation(channels=channels),
        ECA: lambda: EfficientChannelAttention(channels=channels),
        SAM: lambda: SpatialAttentionModule(spatial_dims=spatial_dims),
    }
    if attention not in others:
        raise ValueError(f"attention is {attention!r}; it must be one of {', '.join(ATTENTIONS)}.")
    return MappedFeatures(others[attention](), **sizes)

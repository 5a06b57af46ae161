"""Localization: attention, then a coarse map (Qiu et al., 3.2.1)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_pancext.architectures.blocks.head import map_head
from nnunet_pancext.architectures.dims import convolution

CHANNELS_PER_QUERY = 8
SQUEEZE_REDUCTION = 16
SPATIAL_KERNEL = 7
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
    return features * weights.view(*weights.shape, *[1] * (features.dim() - 2))


class NonLocalLocalization(nn.Module):
    """Finds roughly where the target is: channel attention, spatial attention, 7x7 convolution to a map.

    Shapes: (B, channels, *spatial) to the attended features, of the same shape, and the logits of the map
    (B, num_maps, *spatial).

    Args:
        attention: "non-local", or "se", "eca" or "sam" in place of both attentions; None for neither.

    Raises:
        ValueError: `attention` is unknown.
    """

    def __init__(
        self, *, spatial_dims: int, channels: int, num_maps: int = 1, attention: str | None = NON_LOCAL
    ) -> None:
        super().__init__()
        if attention == NON_LOCAL:
            self.channel_attention = ChannelAttention()
            self.spatial_attention = SpatialAttention(channels=channels)
        elif attention == SE:
            self.attention: nn.Module = SqueezeExcitation(channels=channels)
        elif attention == ECA:
            self.attention = EfficientChannelAttention(channels=channels)
        elif attention == SAM:
            self.attention = SpatialAttentionModule(spatial_dims=spatial_dims)
        elif attention is not None:
            raise ValueError(f"attention is {attention!r}; it must be one of {', '.join(ATTENTIONS)}.")
        self.map = map_head(spatial_dims, channels, num_maps)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        *attentions, head = self.children()
        for attention in attentions:
            features = attention(features)
        return features, head(features)

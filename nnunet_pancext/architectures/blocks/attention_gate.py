"""Additive attention gates (Oktay et al. 2018), one or several side by side."""

from typing import Any

import torch
from torch import Tensor, nn

from nnunet_pancext.architectures.blocks.conv import conv_stack
from nnunet_pancext.architectures.dims import Strides, conv1x1, normalisation, patch_convolution, upsample


class AdditiveAttention(nn.Module):
    """sigmoid(psi(relu(theta(skip) + phi(gating)))), upsampled to the skip's size (Oktay et al., Eq. 1-2).

    theta is a convolution without bias whose kernel and stride are the stride between the two levels, so it
    brings the skip to the gating signal's size; phi and psi are 1x1 convolutions with bias. Upsampling is
    (bi/tri)linear.

    Shapes: skip (B, channels, *spatial) and gating (B, gating_channels, *spatial / stride) to
    (B, 1, *spatial), with values between 0 and 1.
    """

    def __init__(self, *, spatial_dims: int, channels: int, gating_channels: int, stride: Strides) -> None:
        super().__init__()
        self.stride = tuple(stride)
        self.theta = patch_convolution(spatial_dims, channels, stride)
        self.phi = conv1x1(spatial_dims, gating_channels, channels)
        self.psi = conv1x1(spatial_dims, channels, 1)

    def forward(self, skip: Tensor, gating: Tensor) -> Tensor:
        joint = torch.relu(self.theta(skip) + self.phi(gating))
        return upsample(torch.sigmoid(self.psi(joint)), self.stride)


class AttentionGate(nn.Module):
    """W(skip * a) with the `AdditiveAttention` a; W is a 1x1 convolution with bias and a normalisation.

    Shapes: skip (B, channels, *spatial) and gating (B, gating_channels, *spatial / stride) to the skip's
    shape, and the attention (B, 1, *spatial).
    """

    def __init__(self, *, spatial_dims: int, channels: int, norm: str, **sizes: Any) -> None:
        super().__init__()
        self.attention = AdditiveAttention(spatial_dims=spatial_dims, channels=channels, **sizes)
        self.w = nn.Sequential(
            conv1x1(spatial_dims, channels, channels), normalisation(norm, spatial_dims, channels)
        )

    def forward(self, skip: Tensor, gating: Tensor) -> tuple[Tensor, Tensor]:
        attention = self.attention(skip, gating)
        return self.w(skip * attention), attention


class GatedSkip(nn.Module):
    """`num_heads` attention gates on the same inputs, each with its own weights, and what combines them.

    The gates' outputs are concatenated and brought back to the skip's channels by 1x1 convolution with bias,
    norm and ReLU. With one head that is the single-gate Attention U-Net, weight for weight.

    Shapes: skip (B, channels, *spatial) and gating (B, gating_channels, *spatial / stride) to the skip's
    shape, and the attention of each head (B, num_heads, *spatial).
    """

    def __init__(self, *, spatial_dims: int, channels: int, num_heads: int, norm: str, **sizes: Any) -> None:
        super().__init__()
        self.gates = nn.ModuleList(
            AttentionGate(spatial_dims=spatial_dims, channels=channels, norm=norm, **sizes)
            for _ in range(num_heads)
        )
        self.combine = conv_stack(spatial_dims, [num_heads * channels, channels], kernel_sizes=[1], norm=norm)

    def forward(self, skip: Tensor, gating: Tensor) -> tuple[Tensor, Tensor]:
        gated, attentions = zip(*(gate(skip, gating) for gate in self.gates), strict=True)
        return self.combine(torch.cat(gated, dim=1)), torch.cat(attentions, dim=1)

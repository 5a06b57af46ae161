"""Atrous spatial pyramid pooling: the same features at several widths of surroundings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nnunet_pancext.architectures.blocks.conv import conv_norm_relu
from nnunet_pancext.architectures.dims import convolution

DILATIONS = (2, 5, 7)


class ASPP(nn.Module):
    """A 1x1 convolution, three 3x3 of dilation 2, 5 and 7, and the mean over all, fused by a 3x3.

    Each convolution has norm and ReLU, but for that of the mean: over one position there is nothing to
    normalise.

    Shapes: (B, in_channels, *spatial) to (B, out_channels, *spatial).
    """

    def __init__(self, *, spatial_dims: int, in_channels: int, out_channels: int, norm: str) -> None:
        super().__init__()

        def layers(in_channels: int, kernel_size: int, dilation: int = 1) -> nn.Module:
            return nn.Sequential(
                *conv_norm_relu(
                    spatial_dims=spatial_dims,
                    in_channels=in_channels,
                    out_channels=out_channels,
                    kernel_size=kernel_size,
                    dilation=dilation,
                    norm=norm,
                )
            )

        self.branches = nn.ModuleList(
            [layers(in_channels, 1), *(layers(in_channels, 3, dilation) for dilation in DILATIONS)]
        )
        self.mean = nn.Sequential(
            convolution(
                spatial_dims=spatial_dims,
                in_channels=in_channels,
                out_channels=out_channels,
                kernel_size=1,
                bias=True,
            ),
            nn.ReLU(inplace=True),
        )
        self.fusion = layers((len(self.branches) + 1) * out_channels, 3)

    def forward(self, features: Tensor) -> Tensor:
        axes = tuple(range(2, features.dim()))
        found = [branch(features) for branch in self.branches]
        mean = self.mean(features.mean(dim=axes, keepdim=True))
        return self.fusion(torch.cat([*found, mean.expand_as(found[0])], dim=1))

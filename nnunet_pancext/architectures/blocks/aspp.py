"""Atrous spatial pyramid pooling: the same features at several receptive fields."""

import torch
from torch import Tensor, nn

from nnunet_pancext.architectures.blocks.conv import conv_stack
from nnunet_pancext.architectures.dims import conv1x1

DILATIONS = (2, 5, 7)


class ASPP(nn.Module):
    """A 1x1 convolution, three 3x3 of dilation 2, 5 and 7, and the mean over all, fused by a 3x3.

    Each convolution has norm and ReLU, except that of the mean, which has one position: nothing to normalise.

    Shapes: (B, in_channels, *spatial) to (B, out_channels, *spatial).
    """

    def __init__(self, *, spatial_dims: int, in_channels: int, out_channels: int, norm: str) -> None:
        super().__init__()

        def layers(in_channels: int, kernel: int, dilation: int = 1) -> nn.Module:
            widths = [in_channels, out_channels]
            return conv_stack(spatial_dims, widths, kernel_sizes=[kernel], dilation=dilation, norm=norm)

        self.branches = nn.ModuleList(
            [layers(in_channels, 1), *(layers(in_channels, 3, dilation) for dilation in DILATIONS)]
        )
        self.mean = nn.Sequential(conv1x1(spatial_dims, in_channels, out_channels), nn.ReLU(inplace=True))
        self.fusion = layers((len(self.branches) + 1) * out_channels, 3)

    def forward(self, features: Tensor) -> Tensor:
        axes = tuple(range(2, features.dim()))
        branches = [branch(features) for branch in self.branches]
        mean = self.mean(features.mean(dim=axes, keepdim=True))
        return self.fusion(torch.cat([*branches, mean.expand_as(branches[0])], dim=1))

"""DLKUNet's block: depthwise-separable convolutions gated by large-kernel attention."""

import math
from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from nnunet_pancext.architectures.blocks.depthwise import depthwise_convolution
from nnunet_pancext.architectures.dims import conv1x1, normalisation

LARGE_KERNEL_DILATION = 3
# Bound of the normalised features that enter the attention, which multiplies features by features: each block
# squares its normalised features, and BatchNorm with running statistics does not bound them.
LARGEST_FEATURE = 20.0


class LargeKernelAttention(nn.Module):
    """u * conv1(DW_d(DW(u))): a depthwise convolution, a dilated one, and a pointwise one give a gate.

    With the paper's `kernel_sizes`, 5 and (dilated by 3) 7, the receptive field is 23 voxels along an axis.
    Both kernels are 1 on `flat_axes`.

    Shapes: (B, channels, *spatial) to the same.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        channels: int,
        kernel_sizes: tuple[int, int] = (5, 7),
        flat_axes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        local, wide = kernel_sizes
        depthwise = partial(depthwise_convolution, spatial_dims, channels, flat_axes=flat_axes)
        self.gate = nn.Sequential(
            depthwise(local),
            depthwise(wide, dilation=LARGE_KERNEL_DILATION),
            conv1x1(spatial_dims, channels, channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features * self.gate(features)


class LargeKernelBlock(nn.Module):
    """Two depthwise-separable convolutions (Eq. 1-2), then large-kernel attention (Eq. 3-4).

    With N a norm, P a 1x1 and D a depthwise convolution, all with bias:

        z = ReLU(N(P(D(input)))),  u = N(P(D(z))),  output = u * gate(u)

    u is clamped to +-20, 20 standard deviations: the block is quadratic, and without a bound the features of
    an unusual patch grow from block to block without limit.

    Shapes: (B, in_channels, *spatial) to (B, out_channels, *spatial).

    Args:
        depthwise_kernel: of the separable convolutions.
        large_kernels: of the attention's plain and dilated convolution.
        flat_axes: the axes on which every depthwise kernel is 1.
        residual: add u to the output, as in the paper's prose, but not in its equations or parameter counts.
        second_relu: see `set_second_relu`.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        depthwise_kernel: int = 3,
        large_kernels: tuple[int, int] = (5, 7),
        flat_axes: Sequence[int] = (),
        norm: str = "batch",
        residual: bool = False,
        second_relu: bool = False,
    ) -> None:
        super().__init__()
        self.residual = residual
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels):
            layers += [
                depthwise_convolution(spatial_dims, channels, depthwise_kernel, flat_axes=flat_axes),
                conv1x1(spatial_dims, channels, out_channels),
                normalisation(norm, spatial_dims, out_channels),
                nn.Hardtanh(0.0, LARGEST_FEATURE, inplace=True),  # see set_second_relu
            ]
        self.separable = nn.Sequential(*layers)
        self.set_second_relu(second_relu)
        self.attention = LargeKernelAttention(
            spatial_dims=spatial_dims, channels=out_channels, kernel_sizes=large_kernels, flat_axes=flat_axes
        )

    def set_second_relu(self, second_relu: bool) -> None:
        """Follow Eq. 2 (False), or let u = ReLU(N(P(D(z)))) with both ReLUs capped at 20 (True)."""
        first, second = (layer for layer in self.separable if isinstance(layer, nn.Hardtanh))
        first.max_val = LARGEST_FEATURE if second_relu else math.inf
        second.min_val = 0.0 if second_relu else -LARGEST_FEATURE

    def forward(self, features: Tensor) -> Tensor:
        features = self.separable(features)
        attended = self.attention(features)
        return attended + features if self.residual else attended

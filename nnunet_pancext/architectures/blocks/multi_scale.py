"""Backbone of the multi-scale U-Net: two encoders, one with kernels of two sizes (Qiu et al., 3.1.1)."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from nnunet_pancext.architectures.blocks.conv import conv_stack
from nnunet_pancext.architectures.blocks.u_net import decode, encode
from nnunet_pancext.architectures.dims import Strides, max_pool, transposed_convolution


class MultiScaleBackbone(nn.Module):
    """Encoders, centre and decoder, without heads.

    With p for max-pooling, c_n for convolution of kernel n with norm and ReLU, and (+) for concatenation,
    level i + 1 gets (Eq. 1-2)

        C_1 = p(c3(c3(C_1))),  C_2 = p(c3(c1(C_2)) (+) c3(c5(C_2))),

    and the centre (Eq. 3) is c3(c1(C_1)) (+) c3(c3(C_2)) (+) c3(c5(C_2)). Each of the two parts of C_2 has
    half of its channels; the first encoder gives half of the centre's, each kernel of the second a quarter.
    The decoder (Eq. 4) upsamples by transposed convolution and merges the first encoder's skip, then the
    second's: U = c3(c3(deconv(U) (+) C_1) (+) C_2).

    Shapes: (B, in_channels, *spatial), a multiple of the strides, to a list of the decoder's features and,
    last, the centre's: (B, channels[i], *spatial_i), finest first.

    `channels` are of each level, finest first, and divisible by 4.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        channels: Sequence[int],
        strides: Sequence[Strides],
        norm: str,
    ) -> None:
        super().__init__()

        def layers(in_channels: int, out_channels: int, kernels: Sequence[int] = (3,)) -> nn.Module:
            widths = [in_channels, *[out_channels] * len(kernels)]
            return conv_stack(spatial_dims, widths, kernel_sizes=kernels, norm=norm)

        # All lists are finest first.
        *upper, (narrow, wide) = pairwise([in_channels, *channels])
        self.first_encoder = nn.ModuleList(layers(narrow, wide, (3, 3)) for narrow, wide in upper)
        self.second_encoder = nn.ModuleList(
            nn.ModuleList(layers(narrow, wide // 2, (kernel, 3)) for kernel in (1, 5))
            for narrow, wide in upper
        )
        self.pools = nn.ModuleList(max_pool(stride) for stride in strides)
        self.first_centre = layers(narrow, wide // 2, (1, 3))
        self.second_centre = nn.ModuleList(layers(narrow, wide // 4, (kernel, 3)) for kernel in (3, 5))
        self.enlarge = nn.ModuleList(
            transposed_convolution(spatial_dims, wide, narrow, stride)
            for (narrow, wide), stride in zip(pairwise(channels), strides, strict=True)
        )
        self.first_merge = nn.ModuleList(layers(2 * width, width) for width in channels[:-1])
        self.second_merge = nn.ModuleList(layers(2 * width, width) for width in channels[:-1])

    def forward(self, image: Tensor) -> list[Tensor]:
        *first, first_centre = encode(image, [*self.first_encoder, self.first_centre], self.pools)
        branches = [partial(_concatenate, stage) for stage in (*self.second_encoder, self.second_centre)]
        *second, second_centre = encode(image, branches, self.pools)
        centre = torch.cat([first_centre, second_centre], dim=1)
        return [*decode(centre, list(zip(first, second, strict=True)), self._join), centre]

    def _join(self, level: int, features: Tensor, skips: tuple[Tensor, Tensor]) -> Tensor:
        first, second = skips
        merged = self.first_merge[level](torch.cat([self.enlarge[level](features), first], dim=1))
        return self.second_merge[level](torch.cat([merged, second], dim=1))


def _concatenate(branches: Iterable[nn.Module], features: Tensor) -> Tensor:
    return torch.cat([branch(features) for branch in branches], dim=1)

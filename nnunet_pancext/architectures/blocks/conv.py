"""Convolution, normalisation, ReLU, once or several times."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from nnunet_pancext.architectures.dims import convolution, normalisation


def conv_norm_relu(
    *,
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    norm: str,
    kernel_size: int = 3,
    dilation: int = 1,
) -> list[nn.Module]:
    """Return the three layers, from (B, in_channels, *spatial) to (B, out_channels, *spatial), with bias."""
    return [
        convolution(
            spatial_dims=spatial_dims,
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=kernel_size,
            dilation=dilation,
            bias=True,
        ),
        normalisation(norm, spatial_dims=spatial_dims, channels=out_channels),
        nn.ReLU(inplace=True),
    ]


def conv_stack(
    *, spatial_dims: int, widths: Sequence[int], norm: str, kernel_sizes: Sequence[int] | None = None
) -> nn.Sequential:
    """Return `conv_norm_relu` from each of `widths` to the next; kernels of None are 3."""
    kernels = kernel_sizes or [3] * (len(widths) - 1)
    return nn.Sequential(
        *(
            layer
            for (narrow, wide), kernel in zip(pairwise(widths), kernels, strict=True)
            for layer in conv_norm_relu(
                spatial_dims=spatial_dims,
                in_channels=narrow,
                out_channels=wide,
                kernel_size=kernel,
                norm=norm,
            )
        )
    )

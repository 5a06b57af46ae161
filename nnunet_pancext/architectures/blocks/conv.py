"""Convolution, normalisation, ReLU."""

from __future__ import annotations

from torch import nn

from nnunet_pancext.architectures.dims import convolution, normalisation


def conv_norm_relu(
    *, spatial_dims: int, in_channels: int, out_channels: int, norm: str, kernel_size: int = 3
) -> list[nn.Module]:
    """Return the three layers, from (B, in_channels, *spatial) to (B, out_channels, *spatial), with bias."""
    return [
        convolution(
            spatial_dims=spatial_dims,
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=kernel_size,
            bias=True,
        ),
        normalisation(norm, spatial_dims=spatial_dims, channels=out_channels),
        nn.ReLU(inplace=True),
    ]

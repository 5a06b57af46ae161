"""Segmentation heads: from features to logits."""

from __future__ import annotations

import math
from collections import OrderedDict

from torch import nn

from nnunet_pancext.architectures.dims import convolution, normalisation

MAP_KERNEL = 7


def segmentation_head(*, spatial_dims: int, channels: int, num_classes: int, norm: str) -> nn.Module:
    """Return norm-ReLU-1x1 convolution with bias: (B, channels, *spatial) to (B, num_classes, *spatial)."""
    return nn.Sequential(
        OrderedDict(
            norm=normalisation(norm, spatial_dims=spatial_dims, channels=channels),
            activation=nn.ReLU(inplace=True),
            seg_layers=_logits(spatial_dims, channels, num_classes),
        )
    )


def linear_head(*, spatial_dims: int, channels: int, num_classes: int) -> nn.Module:
    """Return a 1x1 convolution with bias, from (B, channels, *spatial) to (B, num_classes, *spatial)."""
    return class_head(_logits(spatial_dims, channels, num_classes))


def start_at(probability: float, head: nn.Module) -> None:
    """Set the bias of a `linear_head` so that the sigmoid of its logits begins around this probability."""
    bias = head.get_parameter("seg_layers.bias")
    nn.init.constant_(bias, math.log(probability / (1 - probability)))


def map_convolution(*, spatial_dims: int, channels: int, num_maps: int = 1) -> nn.Module:
    """Return a 7x7 convolution with bias, from (B, channels, *spatial) to maps (B, num_maps, *spatial)."""
    return convolution(
        spatial_dims=spatial_dims,
        in_channels=channels,
        out_channels=num_maps,
        kernel_size=MAP_KERNEL,
        bias=True,
    )


def class_head(logits: nn.Module) -> nn.Module:
    """Return `logits` under the name by which a head for the dataset's classes is known; see `_logits`."""
    return nn.Sequential(OrderedDict(seg_layers=logits))


def _logits(spatial_dims: int, channels: int, num_classes: int) -> nn.Module:
    """Return the convolution that every head holds as `seg_layers`.

    By that word nnU-Net's `-pretrained_weights` knows what to leave out, so that weights carry over to a
    dataset with other labels.
    """
    return convolution(
        spatial_dims=spatial_dims, in_channels=channels, out_channels=num_classes, kernel_size=1, bias=True
    )

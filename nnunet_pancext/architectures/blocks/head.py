"""Segmentation heads: from features to logits."""

import math
from collections import OrderedDict

from torch import nn

from nnunet_pancext.architectures.dims import conv1x1, convolution, normalisation

MAP_KERNEL = 7


def segmentation_head(spatial_dims: int, channels: int, num_classes: int, *, norm: str) -> nn.Module:
    """Return norm-ReLU-1x1 convolution with bias: (B, channels, *spatial) to (B, num_classes, *spatial)."""
    return nn.Sequential(
        OrderedDict(
            norm=normalisation(norm, spatial_dims, channels),
            activation=nn.ReLU(inplace=True),
            seg_layers=conv1x1(spatial_dims, channels, num_classes),
        )
    )


def conv1x1_head(spatial_dims: int, channels: int, num_classes: int) -> nn.Module:
    """Return a 1x1 convolution with bias, from (B, channels, *spatial) to (B, num_classes, *spatial)."""
    return class_head(conv1x1(spatial_dims, channels, num_classes))


def init_prior_bias(probability: float, head: nn.Module) -> None:
    """Set the bias of a `conv1x1_head` so that its initial sigmoid is about this probability."""
    bias = head.get_parameter("seg_layers.bias")
    nn.init.constant_(bias, math.log(probability / (1 - probability)))


def map_head(spatial_dims: int, channels: int, num_maps: int = 1) -> nn.Module:
    """Return a 7x7 convolution with bias, from (B, channels, *spatial) to maps (B, num_maps, *spatial)."""
    return convolution(spatial_dims, channels, num_maps, MAP_KERNEL, bias=True)


def class_head(logits: nn.Module) -> nn.Module:
    """Return a layer with one output per class under the name `seg_layers`.

    nnU-Net's `-pretrained_weights` skips this name, so weights carry over to a dataset with other labels.
    """
    return nn.Sequential(OrderedDict(seg_layers=logits))

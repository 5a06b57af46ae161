"""Pre-activation segmentation head."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from nnunet_pancext.architectures.dims import convolution, normalisation


def segmentation_head(*, spatial_dims: int, channels: int, num_classes: int, norm: str) -> nn.Module:
    """Return norm-ReLU-1x1 convolution with bias, from (B, channels, *spatial) to (B, num_classes, *spatial).

    The convolution is called `seg_layers`: by that word nnU-Net's `-pretrained_weights` knows what to leave
    out, so that weights carry over to a dataset with other labels.
    """
    return nn.Sequential(
        OrderedDict(
            norm=normalisation(norm, spatial_dims=spatial_dims, channels=channels),
            activation=nn.ReLU(inplace=True),
            seg_layers=convolution(
                spatial_dims=spatial_dims,
                in_channels=channels,
                out_channels=num_classes,
                kernel_size=1,
                bias=True,
            ),
        )
    )

"""Multi-scale U-Net: both stages' backbone in the pancreatic-tumour cascade, as a network of its own."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from nnunet_pancext.architectures.blocks import MultiScaleBackbone, linear_head
from nnunet_pancext.architectures.dims import (
    Strides,
    check_spatial_dims,
    check_width,
    default_norm,
    least_positions,
)
from nnunet_pancext.architectures.segmentation_network import SegmentationNetwork

NUM_LEVELS = 5
WIDTH_STEP = 4  # the second branch has half of the channels, in two halves
MOST_CHANNELS = 512
BASE_CHANNELS = {2: 64, 3: 32}


class MultiScaleUNet(SegmentationNetwork):
    """Qiu et al., pancreatic-tumour cascade, 3.1.1: `MultiScaleBackbone` with 1x1 convolutions as heads.

    Args:
        spatial_dims: 2 or 3.
        in_channels: image channels.
        num_classes: output channels.
        strides: one tuple per downsampling (4), finest first; None means 2 on every axis.
        deep_supervision: return a list of logits for the four decoder levels, finest first.
        base_channels: channels of the finest level, doubled by each further one up to 512, a multiple of
            4; None means 64 in 2D and 32 in 3D.
        norm: None means BatchNorm in 2D and InstanceNorm in 3D; or "batch", "instance", "group".

    Raises:
        ValueError: at construction, an option out of its range; in `forward`, an input that is too small.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        strides: Sequence[Strides] | None = None,
        deep_supervision: bool = False,
        base_channels: int | None = None,
        norm: str | None = None,
    ) -> None:
        check_spatial_dims(spatial_dims)
        norm_kind = norm or default_norm(spatial_dims)
        super().__init__(
            spatial_dims=spatial_dims,
            strides=strides,
            num_downsamplings=NUM_LEVELS - 1,
            deep_supervision=deep_supervision,
            least_deepest_positions=least_positions(norm_kind),
        )
        channels = backbone_channels(spatial_dims, base_channels)
        self.backbone = MultiScaleBackbone(
            spatial_dims=spatial_dims,
            in_channels=in_channels,
            channels=channels,
            strides=self.strides,
            norm=norm_kind,
        )
        self.head, *auxiliary = (
            linear_head(spatial_dims=spatial_dims, channels=width, num_classes=num_classes)
            for width in channels[:-1]
        )
        self.auxiliary_heads.extend(auxiliary)

    def decode(self, image: Tensor) -> list[Tensor]:
        return self.backbone(image)[:-1]


def backbone_channels(
    spatial_dims: int, base_channels: int | None, *, multiple_of: int = WIDTH_STEP
) -> list[int]:
    """Return the channels of the five levels, finest first.

    Raises:
        ValueError: `base_channels` is no positive multiple of `multiple_of`.
    """
    base = BASE_CHANNELS[spatial_dims] if base_channels is None else base_channels
    check_width("base_channels", base, multiple_of=multiple_of)
    return [min(base * 2**level, MOST_CHANNELS) for level in range(NUM_LEVELS)]

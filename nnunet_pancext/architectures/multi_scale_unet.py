"""Multi-scale U-Net: the backbone of both stages of the pancreatic-tumour network, on its own."""

from torch import Tensor
from typing_extensions import Unpack

from nnunet_pancext.architectures.blocks.head import conv1x1_head
from nnunet_pancext.architectures.blocks.multi_scale import MultiScaleBackbone
from nnunet_pancext.architectures.dims import check_width
from nnunet_pancext.architectures.segmentation_network import NetworkOptions, SegmentationNetwork

NUM_LEVELS = 5
WIDTH_STEP = 4  # the second branch has half of the channels, in two halves
MOST_CHANNELS = 512
BASE_CHANNELS = {2: 64, 3: 32}


class MultiScaleUNet(SegmentationNetwork):
    """Qiu et al., two-stage network for pancreatic tumours, 3.1.1: `MultiScaleBackbone` with 1x1 heads.

    Args:
        base_channels: channels of the finest level, doubled by each further one up to 512, a multiple of
            4; None means 64 in 2D and 32 in 3D.
        shared: see `SegmentationNetwork`.
    """

    def __init__(self, *, base_channels: int | None = None, **shared: Unpack[NetworkOptions]) -> None:
        super().__init__(num_downsamplings=NUM_LEVELS - 1, **shared)
        channels = backbone_channels(self.spatial_dims, base_channels)
        self.backbone = MultiScaleBackbone(
            spatial_dims=self.spatial_dims,
            in_channels=self.in_channels,
            channels=channels,
            strides=self.strides,
            norm=self.norm,
        )
        self.head, *auxiliary = (
            conv1x1_head(self.spatial_dims, width, self.num_classes) for width in channels[:-1]
        )
        self.auxiliary_heads.extend(auxiliary)

    def forward_features(self, image: Tensor) -> list[Tensor]:
        return self.backbone(image)[:-1]


def backbone_channels(
    spatial_dims: int, base_channels: int | None, *, multiple_of: int = WIDTH_STEP
) -> list[int]:
    """Return the channels of the five levels, finest first.

    Raises:
        ValueError: `base_channels` is not a positive multiple of `multiple_of`.
    """
    base = BASE_CHANNELS[spatial_dims] if base_channels is None else base_channels
    check_width("base_channels", base, multiple_of=multiple_of)
    return [min(base * 2**level, MOST_CHANNELS) for level in range(NUM_LEVELS)]

"""The second stage of the pancreatic-tumour network: segments the lesion in a window."""

from collections.abc import Collection, Sequence

from torch import Tensor, nn

from nnunet_pancext.architectures.blocks.conv import conv_stack
from nnunet_pancext.architectures.blocks.focusing import BOTH_SIDES
from nnunet_pancext.architectures.blocks.head import conv1x1_head
from nnunet_pancext.architectures.blocks.multi_scale import MultiScaleBackbone
from nnunet_pancext.architectures.blocks.target_mining import TargetMining
from nnunet_pancext.architectures.dims import Strides, resize
from nnunet_pancext.architectures.multi_scale_unet import NUM_LEVELS, backbone_channels


class LesionStage(nn.Module):
    """Stage 2: segments the lesion in a window.

    Shapes: (n, in_channels, *window), a multiple of the strides, to the logits of each map, resized to the
    window, (n, 1, *window), finest first.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        strides: Sequence[Strides],
        base_channels: int | None,
        localization: bool,
        focusing: bool,
        norm: str,
        sides: Collection[str] = BOTH_SIDES,
    ) -> None:
        super().__init__()
        channels = backbone_channels(spatial_dims, base_channels)
        self.backbone = MultiScaleBackbone(
            spatial_dims=spatial_dims, in_channels=in_channels, channels=channels, strides=strides, norm=norm
        )
        self.mine: TargetMining | None = None
        if not (localization or focusing):
            self.head = conv1x1_head(spatial_dims, channels[0], 1)
            return
        reduced = [channels[0] * 2**level // 2 for level in range(NUM_LEVELS)]
        self.reduce = nn.ModuleList(
            conv_stack(spatial_dims, [width, narrow], norm=norm)
            for width, narrow in zip(channels, reduced, strict=True)
        )
        self.mine = TargetMining(
            spatial_dims=spatial_dims,
            channels=reduced,
            strides=strides,
            norm=norm,
            localization=localization,
            focusing=focusing,
            sides=sides,
        )

    @property
    def map_names(self) -> list[str]:
        """Names of the maps, in the order of `forward`'s list."""
        return ["map_level1"] if self.mine is None else self.mine.map_names(first_level=1)

    def forward(self, window: Tensor) -> list[Tensor]:
        features = self.backbone(window)
        if self.mine is None:
            return [self.head(features[0])]
        _, maps = self.mine([reduce(level) for reduce, level in zip(self.reduce, features, strict=True)])
        return [resize(logits, window.shape[2:]) for logits in maps]

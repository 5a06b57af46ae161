"""SegResNet with non-local blocks at its deepest level."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from nnunet_pancext.architectures.blocks import (
    NonLocalBlock,
    ResidualBlock,
    non_local_maps,
    segmentation_head,
)
from nnunet_pancext.architectures.dims import Strides, check_width, convolution, upsample
from nnunet_pancext.architectures.segmentation_network import SegmentationNetwork


class SegResNetNL(SegmentationNetwork):
    """Liao et al., "Medical Image Segmentation Using SegResNet Integrated with Non-local Neural Networks".

    The backbone is Myronenko's residual encoder-decoder (2018). Level i has `init_filters` * 2^i channels and
    `blocks_per_level[i]` residual blocks; a strided 3x3 convolution leads from each level to the next. The
    deepest features pass `num_non_local_blocks` non-local blocks in series. Each decoder level halves the
    channels by a 1x1 convolution, enlarges (bi/tri)linearly, adds the encoder's features and applies one
    residual block.

    The paper prints 6.30 M parameters for two blocks; that is the 2D backbone alone. With the blocks it is
    6.56 M.

    Args:
        spatial_dims: 2 or 3.
        in_channels: image channels.
        num_classes: output channels.
        strides: one tuple per downsampling, finest first; None means 2 on every axis.
        deep_supervision: return the logits of all decoder levels, finest first.
        num_non_local_blocks: 0 to 4 in the paper's Table 2, which settles on 2.
        init_filters: channels of the finest level; a multiple of 8 with GroupNorm.
        blocks_per_level: residual blocks of each encoder level.
        norm: "group" (the paper's), "batch" or "instance".

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
        num_non_local_blocks: int = 2,
        init_filters: int = 32,
        blocks_per_level: Sequence[int] = (1, 2, 2, 4),
        norm: str = "group",
    ) -> None:
        super().__init__(
            spatial_dims=spatial_dims,
            strides=strides,
            num_downsamplings=len(blocks_per_level) - 1,
            deep_supervision=deep_supervision,
        )
        if num_non_local_blocks < 0:
            raise ValueError(f"num_non_local_blocks is {num_non_local_blocks}; it cannot be negative.")
        check_width("init_filters", init_filters)
        channels = [init_filters * 2**level for level in range(len(blocks_per_level))]

        def conv(
            in_channels: int, out_channels: int, kernel_size: int, stride: int | Strides = 1
        ) -> nn.Module:
            return convolution(
                spatial_dims=spatial_dims,
                in_channels=in_channels,
                out_channels=out_channels,
                kernel_size=kernel_size,
                stride=stride,
            )

        def residual(channels: int) -> nn.Module:
            return ResidualBlock(spatial_dims=spatial_dims, channels=channels, norm=norm)

        def head(channels: int) -> nn.Module:
            return segmentation_head(
                spatial_dims=spatial_dims, channels=channels, num_classes=num_classes, norm=norm
            )

        self.stem = conv(in_channels, init_filters, 3)
        self.encoder = nn.ModuleList(
            nn.Sequential(
                conv(channels[level - 1], channels[level], 3, self.strides[level - 1])
                if level
                else nn.Identity(),
                *(residual(channels[level]) for _ in range(blocks)),
            )
            for level, blocks in enumerate(blocks_per_level)
        )
        self.non_local_blocks = nn.Sequential(
            *(
                NonLocalBlock(spatial_dims=spatial_dims, channels=channels[-1])
                for _ in range(num_non_local_blocks)
            )
        )
        # Both lists are finest first, like the encoder.
        self.reducers = nn.ModuleList(conv(wide, narrow, 1) for narrow, wide in pairwise(channels))
        self.decoder = nn.ModuleList(residual(width) for width in channels[:-1])
        self.head = head(channels[0])
        self.auxiliary_heads.extend(head(width) for width in channels[1:-1])

    @property
    def num_non_local_blocks(self) -> int:
        """How many non-local blocks there are."""
        return len(self.non_local_blocks)

    def non_local_maps(self, image: Tensor, voxel: Sequence[int]) -> list[Tensor]:
        """Return for each non-local block what the position that holds `voxel` attends to.

        Shapes: image (B, in_channels, *spatial) and one index per axis; each map (B, 1, *deepest spatial),
        which sums to 1.
        """
        self._check_size(image)
        position = [index // step for index, step in zip(voxel, self.divisor, strict=True)]
        return non_local_maps(self.non_local_blocks, self._encode(self._pad(image))[-1], position)

    def decode(self, image: Tensor) -> list[Tensor]:
        skips = self._encode(image)
        features = self.non_local_blocks(skips[-1])
        decoded: list[Tensor] = []
        for level in reversed(range(len(self.decoder))):
            features = upsample(self.reducers[level](features), self.strides[level]) + skips[level]
            features = self.decoder[level](features)
            decoded.insert(0, features)
        return decoded

    def _encode(self, image: Tensor) -> list[Tensor]:
        features = self.stem(image)
        skips = []
        for stage in self.encoder:
            features = stage(features)
            skips.append(features)
        return skips

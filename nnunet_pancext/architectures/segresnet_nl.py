"""SegResNet with non-local blocks at its deepest level."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor, nn
from typing_extensions import Unpack

from nnunet_pancext.architectures.blocks.conv import ResidualBlock
from nnunet_pancext.architectures.blocks.head import segmentation_head
from nnunet_pancext.architectures.blocks.non_local import non_local_blocks, non_local_maps
from nnunet_pancext.architectures.blocks.u_net import decode, encode
from nnunet_pancext.architectures.dims import check_width, convolution, upsample
from nnunet_pancext.architectures.segmentation_network import NetworkOptions, SegmentationNetwork


class SegResNetNL(SegmentationNetwork):
    """Liao et al., "Medical Image Segmentation Using SegResNet Integrated with Non-local Neural Networks".

    The backbone is Myronenko's residual encoder-decoder (2018). Level i has `init_filters` * 2^i channels and
    `blocks_per_level[i]` residual blocks; a strided 3x3 convolution leads from each level to the next. The
    deepest features pass `num_non_local_blocks` non-local blocks in series. Each decoder level halves the
    channels by a 1x1 convolution, upsamples (bi/tri)linearly, adds the encoder's features and applies one
    residual block.

    The paper prints 6.30 M parameters for two blocks; that is the 2D backbone alone. With the blocks it is
    6.56 M.

    Args:
        num_non_local_blocks: 0 to 4 in the paper's Table 2, which settles on 2.
        init_filters: channels of the finest level; a multiple of 8 with GroupNorm.
        blocks_per_level: residual blocks of each encoder level.
        norm: "group" (the paper's), "batch" or "instance".
        shared: see `SegmentationNetwork`.
    """

    def __init__(
        self,
        *,
        num_non_local_blocks: int = 2,
        init_filters: int = 32,
        blocks_per_level: Sequence[int] = (1, 2, 2, 4),
        **shared: Unpack[NetworkOptions],
    ) -> None:
        if num_non_local_blocks < 0:
            raise ValueError(f"num_non_local_blocks is {num_non_local_blocks}; it cannot be negative.")
        check_width("init_filters", init_filters)
        shared.setdefault("norm", "group")
        super().__init__(num_downsamplings=len(blocks_per_level) - 1, **shared)
        spatial_dims, norm = self.spatial_dims, self.norm
        channels = [init_filters * 2**level for level in range(len(blocks_per_level))]

        residual = partial(ResidualBlock, spatial_dims=spatial_dims, norm=norm)
        head = partial(segmentation_head, spatial_dims, num_classes=self.num_classes, norm=norm)

        self.stem = convolution(spatial_dims, self.in_channels, init_filters, 3)
        self.encoder = nn.ModuleList(
            nn.Sequential(
                convolution(spatial_dims, *widths, 3, stride=stride) if stride else nn.Identity(),
                *(residual(channels=widths[-1]) for _ in range(blocks)),
            )
            for widths, stride, blocks in zip(
                pairwise([0, *channels]), [None, *self.strides], blocks_per_level, strict=True
            )
        )
        self.non_local_blocks = non_local_blocks(
            num_non_local_blocks, spatial_dims=spatial_dims, channels=channels[-1]
        )
        # Both lists are finest first, like the encoder.
        self.reducers = nn.ModuleList(
            convolution(spatial_dims, wide, narrow, 1) for narrow, wide in pairwise(channels)
        )
        self.decoder = nn.ModuleList(residual(channels=width) for width in channels[:-1])
        self.head = head(channels[0])
        self.auxiliary_heads.extend(head(width) for width in channels[1:-1])

    @property
    def num_non_local_blocks(self) -> int:
        """Number of non-local blocks."""
        return len(self.non_local_blocks)

    def non_local_maps(self, image: Tensor, voxel: Sequence[int]) -> list[Tensor]:
        """Return what the position that contains `voxel` attends to in each non-local block.

        Shapes: image (B, in_channels, *spatial) and one index per axis; each map (B, 1, *deepest spatial),
        which sums to 1.
        """
        self._check_size(image)
        position = [index // step for index, step in zip(voxel, self.size_divisibility, strict=True)]
        deepest = encode(self.stem(self._pad(image)), self.encoder)[-1]
        return non_local_maps(self.non_local_blocks, deepest, position)

    def forward_features(self, image: Tensor) -> list[Tensor]:
        *skips, deepest = encode(self.stem(image), self.encoder)
        return decode(self.non_local_blocks(deepest), skips, self._join)

    def _join(self, level: int, features: Tensor, skip: Tensor) -> Tensor:
        enlarged = upsample(self.reducers[level](features), self.strides[level])
        return self.decoder[level](enlarged + skip)

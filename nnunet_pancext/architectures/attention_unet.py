"""Attention U-Net with one gate or several heads on each gated skip connection."""

from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from nnunet_pancext.architectures.blocks.attention_gate import GatedSkip
from nnunet_pancext.architectures.blocks.conv import conv_stack
from nnunet_pancext.architectures.blocks.head import conv1x1_head
from nnunet_pancext.architectures.blocks.u_net import decode, encode
from nnunet_pancext.architectures.dims import check_width, max_pool, upsample
from nnunet_pancext.architectures.segmentation_network import NetworkOptions, SegmentationNetwork

NUM_LEVELS = 5


class AttentionUNet(SegmentationNetwork):
    """Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas", and its multi-head upgrade.

    Five levels of `base_channels` * 2^i channels with two convolutions each; max-pooling leads down, and
    (bi/tri)linear upsampling, which keeps the channels, up. The skips of all levels but the finest and the
    deepest pass attention gates. The gating signal of the deepest gate is the centre after a 1x1
    convolution; that of the others is the decoder's features one level below.

    Each of the four decoder levels predicts by a 1x1 convolution; the predictions are upsampled to the full
    size, concatenated and fused by another. The fused one is the network's output. With deep supervision the
    levels' own predictions follow it, from the second finest on: these heads belong to the network, so
    `auxiliary_heads` is empty.

    Args:
        num_heads: gates on each gated skip; 1 is Oktay's, 3 the upgrade's default, 0 leaves the skips as
            they are.
        base_channels: channels of the finest level.
        shared: see `SegmentationNetwork`.
    """

    def __init__(
        self, *, num_heads: int = 1, base_channels: int = 16, **shared: Unpack[NetworkOptions]
    ) -> None:
        if num_heads < 0:
            raise ValueError(f"num_heads is {num_heads}; it cannot be negative.")
        check_width("base_channels", base_channels)
        super().__init__(num_downsamplings=NUM_LEVELS - 1, **shared)
        self.num_heads = num_heads
        channels = [base_channels * 2**level for level in range(NUM_LEVELS)]
        layers = partial(conv_stack, self.spatial_dims, norm=self.norm)

        head = partial(conv1x1_head, self.spatial_dims, num_classes=self.num_classes)

        # All lists are finest first.
        self.encoder = nn.ModuleList(
            layers([narrow, wide, wide]) for narrow, wide in pairwise([self.in_channels, *channels])
        )
        self.pools = nn.ModuleList(max_pool(stride) for stride in self.strides)
        self.gating = layers([channels[-1]] * 2, kernel_sizes=[1]) if num_heads else nn.Identity()
        self.gated_skips = nn.ModuleList(
            GatedSkip(
                channels=channels[level],
                gating_channels=channels[level + 1],
                stride=self.strides[level],
                num_heads=num_heads,
                spatial_dims=self.spatial_dims,
                norm=self.norm,
            )
            for level in range(1, NUM_LEVELS - 1)
            if num_heads
        )
        self.decoder = nn.ModuleList(
            layers([narrow + wide, narrow, narrow]) for narrow, wide in pairwise(channels)
        )
        self.level_heads = nn.ModuleList(head(width) for width in channels[:-1])
        self.head = head(len(self.level_heads) * self.num_classes)

    @property
    def num_outputs(self) -> int:
        return len(self.level_heads)

    def forward_features(self, image: Tensor) -> list[Tensor]:
        return self._forward_features(image)[0]

    def predict_logits(self, features: list[Tensor]) -> list[Tensor]:
        finest, *coarser = [head(level) for head, level in zip(self.level_heads, features, strict=True)]
        enlarged = [
            upsample(prediction, stride)
            for prediction, stride in zip(coarser, self.level_strides[1:], strict=False)
        ]
        fused = self.head(torch.cat([finest, *enlarged], dim=1))
        return [fused, *coarser] if self.deep_supervision else [fused]

    @property
    def attention_names(self) -> list[str]:
        """Names of the channels of `attention_maps`, in order; levels are counted from 1."""
        return [
            f"gate_level{level}_head{head}"
            for level in range(2, len(self.gated_skips) + 2)
            for head in range(1, self.num_heads + 1)
        ]

    def attention_maps(self, image: Tensor) -> list[Tensor]:
        """Return the attention of each gated level, finest first, with values between 0 and 1.

        Shapes: image (B, in_channels, *spatial); each map (B, num_heads, *spatial / the level's stride), of
        the image padded to a multiple of the strides.
        """
        self._check_size(image)
        return self._forward_features(self._pad(image))[1]

    def forward(self, image: Tensor, return_attention: bool = False) -> Any:
        """Return the logits, and with `return_attention` the pair of logits and `attention_maps`."""
        self._check_size(image)
        features, attentions = self._forward_features(self._pad(image))
        logits = self._crop_logits(features, image.shape[2:])
        return (logits, attentions) if return_attention else logits

    def _forward_features(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        *skips, deepest = encode(image, self.encoder, self.pools)
        attentions: list[Tensor] = []

        def join(level: int, features: Tensor, skip: Tensor) -> Tensor:
            if level and len(self.gated_skips):
                signal = self.gating(features) if level == NUM_LEVELS - 2 else features
                skip, attention = self.gated_skips[level - 1](skip, signal)
                attentions.insert(0, attention)
            enlarged = upsample(features, self.strides[level])
            return self.decoder[level](torch.cat([skip, enlarged], dim=1))

        return decode(deepest, skips, join), attentions

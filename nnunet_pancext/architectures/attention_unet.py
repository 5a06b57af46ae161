"""Attention U-Net with one gate or several heads on each gated skip connection."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from nnunet_pancext.architectures.blocks import GatedSkip, conv_stack, linear_head
from nnunet_pancext.architectures.dims import (
    Strides,
    check_spatial_dims,
    check_width,
    default_norm,
    least_positions,
    max_pool,
    upsample,
)
from nnunet_pancext.architectures.segmentation_network import SegmentationNetwork

NUM_LEVELS = 5


class AttentionUNet(SegmentationNetwork):
    """Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas", and its multi-head upgrade.

    Five levels of `base_channels` * 2^i channels with two convolutions each; max-pooling leads down, and
    (bi/tri)linear enlargement, which keeps the channels, up. The skips of all levels but the finest and the
    deepest pass attention gates. The deepest of these is steered by the centre after a 1x1 convolution, the
    others by the decoder's features one level below.

    Each of the four decoder levels predicts by a 1x1 convolution; the predictions are enlarged to the full
    size, concatenated and fused by another. The fused one is the network's output. With deep supervision the
    levels' own predictions follow it, from the second finest on: these heads belong to the network, so
    `auxiliary_heads` is empty.

    Args:
        spatial_dims: 2 or 3.
        in_channels: image channels.
        num_classes: output channels.
        strides: one tuple per downsampling (4), finest first; None means 2 on every axis.
        deep_supervision: return the fused logits and those of the coarser levels.
        num_heads: gates on each gated skip; 1 is Oktay's, 3 the upgrade's default, 0 leaves the skips as
            they are.
        base_channels: channels of the finest level.
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
        num_heads: int = 1,
        base_channels: int = 16,
        norm: str | None = None,
    ) -> None:
        check_spatial_dims(spatial_dims)
        norm_kind = norm or default_norm(spatial_dims)
        if num_heads < 0:
            raise ValueError(f"num_heads is {num_heads}; it cannot be negative.")
        super().__init__(
            spatial_dims=spatial_dims,
            strides=strides,
            num_downsamplings=NUM_LEVELS - 1,
            deep_supervision=deep_supervision,
            least_deepest_positions=least_positions(norm_kind),
        )
        self.num_heads = num_heads
        check_width("base_channels", base_channels)
        channels = [base_channels * 2**level for level in range(NUM_LEVELS)]

        def layers(*widths: int, kernel_size: int = 3) -> nn.Module:
            kernel_sizes = [kernel_size] * (len(widths) - 1)
            return conv_stack(
                spatial_dims=spatial_dims, widths=widths, kernel_sizes=kernel_sizes, norm=norm_kind
            )

        # All lists are finest first.
        self.encoder = nn.ModuleList(
            layers(narrow, wide, wide) for narrow, wide in pairwise([in_channels, *channels])
        )
        self.pools = nn.ModuleList(max_pool(stride) for stride in self.strides)
        deepest = channels[-1]
        self.gating = layers(deepest, deepest, kernel_size=1) if num_heads else nn.Identity()
        self.gated_skips = nn.ModuleList(
            GatedSkip(
                spatial_dims=spatial_dims,
                channels=channels[level],
                gating_channels=channels[level + 1],
                stride=self.strides[level],
                num_heads=num_heads,
                norm=norm_kind,
            )
            for level in range(1, NUM_LEVELS - 1)
            if num_heads
        )
        self.decoder = nn.ModuleList(
            layers(narrow + wide, narrow, narrow) for narrow, wide in pairwise(channels)
        )
        self.level_heads = nn.ModuleList(
            linear_head(spatial_dims=spatial_dims, channels=width, num_classes=num_classes)
            for width in channels[:-1]
        )
        self.head = linear_head(
            spatial_dims=spatial_dims, channels=len(self.level_heads) * num_classes, num_classes=num_classes
        )

    @property
    def num_outputs(self) -> int:
        return len(self.level_heads)

    def decode(self, image: Tensor) -> list[Tensor]:
        return self._decode(image)[0]

    def classify(self, features: list[Tensor]) -> list[Tensor]:
        predictions = [head(level) for head, level in zip(self.level_heads, features, strict=True)]
        enlarged = [
            upsample(prediction, stride)
            for prediction, stride in zip(predictions[1:], self.level_strides[1:], strict=False)
        ]
        fused = self.head(torch.cat([predictions[0], *enlarged], dim=1))
        return [fused, *predictions[1:]] if self.deep_supervision else [fused]

    @property
    def attention_names(self) -> list[str]:
        """The names of the channels of `attention_maps`, one after the other; levels are counted from 1."""
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
        return self._decode(self._pad(image))[1]

    def forward(self, image: Tensor, return_attention: bool = False) -> Any:
        """Return the logits, and with `return_attention` the pair of logits and `attention_maps`."""
        self._check_size(image)
        features, attentions = self._decode(self._pad(image))
        logits = self._logits(features, image.shape[2:])
        return (logits, attentions) if return_attention else logits

    def _decode(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        features = self.encoder[0](image)
        skips = [features]
        for pool, stage in zip(self.pools, self.encoder[1:], strict=True):
            features = stage(pool(features))
            skips.append(features)
        signal = self.gating(features)
        decoded: list[Tensor] = []
        attentions: list[Tensor] = []
        for level in reversed(range(len(self.decoder))):
            skip = skips[level]
            if level and len(self.gated_skips):
                skip, attention = self.gated_skips[level - 1](skip, signal)
                attentions.insert(0, attention)
            features = torch.cat([skip, upsample(features, self.strides[level])], dim=1)
            features = signal = self.decoder[level](features)
            decoded.insert(0, features)
        return decoded, attentions

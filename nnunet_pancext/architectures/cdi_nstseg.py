"""CDI-NSTSEG: one encoder at three scales, scale fusion, non-local localization and focusing."""

import warnings
from collections.abc import Collection, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from typing_extensions import Unpack

from nnunet_pancext.architectures.blocks.aspp import ASPP
from nnunet_pancext.architectures.blocks.conv import conv_stack
from nnunet_pancext.architectures.blocks.focusing import (
    BACKGROUND,
    BOTH_SIDES,
    FOREGROUND,
    NUM_BRANCHES,
    FocusingModule,
)
from nnunet_pancext.architectures.blocks.head import class_head, map_head
from nnunet_pancext.architectures.blocks.localization import NON_LOCAL
from nnunet_pancext.architectures.blocks.scale_fusion import ScaleFusion
from nnunet_pancext.architectures.blocks.target_mining import TargetMining
from nnunet_pancext.architectures.blocks.u_net import encode
from nnunet_pancext.architectures.dims import check_width, max_pool, resize, upsample
from nnunet_pancext.architectures.segmentation_network import NetworkOptions, SegmentationNetwork

NUM_LEVELS = 5
NUM_MAPS = 4
BASE_CHANNELS = {2: 64, 3: 32}
SCALES = (0.5, 1.0, 1.5)
LEAST_POSITIONS = 3  # an axis with fewer at the deepest level keeps its size at every scale


class CDINSTSeg(SegmentationNetwork):
    """ "Tumor Segmentation Based on Multi-Scale Visual Information and Non-Local Target Mining".

    A U-Net encoder of five levels, `base_channels` * 2^i wide, processes the image at each of `scales` with
    the same weights. On each level a convolution (`ASPP` on the deepest) compresses to `base_channels`, and
    `ScaleFusion` merges the scales. The four deepest are widened to 8, 4, 2 and 1 times
    `base_channels`. `NonLocalLocalization` on the deepest gives the first map, three focusing modules refine
    it level by level, and the fused features of the finest level correct the last one.

    The maps have a channel for each class; see `TargetMining` for datasets with regions.

    Args:
        base_channels: None means 64 in 2D and 32 in 3D; a multiple of 4.
        scales: of the image; 1.0 must be among them.
        scale_fusion: False averages the scales.
        localization, focusing: see `TargetMining`.
        attention: of the localization: the paper's "non-local"; or "se" (squeeze-and-excitation), "eca"
            (efficient channel attention), "sam" (spatial attention module).
        sides: what the focusing modules explore; see `FocusingModule`.
        recompute: recompute the encoder's features of each scale in the backward pass: less memory, more
            time. Not with BatchNorm, whose statistics would be updated twice.
        shared: see `SegmentationNetwork`.
    """

    def __init__(
        self,
        *,
        base_channels: int | None = None,
        scales: Sequence[float] = SCALES,
        scale_fusion: bool = True,
        localization: bool = True,
        focusing: bool = True,
        attention: str = NON_LOCAL,
        sides: Collection[str] = BOTH_SIDES,
        recompute: bool = False,
        **shared: Unpack[NetworkOptions],
    ) -> None:
        if 1.0 not in scales or len(set(scales)) != len(scales) or min(scales) <= 0:
            raise ValueError(
                f"scales is {tuple(scales)}; it must hold 1.0 and further positive numbers, once."
            )
        super().__init__(num_downsamplings=NUM_LEVELS - 1, **shared)
        if recompute and self.norm == "batch":
            raise ValueError("recompute would update BatchNorm twice per batch; choose another norm.")
        self.scales = tuple(float(scale) for scale in scales)
        self.recompute = recompute
        base = BASE_CHANNELS[self.spatial_dims] if base_channels is None else base_channels
        check_width("base_channels", base, multiple_of=NUM_BRANCHES)
        common: dict[str, Any] = {"spatial_dims": self.spatial_dims, "norm": self.norm}

        # All lists are finest first.
        channels = [self.in_channels, *(base * 2**level for level in range(NUM_LEVELS))]
        self.encoder = nn.ModuleList(
            conv_stack(widths=[narrow, wide, wide], **common) for narrow, wide in pairwise(channels)
        )
        self.pools = nn.ModuleList(max_pool(stride) for stride in self.strides)
        *upper, deepest = channels[1:]
        self.compress = nn.ModuleList(conv_stack(widths=[width, base], **common) for width in upper)
        self.compress.append(ASPP(in_channels=deepest, out_channels=base, **common))
        self.fuse = nn.ModuleList(
            ScaleFusion(channels=base, scales=self.scales, **common)
            for _ in range(NUM_LEVELS if scale_fusion and len(self.scales) > 1 else 0)
        )
        widths = [base * 2**level for level in range(NUM_LEVELS - 1)]
        self.widen = nn.ModuleList(conv_stack(widths=[base, width], **common) for width in widths)
        self.mine = TargetMining(
            channels=widths,
            strides=self.strides[1:],
            num_maps=self.num_classes,
            localization=localization,
            focusing=focusing,
            attention=attention,
            sides=sides,
            **common,
        )
        level: Any
        for level in (self.mine.localize, *self.mine.refine):
            # With one channel per class, it does not fit a dataset with other labels.
            level.map = class_head(level.map)
        self.head = nn.Sequential(
            *conv_stack(widths=[2 * base, base], **common),
            class_head(map_head(self.spatial_dims, base, self.num_classes)),
        )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Explore the side of these weights: in former versions the trainers' names were swapped."""
        modules: Any = [module for module in self.mine.refine if isinstance(module, FocusingModule)]
        stored = [side for side in BOTH_SIDES if f"{prefix}mine.refine.0.scales.{side}" in state_dict]
        one_sided = modules and len(stored) == len(modules[0].explore) == 1
        if one_sided and stored != list(modules[0].explore):
            for module in modules:
                module.look_at(stored[0])
            finds = {FOREGROUND: "false positives", BACKGROUND: "false negatives"}[stored[0]]
            warnings.warn(
                f"These weights are of focusing modules that look for {finds} alone, the meaning of their "
                "trainer's name in former versions. The network now does so. Retrain for the other side.",
                stacklevel=2,
            )
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @property
    def num_outputs(self) -> int:
        return NUM_MAPS

    @property
    def output_strides(self) -> tuple[tuple[int, ...], ...]:
        return self.level_strides[:1] * NUM_MAPS

    @property
    def training_only_modules(self) -> list[nn.Module]:
        return self.mine.training_only_modules

    @property
    def attention_names(self) -> list[str]:
        """Names of `attention_maps`; levels are counted from 1."""
        return self.mine.map_names(first_level=2)

    def attention_maps(self, image: Tensor) -> list[Tensor]:
        """Return the foreground probability of each level's map.

        The deepest is the localization's; each is the attention of the next finer level's focusing module.

        Shapes: image (B, in_channels, *spatial); each map (B, 1, *spatial / the level's stride), finest
        first, of the image padded to a multiple of the strides.
        """
        self._check_size(image)
        _, _, maps = self._mine(self._pad(image))
        return self.mine.foreground(maps)

    def forward_features(self, image: Tensor) -> list[Tensor]:
        finest, refined, (finest_map, *maps) = self._mine(image)
        stride = self.strides[0]
        correction = self.head(torch.cat([upsample(refined, stride), finest], dim=1))
        return [upsample(finest_map, stride) + correction, *maps]

    def predict_logits(self, features: list[Tensor]) -> list[Tensor]:
        if not self.deep_supervision:
            return features[:1]
        return [resize(logits, features[0].shape[2:]) for logits in features]

    def _mine(self, image: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return the fused features of the finest level, and what `mine` gives for the deeper ones."""
        finest, *deeper = self._fuse(image)
        refined, maps = self.mine(
            [widen(features) for widen, features in zip(self.widen, deeper, strict=True)]
        )
        return finest, refined, maps

    def _extract(self, image: Tensor) -> list[Tensor]:
        """Return the compressed features of each level for the image at one scale."""
        levels = encode(image, self.encoder, self.pools)
        return [compress(features) for compress, features in zip(self.compress, levels, strict=True)]

    def _fuse(self, image: Tensor) -> list[Tensor]:
        extract: Any = self._extract
        if self.recompute and torch.is_grad_enabled():
            extract = partial(checkpoint, extract, use_reentrant=False, preserve_rng_state=False)
        sizes = [self._scaled_size(image.shape[2:], scale) for scale in self.scales]
        levels = list(zip(*(extract(resize(image, size)) for size in sizes), strict=True))
        if len(self.fuse):
            return [fuse(level) for fuse, level in zip(self.fuse, levels, strict=True)]
        at_one = self.scales.index(1.0)
        return [
            torch.stack([resize(features, level[at_one].shape[2:]) for features in level]).mean(dim=0)
            for level in levels
        ]

    def _scaled_size(self, size: Sequence[int], scale: float) -> tuple[int, ...]:
        """Return the size at a scale, to the nearest multiple of the strides."""
        positions = [length // step for length, step in zip(size, self.size_divisibility, strict=True)]
        return tuple(
            length if count < LEAST_POSITIONS else max(1, round(scale * count)) * step
            for length, count, step in zip(size, positions, self.size_divisibility, strict=True)
        )

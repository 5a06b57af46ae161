"""From the features of several levels to maps, coarse to fine: localization, then focusing modules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from nnunet_pancext.architectures.blocks.conv import conv_stack
from nnunet_pancext.architectures.blocks.focusing import (
    BOTH_SIDES,
    FocusingModule,
    foreground_probability,
)
from nnunet_pancext.architectures.blocks.head import map_convolution
from nnunet_pancext.architectures.blocks.localization import NON_LOCAL, localization_module
from nnunet_pancext.architectures.dims import Strides, upsample


class TargetMining(nn.Module):
    """Localization on the deepest features, `FocusingModule` on each finer level.

    A focusing module looks where the coarser map finds foreground (`foreground_probability`). Where the
    classes are regions, set the buffer `has_regions`; a checkpoint carries it.

    Shapes: a list of (B, channels[i], *spatial_i), finest first, to the finest refined features and a list of
    the logits of each level's map, (B, num_maps, *spatial_i), finest first.

    Args:
        spatial_dims: 2 or 3.
        channels: of each level, finest first.
        strides: between each level and the next coarser one.
        norm: "batch", "instance" or "group".
        num_maps: channels of each map.
        localization, focusing: False leaves the module out: the deepest features predict as they are, levels
            are joined as in a U-Net.
        attention: of the localization: "non-local", "se", "eca" or "sam".
        sides: what the focusing modules look at.

    Raises:
        ValueError: an attention is named where localization is left out.
    """

    has_regions: Tensor

    def __init__(
        self,
        *,
        spatial_dims: int,
        channels: Sequence[int],
        strides: Sequence[Strides],
        norm: str,
        num_maps: int = 1,
        localization: bool = True,
        focusing: bool = True,
        attention: str = NON_LOCAL,
        sides: Collection[str] = BOTH_SIDES,
    ) -> None:
        super().__init__()
        if not localization and attention != NON_LOCAL:
            raise ValueError(f"localization is left out, so it cannot have the attention {attention!r}.")
        self.register_buffer("has_regions", torch.tensor(False))
        self.strides = tuple(tuple(stride) for stride in strides)
        self.localize = localization_module(
            attention if localization else None,
            spatial_dims=spatial_dims,
            channels=channels[-1],
            num_maps=num_maps,
        )
        self.localization = localization
        self.refine = nn.ModuleList(
            FocusingModule(
                spatial_dims=spatial_dims,
                channels=narrow,
                higher_channels=wide,
                stride=stride,
                norm=norm,
                num_maps=num_maps,
                sides=sides,
            )
            if focusing
            else _Join(spatial_dims, narrow, wide, stride, norm, num_maps)
            for (narrow, wide), stride in zip(pairwise(channels), self.strides, strict=True)
        )
        self.focusing = focusing

    def map_names(self, first_level: int) -> list[str]:
        """The names of `found`, for levels counted from `first_level`, the finest."""
        deepest = first_level + len(self.refine)
        levels = range(first_level, deepest)
        kind = "localization" if self.localization else "map"
        return [*(f"map_level{level}" for level in levels), f"{kind}_level{deepest}"]

    def found(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return where each map finds foreground, as the focusing modules use it: (B, 1, *spatial_i)."""
        return [foreground_probability(logits, self.has_regions) for logits in maps]

    @property
    def supervised_only(self) -> list[nn.Module]:
        """The maps that nothing but their own loss depends on."""
        if self.focusing:
            return []
        coarser: list[nn.Module] = [self.localize, *self.refine[1:]]
        return [module.get_submodule("map") for module in coarser]

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        *levels, deepest = features
        refined, logits = self.localize(deepest)
        maps = [logits]
        for level in reversed(range(len(levels))):
            attention = foreground_probability(upsample(logits, self.strides[level]), self.has_regions)
            refined, logits = self.refine[level](levels[level], refined, attention)
            maps.insert(0, logits)
        return refined, maps


class _Join(nn.Module):
    """The coarser level's features, enlarged, joined to this level's by a convolution: focusing left out."""

    def __init__(
        self, spatial_dims: int, channels: int, higher: int, stride: Strides, norm: str, num_maps: int
    ) -> None:
        super().__init__()
        self.stride = stride
        self.join = conv_stack(spatial_dims=spatial_dims, widths=[channels + higher, channels], norm=norm)
        self.map = map_convolution(spatial_dims=spatial_dims, channels=channels, num_maps=num_maps)

    def forward(self, features: Tensor, higher: Tensor, attention: Tensor) -> tuple[Tensor, Tensor]:
        joined = self.join(torch.cat([features, upsample(higher, self.stride)], dim=1))
        return joined, self.map(joined)

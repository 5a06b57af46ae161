"""From the features of several levels to maps, coarse to fine: localization, then focusing modules."""

from collections.abc import Collection, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from nnunet_pancext.architectures.blocks.conv import conv_stack
from nnunet_pancext.architectures.blocks.focusing import BOTH_SIDES, FocusingModule, foreground_probability
from nnunet_pancext.architectures.blocks.head import map_head
from nnunet_pancext.architectures.blocks.localization import NON_LOCAL, NonLocalLocalization
from nnunet_pancext.architectures.dims import Strides, upsample


class TargetMining(nn.Module):
    """Localization on the deepest features, `FocusingModule` on each finer level.

    A focusing module attends to the coarser map's `foreground_probability`. Where classes are regions, set
    the buffer `has_regions`; checkpoints keep it.

    Shapes: a list of (B, channels[i], *spatial_i), finest first, to the finest refined features and a list of
    the logits of each level's map, (B, num_maps, *spatial_i), finest first.

    Args:
        channels: of each level, finest first.
        strides: between each level and the next coarser one.
        num_maps: channels of each map.
        localization, focusing: False replaces the module: the deepest features predict without attention,
            levels are joined as in a U-Net.
        attention: of the localization: "non-local", "se", "eca" or "sam".
        sides: what the focusing modules explore; see `FocusingModule`.

    Raises:
        ValueError: `attention` is given without localization.
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
            raise ValueError(f"localization is False, so it cannot have the attention {attention!r}.")
        self.register_buffer("has_regions", torch.tensor(False))
        self.strides = tuple(tuple(stride) for stride in strides)
        self.localize = NonLocalLocalization(
            spatial_dims=spatial_dims,
            channels=channels[-1],
            num_maps=num_maps,
            attention=attention if localization else None,
        )
        self.localization = localization
        refine: Any = partial(FocusingModule, sides=sides) if focusing else _Join
        self.refine = nn.ModuleList(
            refine(
                spatial_dims=spatial_dims,
                channels=narrow,
                higher_channels=wide,
                stride=stride,
                norm=norm,
                num_maps=num_maps,
            )
            for (narrow, wide), stride in zip(pairwise(channels), self.strides, strict=True)
        )
        self.focusing = focusing

    def map_names(self, first_level: int) -> list[str]:
        """Names of the maps, for levels counted from `first_level`, the finest."""
        deepest = first_level + len(self.refine)
        levels = range(first_level, deepest)
        kind = "localization" if self.localization else "map"
        return [*(f"map_level{level}" for level in levels), f"{kind}_level{deepest}"]

    def foreground(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the foreground probability of each map, as focusing modules use it: (B, 1, *spatial_i)."""
        return [foreground_probability(logits, self.has_regions) for logits in maps]

    @property
    def training_only_modules(self) -> list[nn.Module]:
        """The map heads that only affect their own loss."""
        coarser = [] if self.focusing else [self.localize, *self.refine[1:]]
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
    """Without focusing: upsampled coarser features, concatenated with this level's, and a convolution."""

    def __init__(
        self, spatial_dims: int, channels: int, higher_channels: int, stride: Any, norm: str, num_maps: int
    ) -> None:
        super().__init__()
        self.stride = stride
        self.join = conv_stack(spatial_dims, [channels + higher_channels, channels], norm=norm)
        self.map = map_head(spatial_dims, channels, num_maps)

    def forward(self, features: Tensor, higher: Tensor, attention: Tensor) -> tuple[Tensor, Tensor]:
        joined = self.join(torch.cat([features, upsample(higher, self.stride)], dim=1))
        return joined, self.map(joined)

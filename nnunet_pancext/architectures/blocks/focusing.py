"""Focusing module: removes false positives from a map and adds false negatives (Qiu et al., 3.2.2)."""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from nnunet_pancext.architectures.blocks.conv import conv_stack
from nnunet_pancext.architectures.blocks.head import map_head
from nnunet_pancext.architectures.dims import Strides, normalisation, upsample

NUM_BRANCHES = 4
BRANCH_KERNELS = (1, 3, 5, 7)
BRANCH_DILATIONS = (1, 2, 4, 8)
ENLARGE_KERNEL = 7
FOREGROUND, BACKGROUND = "foreground", "background"
BOTH_SIDES = (FOREGROUND, BACKGROUND)


def foreground_probability(logits: Tensor, regions: Tensor | None = None) -> Tensor:
    """Return the probability that a voxel is foreground of any class: (B, K, *spatial) to (B, 1, *spatial).

    One channel has a sigmoid. Several are a softmax with the background first; where the boolean scalar
    `regions` is True they are regions instead, and the most probable one counts.
    """
    if logits.shape[1] == 1:
        return logits.sigmoid()
    foreground = 1 - logits.softmax(dim=1)[:, :1]
    if regions is None:
        return foreground
    return torch.where(regions, logits.sigmoid().amax(dim=1, keepdim=True), foreground)


class ContextExploration(nn.Module):
    """Looks for voxels that do not fit their context, at four receptive fields.

    Branch i reduces to C / 4 channels (1x1), adds the branch before it, then has a convolution of kernel
    1, 3, 5 or 7 and a 3x3 convolution of dilation 1, 2, 4 or 8. The four results, side by side, are fused by
    a 1x1 convolution. Every convolution has norm and ReLU.

    Shapes: (B, channels, *spatial) to the same.

    Raises:
        ValueError: `channels` is not divisible by 4.
    """

    def __init__(self, *, spatial_dims: int, channels: int, norm: str) -> None:
        super().__init__()
        if channels % NUM_BRANCHES:
            raise ValueError(
                f"Context exploration divides its channels by {NUM_BRANCHES}; got {channels} channels."
            )
        inner = channels // NUM_BRANCHES

        def layers(in_channels: int, out_channels: int, kernel: int, dilation: int = 1) -> nn.Module:
            widths = [in_channels, out_channels]
            return conv_stack(spatial_dims, widths, kernel_sizes=[kernel], dilation=dilation, norm=norm)

        self.reductions = nn.ModuleList(layers(channels, inner, 1) for _ in range(NUM_BRANCHES))
        self.branches = nn.ModuleList(
            nn.Sequential(layers(inner, inner, kernel), layers(inner, inner, 3, dilation))
            for kernel, dilation in zip(BRANCH_KERNELS, BRANCH_DILATIONS, strict=True)
        )
        self.fusion = layers(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        contexts: list[Tensor] = []
        for reduce, branch in zip(self.reductions, self.branches, strict=True):
            reduced = reduce(features)
            contexts.append(branch(reduced + contexts[-1] if contexts else reduced))
        return self.fusion(torch.cat(contexts, dim=1))


class FocusingModule(nn.Module):
    """Refines a coarser level's features and map with the features of this level (Eq. 9).

    up = U(CBR7(y)); fp = CE(x * a); fn = CE(x * (1 - a)); r = BR(up - lambda * fp);
    r' = BR(r + gamma * fn); map = conv7(r'), where x are this level's features, y the coarser level's, a the
    coarser map's foreground probability upsampled to this level, CE `ContextExploration`, C a convolution,
    B a norm, R ReLU, U (bi/tri)linear upsampling. lambda and gamma are learned and start at 1.

    Shapes: features (B, channels, *spatial), higher features (B, higher_channels, *spatial / stride) and
    attention (B, 1, *spatial) to refined features (B, channels, *spatial) and the logits of the map
    (B, num_maps, *spatial).

    Args:
        higher_channels: of the coarser level.
        stride: between the two levels, one number per axis.
        num_maps: channels of the map.
        sides: "foreground" explores x * a for false positives, "background" x * (1 - a) for false negatives.
            Both by default.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        channels: int,
        higher_channels: int,
        stride: Strides,
        norm: str,
        num_maps: int = 1,
        sides: Collection[str] = BOTH_SIDES,
    ) -> None:
        super().__init__()
        if not sides or set(sides) - set(BOTH_SIDES):
            raise ValueError(f"sides is {sides!r}; it must name {' or '.join(BOTH_SIDES)}, or both.")
        self.stride = tuple(stride)
        self.enlarge = conv_stack(
            spatial_dims, [higher_channels, channels], kernel_sizes=[ENLARGE_KERNEL], norm=norm
        )
        # Only for the sides explored, so that every parameter gets a gradient.
        self.explore = nn.ModuleDict(
            {
                side: ContextExploration(spatial_dims=spatial_dims, channels=channels, norm=norm)
                for side in BOTH_SIDES
                if side in sides
            }
        )
        self.scales = nn.ParameterDict({side: nn.Parameter(torch.ones(1)) for side in self.explore})
        self.finish = nn.ModuleDict(
            {
                side: nn.Sequential(normalisation(norm, spatial_dims, channels), nn.ReLU(inplace=True))
                for side in self.explore
            }
        )
        self.map = map_head(spatial_dims, channels, num_maps)

    def look_at(self, side: str) -> None:
        """Make a module of one side explore `side` with its present layers."""
        (former,) = self.explore
        for part in (self.explore, self.scales, self.finish):
            part[side] = part.pop(former)

    def forward(self, features: Tensor, higher: Tensor, attention: Tensor) -> tuple[Tensor, Tensor]:
        refined = upsample(self.enlarge(higher), self.stride)
        if FOREGROUND in self.explore:
            false_positive = self.explore[FOREGROUND](features * attention)
            refined = self.finish[FOREGROUND](refined - self.scales[FOREGROUND] * false_positive)
        if BACKGROUND in self.explore:
            false_negative = self.explore[BACKGROUND](features * (1 - attention))
            refined = self.finish[BACKGROUND](refined + self.scales[BACKGROUND] * false_negative)
        return refined, self.map(refined)

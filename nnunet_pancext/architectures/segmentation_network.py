"""What every network of the package shares: input check, padding, heads and deep supervision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from math import ceil, prod

from torch import Tensor, nn
from torch.nn import functional

from nnunet_pancext.architectures.dims import Strides, check_spatial_dims

# nnU-Net adds logits up in half precision, which ends at 65,504: over patches that overlap, weighted by up to
# 10 each, some 300 times over where steps are a tenth of the patch.
LARGEST_LOGIT = 200.0


class SegmentationNetwork(nn.Module, ABC):
    """Base of the encoder-decoder networks.

    `forward` takes (B, in_channels, *spatial) and returns logits (B, num_classes, *spatial), without softmax
    or sigmoid. With `deep_supervision` it returns a list of logits, finest first; the output at position i is
    smaller than the input by `output_strides[i]`. The auxiliary heads exist in both modes, so that one
    checkpoint loads strictly into either.

    What predicts, in `eval` without deep supervision, has no logit beyond 200, as `hold_within` has it: else
    nnU-Net's prediction would stop where a network is that sure.

    Any input size works: inside, the input is padded with zeros at the end of each axis to a multiple of the
    product of the strides, and the logits are cropped back.

    A subclass builds its layers, sets `head` and fills `auxiliary_heads` (one for each further entry of
    `decode`'s list that is supervised), and implements `decode`. One whose paper predicts from several levels
    replaces `classify` and `num_outputs` instead.

    Args:
        spatial_dims: 2 or 3.
        strides: one tuple per downsampling, finest first; None means 2 on every axis.
        num_downsamplings: how many strides the network needs.
        deep_supervision: return a list of logits instead of the finest alone; may be switched at any time.
        least_deepest_positions: how many positions the deepest features need; InstanceNorm takes the variance
            over them, so it needs 2.

    Raises:
        ValueError: at construction, strides of the wrong number or length; in `forward`, an input with the
            wrong number of axes or too small for the strides.
    """

    head: nn.Module

    def __init__(
        self,
        *,
        spatial_dims: int,
        strides: Sequence[Strides] | None,
        num_downsamplings: int,
        deep_supervision: bool,
        least_deepest_positions: int = 1,
    ) -> None:
        super().__init__()
        check_spatial_dims(spatial_dims)
        if strides is None:
            strides = [(2,) * spatial_dims] * num_downsamplings
        self.strides = tuple(tuple(int(step) for step in stride) for stride in strides)
        if len(self.strides) != num_downsamplings:
            raise ValueError(
                f"{type(self).__name__} downsamples {num_downsamplings} times, "
                f"but got {len(self.strides)} strides: {self.strides}."
            )
        if any(len(stride) != spatial_dims or min(stride) < 1 for stride in self.strides):
            raise ValueError(f"Each stride needs {spatial_dims} numbers of at least 1, got {self.strides}.")
        self.spatial_dims = spatial_dims
        self.deep_supervision = deep_supervision
        self.auxiliary_heads = nn.ModuleList()
        levels = [(1,) * spatial_dims, *self.strides]
        self.level_strides = tuple(
            accumulate(levels, lambda total, step: tuple(a * b for a, b in zip(total, step, strict=True)))
        )
        self.divisor = self.level_strides[-1]
        self.least_deepest_positions = least_deepest_positions

    @property
    def smallest_size(self) -> tuple[int, ...]:
        """The smallest input."""
        return (*self.divisor[:-1], self.divisor[-1] * self.least_deepest_positions)

    @property
    def num_outputs(self) -> int:
        """How many outputs there are with deep supervision on."""
        return 1 + len(self.auxiliary_heads)

    @property
    def output_strides(self) -> tuple[tuple[int, ...], ...]:
        """How much smaller than the input each output is, finest first, with deep supervision on."""
        return self.level_strides[: self.num_outputs]

    @property
    def supervised_only(self) -> list[nn.Module]:
        """What the output does not depend on with deep supervision off."""
        return [self.auxiliary_heads]

    @abstractmethod
    def decode(self, image: Tensor) -> list[Tensor]:
        """Return the decoder's features, finest first, for an image whose size the strides divide."""

    def classify(self, features: list[Tensor]) -> list[Tensor]:
        """Return the logits from `decode`'s features, finest first: all, or the finest alone."""
        logits = [self.head(features[0])]
        if self.deep_supervision:
            logits += [head(level) for head, level in zip(self.auxiliary_heads, features[1:], strict=False)]
        return logits

    def padded_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the size to which an input of `size` is padded inside."""
        return tuple(ceil(length / step) * step for length, step in zip(size, self.divisor, strict=True))

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        size = image.shape[2:]
        self._check_size(image)
        return self._logits(self.decode(self._pad(image)), size)

    def _logits(self, features: list[Tensor], size: Sequence[int]) -> Tensor | list[Tensor]:
        """Return the output for the decoder's features of an image of `size`."""
        logits = self.classify(features)
        if not self.deep_supervision:
            finest = crop_end(logits[0], size)
            return finest if self.training else hold_within(LARGEST_LOGIT, finest)
        return [
            crop_end(output, [ceil(length / step) for length, step in zip(size, stride, strict=True)])
            for output, stride in zip(logits, self.output_strides, strict=True)
        ]

    def _check_axes(self, image: Tensor) -> None:
        if image.dim() != self.spatial_dims + 2:
            raise ValueError(
                f"{type(self).__name__} with spatial_dims={self.spatial_dims} takes "
                f"(batch, channels, *{self.spatial_dims} axes), got shape {tuple(image.shape)}."
            )

    def _check_size(self, image: Tensor) -> None:
        self._check_axes(image)
        size = tuple(image.shape[2:])
        positions = [ceil(length / step) for length, step in zip(size, self.divisor, strict=True)]
        too_short = any(length < step for length, step in zip(size, self.divisor, strict=True))
        if too_short or prod(positions) < self.least_deepest_positions:
            raise ValueError(
                f"An input of size {size} is too small for {type(self).__name__}: with strides "
                f"{self.strides} the smallest allowed is {self.smallest_size}."
            )

    def _pad(self, image: Tensor) -> Tensor:
        size = image.shape[2:]
        missing = [full - length for full, length in zip(self.padded_size(size), size, strict=True)]
        if not any(missing):
            return image
        return functional.pad(image, [amount for last in reversed(missing) for amount in (0, last)])


def hold_within(largest: float, logits: Tensor) -> Tensor:
    """Return (B, C, *spatial) with each voxel's logits scaled down, by one factor, to at most `largest`.

    Their signs and their order stay, and so do the label and the regions that they stand for.
    """
    size = logits.abs().amax(dim=1, keepdim=True)
    return logits * (largest / size.clamp_min(largest))


def crop_end(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Return the first `size` voxels of (B, C, *spatial) along each axis."""
    for axis, length in enumerate(size, start=2):
        if logits.shape[axis] != length:
            logits = logits.narrow(axis, 0, length)
    return logits

"""What all networks of the package share: input check, padding, heads and deep supervision."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from math import ceil, prod
from typing import TypedDict

from torch import Tensor, nn

from nnunet_pancext.architectures.dims import Strides, check_spatial_dims, crop_end, pad_end

# nnU-Net sums logits in half precision (maximum 65,504), over overlapping patches weighted by up to 10 each:
# about 300 terms with a step size of a tenth of the patch.
LARGEST_LOGIT = 200.0


class NetworkOptions(TypedDict, total=False):
    """The arguments that every network takes; see `SegmentationNetwork`."""

    spatial_dims: int
    in_channels: int
    num_classes: int
    strides: Sequence[Strides] | None
    deep_supervision: bool
    norm: str | None


class SegmentationNetwork(nn.Module, ABC):
    """Base of the encoder-decoder networks.

    `forward` takes (B, in_channels, *spatial) and returns logits (B, num_classes, *spatial), without softmax
    or sigmoid. With `deep_supervision` it returns a list of logits, finest first; the output at position i is
    smaller than the input by `output_strides[i]`. The auxiliary heads exist in both modes, so that one
    checkpoint loads strictly into either.

    In `eval` mode without deep supervision, logits are rescaled to at most 200 (`rescale_logits`), so that
    nnU-Net's sums over patches do not overflow half precision.

    Any input size works: the input is padded with zeros at the end of each axis to a multiple of
    `size_divisibility`, and the logits are cropped back.

    A subclass takes its own options and passes `**shared: Unpack[NetworkOptions]` on. It builds its layers,
    sets `head`, fills `auxiliary_heads` (one for each further level that is supervised) and implements
    `forward_features`. One whose paper predicts from several levels at once overrides `predict_logits` and
    `num_outputs` instead.

    Args:
        spatial_dims: 2 or 3.
        in_channels: image channels.
        num_classes: output channels.
        strides: one tuple per downsampling, finest first; None means 2 on every axis.
        deep_supervision: return a list of logits instead of the finest alone; may be switched at any time.
        norm: "batch", "instance" or "group"; None means BatchNorm in 2D, and InstanceNorm in 3D, where
            nnU-Net's batch size is 2.
        num_downsamplings: number of strides, set by the subclass.

    Raises:
        ValueError: at construction, strides of the wrong number or length; in `forward`, an input with the
            wrong number of axes or too small for the strides.
    """

    head: nn.Module

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        strides: Sequence[Strides] | None = None,
        deep_supervision: bool = False,
        norm: str | None = None,
        num_downsamplings: int,
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
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.deep_supervision = deep_supervision
        self.norm = norm or ("batch" if spatial_dims == 2 else "instance")
        self.auxiliary_heads = nn.ModuleList()
        levels = [(1,) * spatial_dims, *self.strides]
        self.level_strides = tuple(
            accumulate(levels, lambda total, step: tuple(a * b for a, b in zip(total, step, strict=True)))
        )
        self.size_divisibility = self.level_strides[-1]
        # InstanceNorm takes a variance over at least two positions.
        self.min_deepest_positions = 2 if self.norm == "instance" else 1

    @property
    def minimum_size(self) -> tuple[int, ...]:
        """The smallest input."""
        *first, last = self.size_divisibility
        return (*first, last * self.min_deepest_positions)

    @property
    def num_outputs(self) -> int:
        """Number of outputs with deep supervision."""
        return 1 + len(self.auxiliary_heads)

    @property
    def output_strides(self) -> tuple[tuple[int, ...], ...]:
        """Input size divided by output size, per axis, of each output with deep supervision, finest first."""
        return self.level_strides[: self.num_outputs]

    @property
    def training_only_modules(self) -> list[nn.Module]:
        """Modules on which the output without deep supervision does not depend."""
        return [self.auxiliary_heads]

    @abstractmethod
    def forward_features(self, image: Tensor) -> list[Tensor]:
        """Return the decoder's features, finest first, for an image whose size the strides divide."""

    def predict_logits(self, features: list[Tensor]) -> list[Tensor]:
        """Return the logits of `forward_features`' levels, finest first: all, or the finest alone."""
        logits = [self.head(features[0])]
        if self.deep_supervision:
            logits += [head(level) for head, level in zip(self.auxiliary_heads, features[1:], strict=False)]
        return logits

    def padded_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the size to which an input of `size` is padded."""
        return tuple(
            ceil(length / step) * step for length, step in zip(size, self.size_divisibility, strict=True)
        )

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        self._check_size(image)
        return self._crop_logits(self.forward_features(self._pad(image)), image.shape[2:])

    def _crop_logits(self, features: list[Tensor], size: Sequence[int]) -> Tensor | list[Tensor]:
        logits = self.predict_logits(features)
        if not self.deep_supervision:
            finest = crop_end(logits[0], size)
            return finest if self.training else rescale_logits(LARGEST_LOGIT, finest)
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
        positions = [ceil(length / step) for length, step in zip(size, self.size_divisibility, strict=True)]
        too_short = any(length < step for length, step in zip(size, self.size_divisibility, strict=True))
        if too_short or prod(positions) < self.min_deepest_positions:
            raise ValueError(
                f"An input of size {size} is too small for {type(self).__name__}: with strides "
                f"{self.strides} the smallest allowed is {self.minimum_size}."
            )

    def _pad(self, image: Tensor) -> Tensor:
        return pad_end(image, self.padded_size(image.shape[2:]))


def rescale_logits(largest: float, logits: Tensor) -> Tensor:
    """Scale each voxel's logits (B, C, *spatial) down, by one factor, to at most `largest`.

    Signs and order stay, and so do the label and the regions that are predicted.
    """
    size = logits.abs().amax(dim=1, keepdim=True)
    return logits * (largest / size.clamp_min(largest))


def count_parameters(network: nn.Module, auxiliary: bool = False) -> int:
    """Return the number of parameters of `network`.

    The heads of deep supervision (attribute `auxiliary_heads`) are training aids that no paper counts;
    `auxiliary=True` counts them too.
    """
    return sum(
        parameter.numel()
        for name, parameter in network.named_parameters()
        if auxiliary or not name.startswith("auxiliary_heads.")
    )

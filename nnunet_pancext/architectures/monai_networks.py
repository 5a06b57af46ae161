"""MONAI's networks for any input size. MONAI is optional: it is imported when a network is built."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from packaging.version import Version
from torch import Tensor, nn

from nnunet_pancext.architectures.segmentation_network import SegmentationNetwork
from nnunet_pancext.errors import PancextError

OLDEST_MONAI = "1.6"  # before, UNETR had 28 million parameters more, none of them in use
TOO_NEW_MONAI = "1.7"  # what it changes is not known, and the tests are of 1.6
INSTALL = 'pip install "nnunet-pancext[baselines]"'


def monai_networks() -> Any:
    """Return the module of MONAI's networks.

    Raises:
        PancextError: MONAI is not there, does not load, or is not the one that is tested.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of what MONAI itself uses
            import monai
            from monai.networks import nets
    except ImportError as error:
        raise PancextError(
            f"This network is MONAI's, an optional package that cannot be imported here ({error}). "
            f"Install the extra: {INSTALL}"
        ) from error
    if not Version(OLDEST_MONAI) <= Version(monai.__version__) < Version(TOO_NEW_MONAI):
        raise PancextError(
            f"This network needs MONAI {OLDEST_MONAI} or newer, older than {TOO_NEW_MONAI}, and "
            f"{monai.__version__} is installed. Install the extra: {INSTALL}"
        )
    return nets


class MonaiNetwork(SegmentationNetwork):
    """Base: one of MONAI's networks, unchanged, behind the interface of the package's own.

    MONAI's networks halve every axis `num_halvings` times and take no other sizes. Here the input is padded
    with zeros at the end of each axis, in training and in prediction, and the logits are cropped back.
    The strides of a plan are not used. There is one output: with `deep_supervision` a list of one.

    A subclass sets `network`. Its sizes are MONAI's defaults, written out so that a checkpoint still fits
    when MONAI changes them.

    Args:
        least_deepest_positions: the padded input has at least so many positions on the deepest level.
    """

    network: nn.Module

    def __init__(
        self,
        *,
        spatial_dims: int,
        num_halvings: int,
        deep_supervision: bool,
        least_deepest_positions: int = 1,
    ) -> None:
        super().__init__(
            spatial_dims=spatial_dims,
            strides=None,
            num_downsamplings=num_halvings,
            deep_supervision=deep_supervision,
            least_deepest_positions=least_deepest_positions,
        )

    @property
    def smallest_size(self) -> tuple[int, ...]:
        return (1,) * self.spatial_dims

    def padded_size(self, size: Sequence[int]) -> tuple[int, ...]:
        *first, last = super().padded_size(size)
        positions = [length // step for length, step in zip((*first, last), self.divisor, strict=True)]
        if prod(positions) < self.least_deepest_positions:
            last = self.divisor[-1] * self.least_deepest_positions
        return (*first, last)

    def decode(self, image: Tensor) -> list[Tensor]:
        return [self.network(image)]

    def classify(self, features: list[Tensor]) -> list[Tensor]:
        return features

    def _check_size(self, image: Tensor) -> None:
        self._check_axes(image)


class MonaiSegResNet(MonaiNetwork):
    """Myronenko, "3D MRI brain tumor segmentation using autoencoder regularization": MONAI's `SegResNet`.

    Without the autoencoder, as MONAI has it. `blocks_down` has an entry for each level.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        deep_supervision: bool = False,
        init_filters: int = 8,
        blocks_down: Sequence[int] = (1, 2, 2, 4),
        blocks_up: Sequence[int] = (1, 1, 1),
    ) -> None:
        super().__init__(
            spatial_dims=spatial_dims, num_halvings=len(blocks_down) - 1, deep_supervision=deep_supervision
        )
        self.network = monai_networks().SegResNet(
            spatial_dims=spatial_dims,
            in_channels=in_channels,
            out_channels=num_classes,
            init_filters=init_filters,
            blocks_down=tuple(blocks_down),
            blocks_up=tuple(blocks_up),
        )


class MonaiAttentionUnet(MonaiNetwork):
    """Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas": MONAI's `AttentionUnet`.

    MONAI gives no default for `channels`. These are the widths of the authors' public code, and four
    halvings. BatchNorm in 2D and 3D, as MONAI has it.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        deep_supervision: bool = False,
        channels: Sequence[int] = (16, 32, 64, 128, 256),
    ) -> None:
        num_halvings = len(channels) - 1
        super().__init__(
            spatial_dims=spatial_dims, num_halvings=num_halvings, deep_supervision=deep_supervision
        )
        self.network = monai_networks().AttentionUnet(
            spatial_dims=spatial_dims,
            in_channels=in_channels,
            out_channels=num_classes,
            channels=tuple(channels),
            strides=(2,) * num_halvings,
        )


class MonaiUNETR(MonaiNetwork):
    """Hatamizadeh et al., "UNETR: Transformers for 3D Medical Image Segmentation": MONAI's `UNETR`.

    Each position has an embedding of its own, so the network takes one size alone.

    Args:
        image_size: of the inputs; the network is built for its next multiples of 16.

    Raises:
        ValueError: in `forward`, an input that is not padded to the size the network was built for.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        image_size: Sequence[int],
        deep_supervision: bool = False,
        feature_size: int = 16,
        hidden_size: int = 768,
        mlp_dim: int = 3072,
        num_heads: int = 12,
    ) -> None:
        super().__init__(spatial_dims=spatial_dims, num_halvings=4, deep_supervision=deep_supervision)
        if len(image_size) != spatial_dims:
            raise ValueError(f"image_size needs {spatial_dims} numbers, got {tuple(image_size)}.")
        self.image_size = self.padded_size(image_size)
        self.network = monai_networks().UNETR(
            spatial_dims=spatial_dims,
            in_channels=in_channels,
            out_channels=num_classes,
            img_size=self.image_size,
            feature_size=feature_size,
            hidden_size=hidden_size,
            mlp_dim=mlp_dim,
            num_heads=num_heads,
        )
        for name, parameter in self.network.named_parameters():
            if "cross_attn" in name:
                # MONAI builds these and does not use them; DDP stops at what wants a gradient and gets none.
                parameter.requires_grad_(False)

    def _check_size(self, image: Tensor) -> None:
        super()._check_size(image)
        size = tuple(image.shape[2:])
        if self.padded_size(size) != self.image_size:
            raise ValueError(
                f"This UNETR was built for inputs of {self.image_size} and cannot take one of {size}: its "
                "position embeddings belong to that size. Build another for this size, and train it anew."
            )


class MonaiSwinUNETR(MonaiNetwork):
    """Hatamizadeh et al., "Swin UNETR: Swin Transformers for Semantic Segmentation of Brain Tumors in MRI
    Images": MONAI's `SwinUNETR`, with windows of `window_size` tokens along each axis.

    Its InstanceNorm on the deepest level needs two positions, so an input of 32 voxels or fewer along each
    axis is padded to 64 along the last.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        deep_supervision: bool = False,
        feature_size: int = 24,
        depths: Sequence[int] = (2, 2, 2, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        window_size: int = 7,
    ) -> None:
        super().__init__(
            spatial_dims=spatial_dims,
            num_halvings=5,
            deep_supervision=deep_supervision,
            least_deepest_positions=2,
        )
        with torch.device("cpu"):  # MONAI reads numbers out of a tensor, and one on "meta" has none
            self.network = monai_networks().SwinUNETR(
                spatial_dims=spatial_dims,
                in_channels=in_channels,
                out_channels=num_classes,
                feature_size=feature_size,
                depths=tuple(depths),
                num_heads=tuple(num_heads),
                window_size=window_size,
            )

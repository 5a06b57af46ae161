"""MONAI's networks for any input size. MONAI is optional: it is imported when a network is built."""

import warnings
from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from packaging.version import Version
from torch import Tensor, nn
from typing_extensions import Unpack

from nnunet_pancext.architectures.segmentation_network import NetworkOptions, SegmentationNetwork
from nnunet_pancext.errors import NNUNetCommandError

OLDEST_MONAI = "1.6"  # before, UNETR had 28 million more parameters, all unused
TOO_NEW_MONAI = "1.7"  # the tests run with 1.6
INSTALL = 'pip install "nnunet-pancext[baselines]"'


def monai_networks() -> Any:
    """Return the module of MONAI's networks.

    Raises:
        NNUNetCommandError: MONAI is missing, does not import, or has a version that is not tested.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # raised inside MONAI
            import monai
            from monai.networks import nets
    except ImportError as error:
        raise NNUNetCommandError(
            f"This network comes from MONAI, an optional package that cannot be imported ({error}). "
            f"Install the extra: {INSTALL}"
        ) from error
    if not Version(OLDEST_MONAI) <= Version(monai.__version__) < Version(TOO_NEW_MONAI):
        raise NNUNetCommandError(
            f"This network needs MONAI {OLDEST_MONAI} or newer, older than {TOO_NEW_MONAI}, and "
            f"{monai.__version__} is installed. Install the extra: {INSTALL}"
        )
    return nets


class MonaiNetwork(SegmentationNetwork):
    """Base: one of MONAI's networks, unchanged, behind the interface of the package's own.

    MONAI's networks halve every axis `num_halvings` times and only take divisible sizes. Here the input is
    padded with zeros at the end of each axis, and the logits are cropped back. The strides of a plan are not
    used. There is one output: with `deep_supervision` a list of one.

    A subclass calls `build`. Its sizes are MONAI's defaults, written out so that a checkpoint still fits when
    MONAI changes them.

    Args:
        num_halvings: of each axis.
        min_deepest_positions: the input is padded to at least so many positions on the deepest level.
        shared: see `SegmentationNetwork`; strides and norm are MONAI's own.
    """

    network: nn.Module

    def __init__(
        self, *, num_halvings: int, min_deepest_positions: int = 1, **shared: Unpack[NetworkOptions]
    ) -> None:
        super().__init__(num_downsamplings=num_halvings, **shared)
        self.min_deepest_positions = min_deepest_positions

    def build(self, name: str, **options: Any) -> None:
        """Set `network` to MONAI's network of that name."""
        self.network = getattr(monai_networks(), name)(
            spatial_dims=self.spatial_dims,
            in_channels=self.in_channels,
            out_channels=self.num_classes,
            **options,
        )

    @property
    def minimum_size(self) -> tuple[int, ...]:
        return (1,) * self.spatial_dims

    def padded_size(self, size: Sequence[int]) -> tuple[int, ...]:
        *first, last = super().padded_size(size)
        if prod((*first, last)) // prod(self.size_divisibility) < self.min_deepest_positions:
            last = self.size_divisibility[-1] * self.min_deepest_positions
        return (*first, last)

    def forward_features(self, image: Tensor) -> list[Tensor]:
        return [self.network(image)]

    def predict_logits(self, features: list[Tensor]) -> list[Tensor]:
        return features

    def _check_size(self, image: Tensor) -> None:
        self._check_axes(image)


class MonaiSegResNet(MonaiNetwork):
    """Myronenko, "3D MRI brain tumor segmentation using autoencoder regularization": MONAI's `SegResNet`.

    Like MONAI's, without the autoencoder. `blocks_down` has an entry for each level.
    """

    def __init__(
        self,
        *,
        init_filters: int = 8,
        blocks_down: Sequence[int] = (1, 2, 2, 4),
        blocks_up: Sequence[int] = (1, 1, 1),
        **shared: Unpack[NetworkOptions],
    ) -> None:
        super().__init__(num_halvings=len(blocks_down) - 1, **shared)
        self.build(
            "SegResNet", init_filters=init_filters, blocks_down=tuple(blocks_down), blocks_up=tuple(blocks_up)
        )


class MonaiAttentionUnet(MonaiNetwork):
    """Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas": MONAI's `AttentionUnet`.

    MONAI gives no default for `channels`. These are the widths of the authors' public code, with four
    halvings. BatchNorm in 2D and 3D, as in MONAI.
    """

    def __init__(
        self, *, channels: Sequence[int] = (16, 32, 64, 128, 256), **shared: Unpack[NetworkOptions]
    ) -> None:
        num_halvings = len(channels) - 1
        super().__init__(num_halvings=num_halvings, **shared)
        self.build("AttentionUnet", channels=tuple(channels), strides=(2,) * num_halvings)


class MonaiUNETR(MonaiNetwork):
    """Hatamizadeh et al., "UNETR: Transformers for 3D Medical Image Segmentation": MONAI's `UNETR`.

    Each position has its own embedding, so the network takes a single input size.

    Args:
        image_size: of the inputs; the network is built for its next multiples of 16.

    Raises:
        ValueError: in `forward`, an input that is not padded to the size the network was built for.
    """

    def __init__(
        self,
        *,
        image_size: Sequence[int],
        feature_size: int = 16,
        hidden_size: int = 768,
        mlp_dim: int = 3072,
        num_heads: int = 12,
        **shared: Unpack[NetworkOptions],
    ) -> None:
        super().__init__(num_halvings=4, **shared)
        if len(image_size) != self.spatial_dims:
            raise ValueError(f"image_size needs {self.spatial_dims} numbers, got {tuple(image_size)}.")
        self.image_size = self.padded_size(image_size)
        self.build(
            "UNETR",
            img_size=self.image_size,
            feature_size=feature_size,
            hidden_size=hidden_size,
            mlp_dim=mlp_dim,
            num_heads=num_heads,
        )
        for name, parameter in self.network.named_parameters():
            if "cross_attn" in name:
                # MONAI builds these and does not use them; DDP fails on parameters without a gradient.
                parameter.requires_grad_(False)

    def _check_size(self, image: Tensor) -> None:
        super()._check_size(image)
        size = tuple(image.shape[2:])
        if self.padded_size(size) != self.image_size:
            raise ValueError(
                f"This UNETR was built for inputs of {self.image_size} and cannot take one of {size}: its "
                "position embeddings belong to that size. Build another for this size, and retrain."
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
        feature_size: int = 24,
        depths: Sequence[int] = (2, 2, 2, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        window_size: int = 7,
        **shared: Unpack[NetworkOptions],
    ) -> None:
        super().__init__(num_halvings=5, min_deepest_positions=2, **shared)
        with torch.device("cpu"):  # MONAI reads values of a tensor, which does not work on "meta"
            self.build(
                "SwinUNETR",
                feature_size=feature_size,
                depths=tuple(depths),
                num_heads=tuple(num_heads),
                window_size=window_size,
            )

"""DLKUNet: a U-Net of depthwise-separable convolutions with large-kernel attention."""

import warnings
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from nnunet_pancext.architectures.blocks.head import conv1x1_head
from nnunet_pancext.architectures.blocks.large_kernel import LargeKernelBlock
from nnunet_pancext.architectures.blocks.u_net import decode, encode
from nnunet_pancext.architectures.dims import check_width, max_pool, transposed_convolution
from nnunet_pancext.architectures.segmentation_network import NetworkOptions, SegmentationNetwork

# By the number of axes; the paper's 2D width would not fit a GPU in 3D.
BASE_CHANNELS = {2: 96, 3: 32}


class DLKUNet(SegmentationNetwork):
    """DLKUNet (Section 3 of the paper), with 3 (S), 4 (M) or 5 (L) levels of `base_channels` * 2^i channels.

    Encoder and decoder have one `LargeKernelBlock` per level. Max-pooling leads down, a transposed
    convolution up, and the decoder's block takes the encoder's features and the upsampled ones.

    In 3D, which the paper does not have, kernels are cubes, but flat where the plan's are (`kernel_sizes`).

    Args:
        num_levels: 3, 4 and 5 are the paper's S, M and L; at least 2.
        base_channels: channels of the finest level; None means the paper's 96 in 2D and 32 in 3D.
        kernel_sizes: one tuple per level, finest first, as in an nnU-Net plan: where an entry is 1, the
            level's depthwise kernels are 1 on that axis. None means nowhere.
        depthwise_kernel: of the separable convolutions; 3, 5 or 7 in the paper's Table 5.
        large_kernels: of the attention's plain and dilated convolution; (5, 7), (3, 7) or (5, 5) in Table 5.
        residual: the identity around the attention, which appears in the paper's prose only.
        second_relu: end the second half of each block's convolutions with a ReLU too, unlike Eq. 2.
        shared: see `SegmentationNetwork`.

    Attributes:
        second_relu: a buffer with that choice, kept in checkpoints: both forms have the same parameters.
            Loading a checkpoint switches the network to the form that it was trained in. A checkpoint
            without the buffer comes from a former version, whose blocks had the second ReLU.
    """

    second_relu: Tensor

    def __init__(
        self,
        *,
        num_levels: int = 5,
        base_channels: int | None = None,
        kernel_sizes: Sequence[Sequence[int]] | None = None,
        depthwise_kernel: int = 3,
        large_kernels: tuple[int, int] = (5, 7),
        residual: bool = False,
        second_relu: bool = False,
        **shared: Unpack[NetworkOptions],
    ) -> None:
        if num_levels < 2:
            raise ValueError(f"num_levels is {num_levels}; DLKUNet needs at least 2.")
        for kernel in (depthwise_kernel, *large_kernels):
            if kernel < 1 or kernel % 2 == 0:
                raise ValueError(f"A kernel of DLKUNet is {kernel}; it must be odd.")
        super().__init__(num_downsamplings=num_levels - 1, **shared)
        base = BASE_CHANNELS[self.spatial_dims] if base_channels is None else base_channels
        check_width("base_channels", base)
        channels = [base * 2**level for level in range(num_levels)]
        flat_axes = self._flat_axes(kernel_sizes)

        def block(in_channels: int, level: int) -> nn.Module:
            return LargeKernelBlock(
                spatial_dims=self.spatial_dims,
                in_channels=in_channels,
                out_channels=channels[level],
                depthwise_kernel=depthwise_kernel,
                large_kernels=large_kernels,
                flat_axes=flat_axes[level],
                norm=self.norm,
                residual=residual,
                second_relu=second_relu,
            )

        head = partial(conv1x1_head, self.spatial_dims, num_classes=self.num_classes)

        # All lists are finest first.
        self.encoder = nn.ModuleList(
            block(width, level) for level, width in enumerate([self.in_channels, *channels[:-1]])
        )
        self.pools = nn.ModuleList(max_pool(stride) for stride in self.strides)
        self.upsamplers = nn.ModuleList(
            transposed_convolution(self.spatial_dims, wide, narrow, stride)
            for (narrow, wide), stride in zip(pairwise(channels), self.strides, strict=True)
        )
        self.decoder = nn.ModuleList(block(2 * width, level) for level, width in enumerate(channels[:-1]))
        self.head = head(channels[0])
        self.auxiliary_heads.extend(head(width) for width in channels[1:-1])
        # With a value even where the network is built without memory.
        self.register_buffer("second_relu", torch.tensor(second_relu, device="cpu"))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        key = f"{prefix}second_relu"
        if all(f"{prefix}{name}" in state_dict for name, _ in self.named_parameters()):
            state_dict.setdefault(key, torch.tensor(True))
        if key in state_dict:
            self._switch_form(bool(state_dict[key]))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _switch_form(self, second_relu: bool) -> None:
        if second_relu != bool(self.second_relu):
            form = "with a second ReLU in each block, as in former versions" if second_relu else "of Eq. 2"
            warnings.warn(
                f"These weights are of a DLKUNet {form}, and the network now computes that form. "
                "Retrain to get the other one.",
                stacklevel=2,
            )
        for block in (*self.encoder, *self.decoder):
            block.set_second_relu(second_relu)

    def forward_features(self, image: Tensor) -> list[Tensor]:
        *skips, deepest = encode(image, self.encoder, self.pools)
        return decode(deepest, skips, self._join)

    def _join(self, level: int, features: Tensor, skip: Tensor) -> Tensor:
        return self.decoder[level](torch.cat([skip, self.upsamplers[level](features)], dim=1))

    def _flat_axes(self, kernel_sizes: Sequence[Sequence[int]] | None) -> list[tuple[int, ...]]:
        """Return for each level the axes on which its depthwise kernels are 1."""
        num_levels = len(self.level_strides)
        if kernel_sizes is None:
            return [()] * num_levels
        if [len(kernel) for kernel in kernel_sizes] != [self.spatial_dims] * num_levels:
            raise ValueError(
                f"kernel_sizes needs {num_levels} entries of {self.spatial_dims} numbers each, "
                f"got {kernel_sizes}."
            )
        return [tuple(axis for axis, size in enumerate(kernel) if size == 1) for kernel in kernel_sizes]

"""Depthwise convolutions with large and dilated kernels, fast on a CPU as well.

There PyTorch computes the gradient of three-dimensional ones, and everything of dilated ones, tap by tap.
Three identities lead to what it computes fast:

- A convolution with dilation d is d convolutions without, per axis, each of every d-th voxel.
- The gradient of the input is a convolution of the output's gradient with the mirrored kernel.
- The gradient of the kernel is a correlation of input and output's gradient: a product of their Fourier
  transforms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_pancext.architectures.dims import CONVOLUTION, CONVOLVE

Convolution2d: Any = CONVOLUTION[2]
Convolution3d: Any = CONVOLUTION[3]


class _DepthwiseConvolution:
    """Chooses between PyTorch's convolution and the one of this module; the numbers are the same."""

    weight: Tensor
    bias: Tensor | None
    dilation: tuple[int, ...]

    def forward(self, features: Tensor) -> Tensor:
        plain_2d = features.dim() == 4 and max(self.dilation) == 1  # PyTorch is faster there
        if features.device.type != "cpu" or plain_2d:
            return super().forward(features)  # type: ignore[misc]
        weight, bias = self.weight, self.bias
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            features, weight = features.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        return depthwise_convolve(features, weight, bias, dilation=self.dilation)


class DepthwiseConvolution2d(_DepthwiseConvolution, Convolution2d):
    """PyTorch's, with a group for each channel, kernels of odd size and padding that keeps the size."""


class DepthwiseConvolution3d(_DepthwiseConvolution, Convolution3d):
    """The same for volumes."""


KINDS: dict[int, type[nn.Module]] = {2: DepthwiseConvolution2d, 3: DepthwiseConvolution3d}


def depthwise_convolution(
    *,
    spatial_dims: int,
    channels: int,
    kernel_size: int,
    dilation: int = 1,
    flat_axes: Sequence[int] = (),
) -> nn.Module:
    """Return a depthwise convolution with bias that keeps the size; its kernel is 1 on `flat_axes`.

    Args:
        spatial_dims: 2 or 3.
        channels: of input and output.
        kernel_size: odd.
        dilation: of the axes that are not flat.
        flat_axes: by number.
    """
    sizes = [1 if axis in flat_axes else kernel_size for axis in range(spatial_dims)]
    steps = [1 if axis in flat_axes else dilation for axis in range(spatial_dims)]
    return KINDS[spatial_dims](
        channels,
        channels,
        kernel_size=sizes,
        dilation=steps,
        padding=[step * (size // 2) for size, step in zip(sizes, steps, strict=True)],
        groups=channels,
    )


def depthwise_convolve(
    features: Tensor, weight: Tensor, bias: Tensor | None, *, dilation: Sequence[int]
) -> Tensor:
    """Return the depthwise convolution of (B, C, *spatial), padded with zeros to keep the size.

    Args:
        features: (B, C, *spatial).
        weight: (C, 1, *kernel), odd along each axis.
        bias: (C,) or None.
        dilation: of each axis.
    """
    if max(dilation) == 1:
        return _Convolve.apply(features, weight, bias)
    size = features.shape[2:]
    missing = [-length % step for length, step in zip(size, dilation, strict=True)]
    if any(missing):
        features = functional.pad(features, [amount for last in reversed(missing) for amount in (0, last)])
    parts = _Convolve.apply(_take_apart(features, dilation), weight, bias)
    whole = _put_together(parts, len(features), dilation)
    for axis, length in enumerate(size, start=2):
        whole = whole.narrow(axis, 0, length)
    return whole


def _take_apart(features: Tensor, steps: Sequence[int]) -> Tensor:
    """Return every d-th voxel from each of the d first on, per axis: (B * prod(d), C, *(spatial / d))."""
    batch, channels, *size = features.shape
    short = [length // step for length, step in zip(size, steps, strict=True)]
    split = [part for pair in zip(short, steps, strict=True) for part in pair]
    axes = range(2, 2 + 2 * len(size))
    order = (0, *axes[1::2], 1, *axes[::2])
    return features.reshape(batch, channels, *split).permute(order).reshape(-1, channels, *short)


def _put_together(parts: Tensor, batch: int, steps: Sequence[int]) -> Tensor:
    """Undo `_take_apart`."""
    _, channels, *short = parts.shape
    count = len(steps)
    order = [0, 1 + count]
    for axis in range(count):
        order += [2 + count + axis, 1 + axis]
    size = [length * step for length, step in zip(short, steps, strict=True)]
    return parts.reshape(batch, *steps, channels, *short).permute(order).reshape(batch, channels, *size)


class _Convolve(torch.autograd.Function):
    """A depthwise convolution without dilation, whose gradients are computed as the module says."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.has_bias = bias is not None
        return _convolve(features, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        features, weight = ctx.saved_tensors
        axes = tuple(range(2, features.dim()))
        of_features = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_features = _convolve(gradient.contiguous(), weight.flip(axes), None)
        if ctx.needs_input_grad[1]:
            of_weight = _correlate(features, gradient, weight.shape[2:]).to(weight.dtype)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, *axes))
        return of_features, of_weight, of_bias


def _convolve(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    convolve = CONVOLVE[features.dim() - 2]
    padding = [length // 2 for length in weight.shape[2:]]
    with torch.autocast(features.device.type, enabled=False):
        return convolve(features, weight, bias, padding=padding, groups=len(weight))


def _correlate(features: Tensor, gradient: Tensor, kernel: Sequence[int]) -> Tensor:
    """Return sum_p features[p + lag] * gradient[p] for each lag within the kernel, (C, 1, *kernel)."""
    axes = tuple(range(2, features.dim()))
    reach = [length // 2 for length in kernel]
    # Long enough that no lag wraps round, and even.
    lengths = [-(-(size + lag) // 2) * 2 for size, lag in zip(features.shape[2:], reach, strict=True)]
    exact = torch.promote_types(features.dtype, torch.float32)
    transformed, other = (torch.fft.rfftn(one.to(exact), s=lengths, dim=axes) for one in (features, gradient))
    product = (transformed * other.conj()).sum(0)
    lags = torch.fft.irfftn(product, s=lengths, dim=[axis - 1 for axis in axes])
    for axis, (lag, length) in enumerate(zip(reach, lengths, strict=True), start=1):
        positions = torch.arange(-lag, lag + 1, device=lags.device) % length
        lags = lags.index_select(axis, positions)
    return lags[:, None]

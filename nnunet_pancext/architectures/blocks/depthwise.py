"""Depthwise convolutions with large and dilated kernels, fast on a CPU as well.

There PyTorch computes the gradients of three-dimensional ones, and everything of dilated ones, tap by tap.
Three identities, each at least twice as fast for most of DLKUNet's layers (benchmarks/README.md), avoid that:

- A convolution with dilation d equals d convolutions without, per axis, each of every d-th voxel.
- The gradient of the input is a convolution of the output's gradient with the mirrored kernel.
- The gradient of the kernel is a correlation of input and output's gradient: a product of their Fourier
  transforms.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nnunet_pancext.architectures.dims import CONVOLUTION, CONVOLVE, crop_end, pad_end

Convolution2d: Any = CONVOLUTION[2]
Convolution3d: Any = CONVOLUTION[3]
SMALL_KERNEL = 3  # without dilation PyTorch's own is as fast


class _DepthwiseConvolution:
    """Chooses between PyTorch's convolution and this module's; both compute the same."""

    weight: Tensor
    bias: Tensor | None
    dilation: tuple[int, ...]

    def forward(self, features: Tensor) -> Tensor:
        planar, small = features.dim() == 4, max(self.weight.shape[2:]) <= SMALL_KERNEL
        if features.device.type != "cpu" or (max(self.dilation) == 1 and (planar or small)):
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
    spatial_dims: int, channels: int, kernel_size: int, *, dilation: int = 1, flat_axes: Sequence[int] = ()
) -> nn.Module:
    """Return a depthwise convolution with bias that keeps the size; `kernel_size` must be odd.

    On `flat_axes`, given by number, kernel and dilation are 1.
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
    """Return the depthwise convolution, with zero padding that keeps the size.

    Shapes: features (B, C, *spatial), weight (C, 1, *kernel), odd along each axis, and bias (C,) to
    (B, C, *spatial).
    """
    if max(dilation) == 1:
        return _Convolve.apply(features, weight, bias)
    size = features.shape[2:]
    padded = pad_end(
        features, [-(-length // step) * step for length, step in zip(size, dilation, strict=True)]
    )
    parts = _Convolve.apply(_take_apart(padded, dilation), weight, bias)
    return crop_end(_put_together(parts, len(features), dilation), size)


def _take_apart(features: Tensor, steps: Sequence[int]) -> Tensor:
    """Split into every d-th voxel, for each of d offsets, per axis: (B * prod(d), C, *(spatial / d))."""
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
    order = [0, 1 + count, *(place for axis in range(count) for place in (2 + count + axis, 1 + axis))]
    size = [length * step for length, step in zip(short, steps, strict=True)]
    return parts.reshape(batch, *steps, channels, *short).permute(order).reshape(batch, channels, *size)


class _Convolve(torch.autograd.Function):
    """A depthwise convolution without dilation, with the gradients of the module's docstring."""

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
        grad_features = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_features = _convolve(gradient.contiguous(), weight.flip(axes), None)
        if ctx.needs_input_grad[1]:
            grad_weight = _correlate(features, gradient, weight.shape[2:]).to(weight.dtype)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            grad_bias = gradient.sum((0, *axes))
        return grad_features, grad_weight, grad_bias


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
    transformed, other = (
        torch.fft.rfftn(side.to(exact), s=lengths, dim=axes) for side in (features, gradient)
    )
    product = (transformed * other.conj()).sum(0)
    lags = torch.fft.irfftn(product, s=lengths, dim=[axis - 1 for axis in axes])
    for axis, (lag, length) in enumerate(zip(reach, lengths, strict=True), start=1):
        positions = torch.arange(-lag, lag + 1, device=lags.device) % length
        lags = lags.index_select(axis, positions)
    return lags[:, None]

"""The one lookup that turns `spatial_dims` into PyTorch layers; no other file names a 2D or 3D layer."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

Strides = Sequence[int]


def _by_dims(name: str, home: Any = nn) -> dict[int, Any]:
    return {dims: getattr(home, f"{name}{dims}d") for dims in (2, 3)}


CONVOLUTION = _by_dims("Conv")
_TRANSPOSED_CONVOLUTION = _by_dims("ConvTranspose")
_MAX_POOL = _by_dims("MaxPool")
BATCH_NORM = _by_dims("BatchNorm")
_INSTANCE_NORM = _by_dims("InstanceNorm")
CONVOLVE = _by_dims("conv", functional)
_INTERPOLATION = {2: "bilinear", 3: "trilinear"}
_ADAPTIVE_AVERAGE = _by_dims("adaptive_avg_pool", functional)
_ADAPTIVE_MAX = _by_dims("adaptive_max_pool", functional)
_GROUPS = 8

NORMS = ("group", "batch", "instance")


def check_spatial_dims(spatial_dims: int) -> None:
    """Raise ValueError unless `spatial_dims` is 2 or 3."""
    if spatial_dims not in CONVOLUTION:
        raise ValueError(f"spatial_dims is {spatial_dims}; it must be 2 (slices) or 3 (volumes).")


def check_width(name: str, channels: int, *, multiple_of: int = 1) -> None:
    """Raise ValueError, with the option's name, unless `channels` is a positive multiple of `multiple_of`."""
    if channels < 1 or channels % multiple_of:
        wanted = "at least 1" if multiple_of == 1 else f"a positive multiple of {multiple_of}"
        raise ValueError(f"{name} is {channels}; it must be {wanted}.")


def convolution(
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    kernel_size: int | Sequence[int],
    *,
    stride: int | Strides = 1,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Module:
    """Return a convolution that keeps the size (divided by `stride`); `kernel_size` must be odd."""
    kernels = (kernel_size,) * spatial_dims if isinstance(kernel_size, int) else tuple(kernel_size)
    return CONVOLUTION[spatial_dims](
        in_channels,
        out_channels,
        kernels,
        stride if isinstance(stride, int) else tuple(stride),
        padding=tuple(dilation * (kernel // 2) for kernel in kernels),
        dilation=dilation,
        groups=groups,
        bias=bias,
    )


def conv1x1(spatial_dims: int, in_channels: int, out_channels: int) -> nn.Module:
    """Return a 1x1 convolution with bias."""
    return CONVOLUTION[spatial_dims](in_channels, out_channels, (1,) * spatial_dims)


def transposed_convolution(
    spatial_dims: int, in_channels: int, out_channels: int, stride: Strides, bias: bool = True
) -> nn.Module:
    """Return a convolution that upsamples by `stride`, which is also its kernel size."""
    return _TRANSPOSED_CONVOLUTION[spatial_dims](
        in_channels, out_channels, tuple(stride), tuple(stride), bias=bias
    )


def patch_convolution(spatial_dims: int, channels: int, stride: Strides) -> nn.Module:
    """Return a convolution without bias over non-overlapping windows of size `stride`."""
    return CONVOLUTION[spatial_dims](channels, channels, tuple(stride), tuple(stride), bias=False)


def max_pool(stride: Strides) -> nn.Module:
    """Return max-pooling over non-overlapping windows of size `stride`."""
    return _MAX_POOL[len(stride)](tuple(stride))


def normalisation(kind: str, spatial_dims: int, channels: int) -> nn.Module:
    """Return an affine normalisation layer: GroupNorm with 8 groups, BatchNorm or InstanceNorm.

    Raises:
        ValueError: `kind` is unknown, or `channels` cannot be divided into 8 groups.
    """
    if kind == "group":
        if channels % _GROUPS:
            raise ValueError(
                f"GroupNorm with {_GROUPS} groups needs channels divisible by {_GROUPS}, not {channels}."
            )
        return nn.GroupNorm(_GROUPS, channels)
    if kind == "batch":
        return BATCH_NORM[spatial_dims](channels)
    if kind == "instance":
        return _INSTANCE_NORM[spatial_dims](channels, affine=True)
    raise ValueError(f"norm is {kind!r}; it must be one of {', '.join(NORMS)}.")


def upsample(features: Tensor, stride: Strides) -> Tensor:
    """Upsample (B, C, *spatial) by `stride` per axis, (bi/tri)linearly, corners not aligned."""
    factors = [float(step) for step in stride]
    return functional.interpolate(features, scale_factor=factors, mode=_INTERPOLATION[len(factors)])


def resize(image: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (B, C, *spatial) to `size`, (bi/tri)linearly, corners not aligned."""
    if tuple(image.shape[2:]) == tuple(size):
        return image
    return functional.interpolate(image, size=tuple(size), mode=_INTERPOLATION[len(size)])


def pad_end(image: Tensor, size: Sequence[int]) -> Tensor:
    """Pad (B, C, *spatial) with zeros at the end of each axis to `size`."""
    missing = [full - length for full, length in zip(size, image.shape[2:], strict=True)]
    if not any(missing):
        return image
    return functional.pad(image, [amount for last in reversed(missing) for amount in (0, last)])


def crop_end(image: Tensor, size: Sequence[int]) -> Tensor:
    """Return the first `size` voxels of (B, C, *spatial) along each axis."""
    for axis, length in enumerate(size, start=2):
        if image.shape[axis] != length:
            image = image.narrow(axis, 0, length)
    return image


def mixed_pool(features: Tensor, size: Sequence[int]) -> Tensor:
    """Reduce (B, C, *spatial) to `size` by adaptive max-pooling plus adaptive average-pooling."""
    dims, size = len(size), tuple(size)
    return _ADAPTIVE_MAX[dims](features, size) + _ADAPTIVE_AVERAGE[dims](features, size)

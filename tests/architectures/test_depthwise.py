"""Depthwise convolutions equal PyTorch's, in value and in every gradient."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from nnunet_pancext.architectures.blocks.depthwise import (
    CONVOLVE,
    DepthwiseConvolution2d,
    depthwise_convolution,
    depthwise_convolve,
)

CASES = [
    ((2, 3, 11, 14), (7, 7), (3, 3)),
    ((1, 2, 9, 4), (5, 3), (1, 2)),
    ((1, 4, 12, 12), (3, 3), (1, 1)),
    ((2, 3, 5, 10, 13), (7, 7, 7), (3, 3, 3)),
    ((1, 2, 2, 9, 8), (1, 7, 7), (1, 3, 3)),
    ((1, 2, 6, 7, 8), (5, 5, 5), (1, 1, 1)),
    ((1, 1, 1, 2, 3), (7, 7, 7), (3, 3, 3)),
]


@pytest.mark.parametrize(("shape", "kernel", "dilation"), CASES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_pytorchs(shape, kernel, dilation, bias):
    generator = torch.Generator().manual_seed(1)
    inputs = [shape, (shape[1], 1, *kernel), (shape[1],)]
    tensors = [
        torch.randn(size, generator=generator, dtype=torch.float64, requires_grad=True) for size in inputs
    ]
    features, weight, offset = tensors
    used = tensors if bias else tensors[:2]
    padding = [step * (length // 2) for length, step in zip(kernel, dilation, strict=True)]
    convolve = CONVOLVE[len(kernel)]
    expected = convolve(
        features, weight, offset if bias else None, padding=padding, dilation=dilation, groups=shape[1]
    )
    found = depthwise_convolve(features, weight, offset if bias else None, dilation=dilation)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    direction = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    for gradient, other in zip(
        torch.autograd.grad(found, used, direction),
        torch.autograd.grad(expected, used, direction),
        strict=True,
    ):
        torch.testing.assert_close(gradient, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dims", [2, 3])
def test_gradients_pass_gradcheck(dims):
    features = torch.randn(1, 2, *[5] * dims, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 1, *[3] * dims, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *tensors: depthwise_convolve(*tensors, dilation=[2] * dims), (features, weight, bias)
    )


@pytest.mark.parametrize("dims", [2, 3])
def test_the_layer_is_a_convolution_of_nnunets_eyes(dims):
    layer = depthwise_convolution(spatial_dims=dims, channels=4, kernel_size=7, dilation=3, flat_axes=(0,))
    assert isinstance(layer, {2: nn.Conv2d, 3: nn.Conv3d}[dims])
    assert layer.weight.shape == (4, 1, 1, *[7] * (dims - 1))
    assert set(layer.state_dict()) == {"weight", "bias"}
    features = torch.randn(2, 4, *[8] * dims)
    convolve = {2: functional.conv2d, 3: functional.conv3d}[dims]
    expected = convolve(
        features, layer.weight, layer.bias, padding=layer.padding, dilation=layer.dilation, groups=4
    )
    torch.testing.assert_close(layer(features), expected)


def test_only_what_is_asked_for_is_computed():
    layer = depthwise_convolution(spatial_dims=3, channels=2, kernel_size=5)
    layer.weight.requires_grad_(False)
    features = torch.randn(1, 2, 4, 4, 4)
    layer(features).sum().backward()
    assert layer.weight.grad is None
    assert torch.equal(layer.bias.grad, torch.full((2,), 64.0))
    assert features.grad is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_gives_half_precision_and_full_gradients(dtype):
    layer = depthwise_convolution(spatial_dims=2, channels=4, kernel_size=5, dilation=3)
    features = torch.randn(1, 4, 9, 9, requires_grad=True)
    with torch.autocast("cpu", dtype=dtype):
        found = layer(features)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), layer(features), rtol=0.02, atol=0.02)
    found.float().sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    assert features.grad.dtype == torch.float32
    assert isinstance(layer, DepthwiseConvolution2d)

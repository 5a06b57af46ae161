"""What convolutions a module has, to be compared with what a paper says."""

from torch import nn


def convolutions(module: nn.Module) -> list[tuple[int, int, int, int]]:
    """Return input channels, output channels, kernel and dilation of each convolution in it, in order."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Conv3d)]
    for layer in layers:
        assert len(set(layer.kernel_size)) == len(set(layer.dilation)) == 1
        assert set(layer.stride) == {1}
    return [
        (layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.dilation[0]) for layer in layers
    ]

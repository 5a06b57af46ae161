"""Saliency change module: stage 1's probability changes stage 2's image (Qiu et al., 3.1.2)."""

from typing import Any

from torch import Tensor, nn

from nnunet_pancext.architectures.dims import convolution

INNER_CHANNELS = 2
FIRST_KERNEL, LAST_KERNEL = 3, 5
START_STD = 1e-3


class SaliencyChange(nn.Module):
    """Factors for the image's channels from a probability: 3x3 convolution, ReLU, 5x5 convolution.

    The last convolution starts with weights of standard deviation 1e-3 (in 3D less, for its larger kernel)
    and a bias of 1: the factors are nearly 1, and gradients reach stage 1 from the first step. The first
    starts without negative weights, so that all ReLUs are active.

    Shapes: (B, 1, *spatial) to (B, in_channels, *spatial), with `in_channels` those of the image.
    """

    def __init__(self, *, spatial_dims: int, in_channels: int) -> None:
        super().__init__()
        first: Any = convolution(spatial_dims, 1, INNER_CHANNELS, FIRST_KERNEL, bias=True)
        last: Any = convolution(spatial_dims, INNER_CHANNELS, in_channels, LAST_KERNEL, bias=True)
        self.layers = nn.Sequential(first, nn.ReLU(inplace=True), last)
        nn.init.uniform_(first.weight, 0, 0.5 / FIRST_KERNEL**spatial_dims)
        nn.init.zeros_(first.bias)
        nn.init.normal_(last.weight, std=START_STD / LAST_KERNEL ** ((spatial_dims - 2) / 2))
        nn.init.ones_(last.bias)

    def forward(self, probability: Tensor) -> Tensor:
        return self.layers(probability)

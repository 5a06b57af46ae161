"""Convolution, normalisation, ReLU: in series, or as a residual block."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from nnunet_pancext.architectures.dims import convolution, normalisation


def conv_stack(
    spatial_dims: int,
    widths: Sequence[int],
    *,
    norm: str,
    kernel_sizes: Sequence[int] | None = None,
    dilation: int = 1,
) -> nn.Sequential:
    """Return convolution with bias, norm and ReLU from each of `widths` to the next.

    Shapes: (B, widths[0], *spatial) to (B, widths[-1], *spatial). `kernel_sizes` of None are 3.
    """
    layers: list[nn.Module] = []
    for (narrow, wide), kernel_size in zip(
        pairwise(widths), kernel_sizes or [3] * (len(widths) - 1), strict=True
    ):
        layers += [
            convolution(spatial_dims, narrow, wide, kernel_size, dilation=dilation, bias=True),
            normalisation(norm, spatial_dims, wide),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class ResidualBlock(nn.Module):
    """Pre-activation (Myronenko 2018): x + conv3(relu(norm(conv3(relu(norm(x)))))), without bias.

    Shapes: (B, channels, *spatial) to the same.
    """

    def __init__(self, *, spatial_dims: int, channels: int, norm: str = "group") -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(
                layer
                for _ in range(2)
                for layer in (
                    normalisation(norm, spatial_dims, channels),
                    nn.ReLU(inplace=True),
                    convolution(spatial_dims, channels, channels, 3),
                )
            )
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.body(features)

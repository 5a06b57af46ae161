"""Pre-activation residual block (Myronenko 2018)."""

from __future__ import annotations

from torch import Tensor, nn

from nnunet_pancext.architectures.dims import convolution, normalisation


class ResidualBlock(nn.Module):
    """x + conv3(relu(norm(conv3(relu(norm(x)))))), convolutions without bias.

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

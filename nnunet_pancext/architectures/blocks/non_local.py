"""Non-local block (Wang et al., CVPR 2018) with the embedded Gaussian."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_pancext.architectures.dims import check_spatial_dims


class NonLocalBlock(nn.Module):
    """Adds to each position a weighted mean over all positions (Liao et al., Eq. 1-2).

    y_i = x_i + W_z sum_j softmax_j(theta(x_i)^T phi(x_j)) g(x_j), where theta, phi and g are 1x1 convolutions
    from C to C/2 channels and W_z is one back to C. W_z starts at zero, so the block starts as the identity.

    The N x N attention matrix over the N positions is never held in memory. The 1x1 convolutions are written
    as linear maps over positions: that gives attention the memory layout that its fast kernels ask for.

    Shapes: (B, channels, *spatial) to the same.

    Raises:
        ValueError: `channels` is odd, or `spatial_dims` is neither 2 nor 3.
    """

    def __init__(self, *, spatial_dims: int, channels: int) -> None:
        super().__init__()
        check_spatial_dims(spatial_dims)
        if channels % 2:
            raise ValueError(f"A non-local block halves its channels inside; {channels} is odd.")
        inner = channels // 2
        self.theta = nn.Linear(channels, inner)
        self.phi = nn.Linear(channels, inner)
        self.g = nn.Linear(channels, inner)
        self.w_z = nn.Linear(inner, channels)
        nn.init.zeros_(self.w_z.weight)
        nn.init.zeros_(self.w_z.bias)

    def attention(self, features: Tensor, position: Sequence[int]) -> Tensor:
        """Return what `position` attends to: softmax_j(theta(x_i)^T phi(x_j)) over all positions j.

        Shapes: (B, channels, *spatial) and one index per axis to (B, 1, *spatial), which sums to 1.
        """
        shape = features.shape[2:]
        index: tuple[slice | int, ...] = (slice(None), slice(None), *position)
        query = self.theta(features[index])
        scores = torch.einsum("bnc,bc->bn", self.phi(features.flatten(2).transpose(1, 2)), query)
        return scores.softmax(dim=1).unflatten(1, shape).unsqueeze(1)

    def forward(self, features: Tensor) -> Tensor:
        positions = features.flatten(2).transpose(1, 2).unsqueeze(1)  # (B, one attention head, N, C)
        mixed = functional.scaled_dot_product_attention(
            self.theta(positions),
            self.phi(positions),
            self.g(positions),
            scale=1.0,  # the embedded Gaussian has no 1/sqrt(d)
        )
        update = self.w_z(mixed).squeeze(1).transpose(1, 2)
        return features + update.unflatten(2, features.shape[2:])


def non_local_blocks(count: int, *, spatial_dims: int, channels: int) -> nn.Sequential:
    """Return `count` blocks in series."""
    return nn.Sequential(*(NonLocalBlock(spatial_dims=spatial_dims, channels=channels) for _ in range(count)))


def non_local_maps(blocks: Iterable[Any], features: Tensor, position: Sequence[int]) -> list[Tensor]:
    """Return for each of the blocks in series what `position` attends to, as `NonLocalBlock.attention`."""
    maps = []
    for block in blocks:
        maps.append(block.attention(features, position))
        features = block(features)
    return maps

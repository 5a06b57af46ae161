"""How large the tensors are that a computation keeps for its backward pass."""

from collections.abc import Callable

import torch


def largest_saved(compute: Callable[[], torch.Tensor]) -> int:
    """Return how many values the largest tensor holds that is saved on the way to the result."""
    sizes = [0]

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        compute().sum().backward()
    return max(sizes)

"""Autocast, where it can be relied on: images on a CPU, volumes on a GPU alone.

This torch's bf16 convolutions of volumes crash or give NaN at random on some CPUs, whatever the network.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn


def check_half_precision(
    network: nn.Module,
    image: Tensor,
    dtype: torch.dtype,
    *,
    outputs_of: Callable[[Any], list[Tensor]] = lambda output: output,
) -> None:
    """Assert that outputs and gradients under autocast are finite.

    outputs_of: lists the tensors of the network's output, where that is not a list.
    """
    device = "cpu"
    if image.dim() == 5:
        if not torch.cuda.is_available():
            pytest.skip("half precision in 3D needs a GPU")
        device = "cuda"
    network, image = network.to(device), image.to(device)
    # Without oneDNN: which of its half-precision kernels it takes depends on the CPU.
    with torch.backends.mkldnn.flags(enabled=False):
        with torch.autocast(device, dtype=dtype):
            outputs = outputs_of(network(image))
        sum(output.float().square().mean() for output in outputs).backward()
    assert all(torch.isfinite(output).all() for output in outputs)
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)

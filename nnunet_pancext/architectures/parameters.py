"""Counting parameters the way the papers do."""

from torch import nn


def count_parameters(network: nn.Module, auxiliary: bool = False) -> int:
    """Return the number of parameters of `network`.

    The heads of deep supervision (attribute `auxiliary_heads`) are training aids that no paper counts;
    `auxiliary=True` counts them too.
    """
    return sum(
        parameter.numel()
        for name, parameter in network.named_parameters()
        if auxiliary or not name.startswith("auxiliary_heads.")
    )

"""Which parameters of a network learn: those whose gradient is more than rounding."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# Of the largest gradient. Where the mathematics says zero, float64 leaves 1e-15 and less; the smallest that
# a parameter of the package's networks has otherwise is above 1e-7.
ROUNDING = 1e-11

NORMS = (functional.batch_norm, functional.instance_norm, functional.group_norm, functional.layer_norm)
SOFTMAXES = (functional.softmax, torch.softmax, Tensor.softmax)


class _StraightThrough(TorchFunctionMode):
    """Lets gradients pass every norm and softmax as if it were the identity; the values stay.

    What such a layer takes away, a constant that is added to all it normalises, gets a gradient then.
    """

    def __torch_function__(
        self, function: Callable, types: Any, arguments: tuple = (), options: dict | None = None
    ) -> Any:
        options = options or {}
        if function in NORMS or function in SOFTMAXES:
            features, *others = arguments
            return function(features.detach(), *others, **options) + _without_value(features)
        if function is functional.scaled_dot_product_attention:
            query, key, *others = arguments
            found = function(query.detach(), key.detach(), *others, **options)
            return found + _without_value(query).sum() + _without_value(key).sum()
        return function(*arguments, **options)


def _without_value(features: Tensor) -> Tensor:
    return features - features.detach()


def mean_square(outputs: Tensor | list[Tensor]) -> Tensor:
    """Return a loss that every output has a share in."""
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return torch.stack([output.square().mean() for output in outputs]).sum()


def idle_parameters(
    network: nn.Module, image: Tensor, *, loss: Callable[[Any], Tensor] = mean_square
) -> list[str]:
    """Return the names of the parameters that cannot learn from the loss of the network's output.

    A bias may have no gradient where a norm or a softmax takes it away: it has one as soon as gradients pass
    these straight through. A layer that is cut off has none in either way, and a weight without one is
    excused by nothing. Moves the network to double precision.
    """
    network, image = network.double(), image.double()
    gradients = _gradients(network, image, loss)
    with _StraightThrough():
        uncancelled = _gradients(network, image, loss)
    return [
        name
        for name in gradients
        if not _matters(name, gradients)
        and not (name.rpartition(".")[2] == "bias" and _matters(name, uncancelled))
    ]


def _gradients(network: nn.Module, image: Tensor, loss: Callable[[Any], Tensor]) -> dict[str, float]:
    """Return the largest element of the gradient of each parameter that asks for one, 0 without any.

    Raises:
        AssertionError: a gradient is not finite.
    """
    network.zero_grad()
    loss(network(image)).backward()
    found = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            gradient = torch.zeros(1) if parameter.grad is None else parameter.grad
            assert torch.isfinite(gradient).all(), f"the gradient of {name} is not finite"
            found[name] = gradient.abs().max().item()
    return found


def _matters(name: str, gradients: dict[str, float]) -> bool:
    return gradients[name] > ROUNDING * max(gradients.values())

import pytest
import torch
from contracts.saved_memory import largest_saved
from torch import nn

from nnunet_pancext.architectures.blocks.non_local import NonLocalBlock

SIZES = {2: (5, 7), 3: (3, 4, 5)}


def project(layer: nn.Linear, values: torch.Tensor) -> torch.Tensor:
    return torch.einsum("oc,bcn->bon", layer.weight, values) + layer.bias[None, :, None]


def naive_weights(block: NonLocalBlock, features: torch.Tensor) -> torch.Tensor:
    """The embedded Gaussian, its N x N matrix written out: row i is what position i attends to."""
    x = features.flatten(2)
    affinity = torch.exp(torch.einsum("bci,bcj->bij", project(block.theta, x), project(block.phi, x)))
    return affinity / affinity.sum(dim=2, keepdim=True)


def naive(block: NonLocalBlock, features: torch.Tensor) -> torch.Tensor:
    """Equation 1 with `naive_weights`."""
    x = features.flatten(2)
    mixed = torch.einsum("bij,bcj->bci", naive_weights(block, features), project(block.g, x))
    return (x + project(block.w_z, mixed)).reshape(features.shape)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_equals_the_naive_formula_in_double_precision(spatial_dims):
    torch.manual_seed(0)
    block = NonLocalBlock(spatial_dims=spatial_dims, channels=6).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    features = torch.randn(2, 6, *SIZES[spatial_dims], dtype=torch.float64)
    found, expected = block(features), naive(block, features)
    assert (expected - features).abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_the_attention_of_a_position_is_its_row_of_the_naive_matrix(spatial_dims):
    torch.manual_seed(0)
    block = NonLocalBlock(spatial_dims=spatial_dims, channels=6).double()
    size = SIZES[spatial_dims]
    features = torch.randn(2, 6, *size, dtype=torch.float64)
    rows = naive_weights(block, features).unflatten(1, size)
    for position in ((1, 3, 2)[-spatial_dims:], tuple(length - 1 for length in size)):
        expected = rows[(slice(None), *position)].reshape(2, 1, *size)
        torch.testing.assert_close(block.attention(features, position), expected, rtol=0, atol=1e-12)


def test_gradients_equal_the_naive_formulas():
    torch.manual_seed(0)
    block = NonLocalBlock(spatial_dims=3, channels=4).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    features = torch.randn(1, 4, *SIZES[3], dtype=torch.float64)
    target = torch.randn_like(features)
    gradients = []
    for function in (block, lambda x: naive(block, x)):
        block.zero_grad()
        ((function(features) - target) ** 2).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in block.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_is_the_identity_at_the_start(spatial_dims):
    features = torch.randn(2, 8, *SIZES[spatial_dims])
    assert torch.equal(NonLocalBlock(spatial_dims=spatial_dims, channels=8)(features), features)


def test_the_attention_matrix_is_not_stored():
    """The tensors saved for the backward pass stay linear in the number of positions."""
    block = NonLocalBlock(spatial_dims=2, channels=32)
    positions = 40 * 40
    largest = largest_saved(lambda: block(torch.randn(1, 32, 40, 40, requires_grad=True)))
    assert largest <= 32 * positions < positions**2


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="5 is odd"):
        NonLocalBlock(spatial_dims=2, channels=5)
    with pytest.raises(ValueError, match="spatial_dims is 1"):
        NonLocalBlock(spatial_dims=1, channels=4)

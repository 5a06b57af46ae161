"""The contract of every network of the package. The test of a new network is a subclass that names it.

`ArchitectureContract` is for networks that take the plan's strides, `NetworkContract` for any.
"""

from math import ceil, prod
from typing import Any

import pytest
import torch
from contracts.gradients import idle_parameters
from contracts.half_precision import check_half_precision
from torch import nn

from nnunet_pancext.architectures import count_parameters
from nnunet_pancext.architectures.segmentation_network import SegmentationNetwork

ANISOTROPIC_FIRST = {2: (1, 2), 3: (1, 2, 2)}


class NetworkContract:
    network_class: type[SegmentationNetwork]
    options: dict[str, Any] = {}  # small, so that the tests are quick
    has_auxiliary_heads = True  # False where the paper counts the heads of the coarser levels
    compiled_dims: tuple[int, ...] = (3,)

    def build(self, spatial_dims: int, **changes: Any) -> SegmentationNetwork:
        torch.manual_seed(0)
        arguments = {
            "spatial_dims": spatial_dims,
            "in_channels": 1,
            "num_classes": 3,
            **self.options,
            **changes,
        }
        return self.network_class(**arguments)

    def image(self, network: SegmentationNetwork, *, channels: int = 1, extra: int = 0) -> torch.Tensor:
        size = [2 * step + extra for step in network.minimum_size]
        return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(1))

    def build_flat(self, spatial_dims: int) -> SegmentationNetwork:
        """Return a network whose `image` has few voxels: double and half precision are slow on a CPU."""
        return self.build(spatial_dims, deep_supervision=True)

    @pytest.fixture(params=[2, 3], ids=["2d", "3d"])
    def spatial_dims(self, request: pytest.FixtureRequest) -> int:
        return request.param

    @pytest.mark.parametrize("extra", [0, 1, 5])
    def test_logits_have_the_size_of_the_input(self, spatial_dims, extra):
        network = self.build(spatial_dims).eval()
        image = self.image(network, extra=extra)
        assert network(image).shape == (2, 3, *image.shape[2:])

    @pytest.mark.parametrize("num_classes", [1, 2, 15])
    def test_any_number_of_classes_and_channels(self, spatial_dims, num_classes):
        network = self.build(spatial_dims, in_channels=3, num_classes=num_classes).eval()
        assert network(self.image(network, channels=3)).shape[1] == num_classes

    @pytest.mark.parametrize("extra", [0, 3])
    def test_deep_supervision_lists_logits_finest_first(self, spatial_dims, extra):
        network = self.build(spatial_dims, deep_supervision=True).eval()
        image = self.image(network, extra=extra)
        outputs = network(image)
        assert isinstance(outputs, list)
        assert len(outputs) == len(network.output_strides)
        for output, stride in zip(outputs, network.output_strides, strict=True):
            expected = [ceil(length / step) for length, step in zip(image.shape[2:], stride, strict=True)]
            assert list(output.shape[2:]) == expected

    def test_a_checkpoint_reloads_strictly_without_deep_supervision(self, spatial_dims):
        trained = self.build(spatial_dims, deep_supervision=True).eval()
        _randomise(trained)
        reloaded = self.build(spatial_dims, deep_supervision=False).eval()
        reloaded.load_state_dict(trained.state_dict(), strict=True)
        image = self.image(trained)
        assert torch.equal(reloaded(image), trained(image)[0])

    def test_deep_supervision_can_be_switched(self, spatial_dims):
        network = self.build(spatial_dims, deep_supervision=True).eval()
        image = self.image(network)
        first = network(image)[0]
        network.deep_supervision = False
        assert torch.equal(network(image), first)

    def test_auxiliary_heads_are_not_counted(self, spatial_dims):
        network = self.build(spatial_dims)
        heads = sum(parameter.numel() for parameter in network.auxiliary_heads.parameters())
        assert count_parameters(network, auxiliary=True) - count_parameters(network) == heads
        assert (heads > 0) is self.has_auxiliary_heads

    def test_a_gradient_reaches_every_parameter(self, spatial_dims):
        network = self.build_flat(spatial_dims)
        _randomise(network)
        assert idle_parameters(network, self.image(network)) == []

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
    def test_half_precision_stays_finite(self, spatial_dims, dtype):
        network = self.build_flat(spatial_dims)
        _randomise(network)
        check_half_precision(network, self.image(network), dtype)

    def test_a_wrong_number_of_axes_is_refused(self, spatial_dims):
        network = self.build(spatial_dims)
        with pytest.raises(ValueError, match="axes"):
            network(torch.randn(1, *network.minimum_size))

    def test_other_dimensions_are_refused(self):
        with pytest.raises(ValueError, match="spatial_dims is 4"):
            self.build(4)

    def test_the_input_is_left_alone(self, spatial_dims):
        network = self.build(spatial_dims).eval()
        image = self.image(network)
        before = image.clone()
        network(image).add_(1)  # nnU-Net's prediction adds in place
        assert torch.equal(image, before)

    def test_compiles_without_a_graph_break(self):
        """In 3D with deep supervision, in 2D without; one network compiles in both."""
        for spatial_dims in self.compiled_dims:
            network = self.build(spatial_dims, deep_supervision=spatial_dims == 3).eval()
            compiled = torch.compile(network, fullgraph=True, backend="eager")
            image = self.image(network)
            expected, found = network(image), compiled(image)
            torch.testing.assert_close(found, expected)
            torch._dynamo.reset()


class ArchitectureContract(NetworkContract):
    num_downsamplings: int
    strides_are_kernels = False  # True where a layer's kernel is the stride

    def build_flat(self, spatial_dims: int) -> SegmentationNetwork:
        strides = [(1,) * (spatial_dims - 2) + (2, 2)] * self.num_downsamplings
        return self.build(spatial_dims, strides=strides, deep_supervision=True)

    def anisotropic_strides(self, spatial_dims: int) -> list[tuple[int, ...]]:
        return [ANISOTROPIC_FIRST[spatial_dims]] + [(2,) * spatial_dims] * (self.num_downsamplings - 1)

    def test_anisotropic_strides(self, spatial_dims):
        strides = self.anisotropic_strides(spatial_dims)
        network = self.build(spatial_dims, strides=strides, deep_supervision=True).eval()
        assert network.size_divisibility == tuple(prod(steps) for steps in zip(*strides, strict=True))
        image = self.image(network, extra=1)
        assert network(image)[0].shape[2:] == image.shape[2:]
        assert network.level_strides[1] == strides[0]

    def test_strides_do_not_change_the_parameters(self, spatial_dims):
        if self.strides_are_kernels:
            pytest.skip("the kernel of a layer is its stride")
        isotropic = self.build(spatial_dims)
        anisotropic = self.build(spatial_dims, strides=self.anisotropic_strides(spatial_dims))
        assert count_parameters(isotropic) == count_parameters(anisotropic)

    def test_the_smallest_size_works_and_a_smaller_one_is_refused(self, spatial_dims):
        network = self.build(spatial_dims).eval()
        smallest = network.minimum_size
        assert network(torch.randn(1, 1, *smallest)).shape[2:] == smallest
        too_small = (smallest[0] - 1, *smallest[1:])
        with pytest.raises(ValueError, match="too small") as error:
            network(torch.randn(1, 1, *too_small))
        assert str(too_small) in str(error.value)
        assert str(smallest) in str(error.value)

    def test_wrong_strides_are_refused(self, spatial_dims):
        with pytest.raises(ValueError, match=f"downsamples {self.num_downsamplings} times"):
            self.build(spatial_dims, strides=[(2,) * spatial_dims])
        with pytest.raises(ValueError, match="at least 1"):
            self.build(spatial_dims, strides=[(2,) * (spatial_dims + 1)] * self.num_downsamplings)


def _randomise(network: nn.Module) -> None:
    """Move every parameter off its start, where some (a zero W_z) keep gradients from others."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))

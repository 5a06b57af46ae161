"""MONAI's networks behind the interface of the package's own: the same weights, the same numbers."""

import sys
from typing import Any

import pytest
import torch
from contracts.architecture import NetworkContract
from torch import nn

from nnunet_pancext.architectures import (
    MonaiAttentionUnet,
    MonaiSegResNet,
    MonaiSwinUNETR,
    MonaiUNETR,
    count_parameters,
)
from nnunet_pancext.errors import PancextError

nets = pytest.importorskip("monai.networks.nets", reason="MONAI holds the networks")


class MonaiContract(NetworkContract):
    has_auxiliary_heads = False
    sizes: dict[int, tuple[int, ...]]  # by the number of axes; MONAI's class takes them as they are
    twin_device = "meta"  # without memory, a network of any size is built in an instant

    def image(self, network, *, channels=1, extra=0):
        """Return an image that is padded to `sizes`."""
        size = [length - extra for length in self.sizes[network.spatial_dims]]
        return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(1))

    def twin(self, spatial_dims: int, **options: Any) -> nn.Module:
        """Return MONAI's own class, built directly; without options in its default size."""
        raise NotImplementedError

    def default(self, spatial_dims: int) -> nn.Module:
        return self.network_class(spatial_dims=spatial_dims, in_channels=2, num_classes=3)

    def test_the_default_size_is_monais(self, spatial_dims):
        with torch.device("meta"):
            ours = self.default(spatial_dims)
        with torch.device(self.twin_device):
            twin = self.twin(spatial_dims)
        assert count_parameters(ours) == count_parameters(twin)
        shapes = {name: value.shape for name, value in twin.state_dict().items()}
        assert {name: value.shape for name, value in ours.network.state_dict().items()} == shapes

    def test_equals_monai_with_the_same_weights_bit_for_bit(self, spatial_dims):
        network = self.build(spatial_dims, in_channels=2).eval()
        twin = self.twin(spatial_dims, **self.options).eval()
        assert type(network.network) is type(twin)
        network.network.load_state_dict(twin.state_dict(), strict=True)
        image = self.image(network, channels=2)
        assert torch.equal(network(image), twin(image))

    def test_other_sizes_are_padded_with_zeros_at_the_end_and_cropped(self, spatial_dims):
        network = self.build(spatial_dims).eval()
        full = self.sizes[spatial_dims]
        size = [length - 3 - axis for axis, length in enumerate(full)]
        image = torch.randn(1, 1, *size)
        corner = (..., *(slice(length) for length in size))
        canvas = torch.zeros(1, 1, *full)
        canvas[corner] = image
        assert network.padded_size(size) == full
        assert torch.equal(network(image), network.network(canvas)[corner])

    @pytest.mark.slow
    @pytest.mark.exhaustive
    def test_compiles_without_a_graph_break(self):
        super().test_compiles_without_a_graph_break()


class TestMonaiSegResNet(MonaiContract):
    network_class = MonaiSegResNet
    options = {"blocks_down": (1, 1, 1, 1)}
    sizes = {2: (24, 32), 3: (8, 16, 24)}

    def twin(self, spatial_dims, **options):
        return nets.SegResNet(spatial_dims=spatial_dims, in_channels=2, out_channels=3, **options)

    def test_compiles_without_a_graph_break(self):
        NetworkContract.test_compiles_without_a_graph_break(self)

    def test_the_number_of_levels_sets_the_padding(self, spatial_dims):
        network = self.build(spatial_dims, blocks_down=(1, 1, 1), blocks_up=(1, 1))
        assert network.padded_size((9,) * spatial_dims) == (12,) * spatial_dims


class TestMonaiAttentionUnet(MonaiContract):
    network_class = MonaiAttentionUnet
    options = {"channels": (2, 3, 4, 4, 4)}
    sizes = {2: (32, 48), 3: (16, 32, 16)}

    def twin(self, spatial_dims, channels=(16, 32, 64, 128, 256)):
        return nets.AttentionUnet(
            spatial_dims=spatial_dims, in_channels=2, out_channels=3, channels=channels, strides=(2, 2, 2, 2)
        )


class TestMonaiUNETR(MonaiContract):
    network_class = MonaiUNETR
    options = {"feature_size": 4, "hidden_size": 12, "mlp_dim": 12, "num_heads": 2}
    sizes = {2: (32, 48), 3: (16, 32, 16)}

    def build(self, spatial_dims, **changes):
        size = self.sizes.get(spatial_dims, (16,) * spatial_dims)
        return super().build(spatial_dims, **{"image_size": size, **changes})

    def twin(self, spatial_dims, **options):
        return nets.UNETR(
            spatial_dims=spatial_dims,
            in_channels=2,
            out_channels=3,
            img_size=self.sizes[spatial_dims],
            **options,
        )

    def default(self, spatial_dims):
        size = [length - 1 for length in self.sizes[spatial_dims]]
        return MonaiUNETR(spatial_dims=spatial_dims, in_channels=2, num_classes=3, image_size=size)

    def test_another_size_is_refused(self, spatial_dims):
        network = self.build(spatial_dims)
        other = (*self.sizes[spatial_dims][:-1], 64)
        with pytest.raises(ValueError, match="built for inputs of") as error:
            network(torch.randn(1, 1, *other))
        assert str(other) in str(error.value)
        assert str(self.sizes[spatial_dims]) in str(error.value)

    def test_a_size_with_another_number_of_axes_is_refused(self, spatial_dims):
        with pytest.raises(ValueError, match=f"image_size needs {spatial_dims} numbers"):
            self.build(spatial_dims, image_size=(16,) * (spatial_dims - 1))

    def test_only_what_monai_builds_without_use_takes_no_gradient(self):
        network = self.build(2)
        still = [name for name, value in network.named_parameters() if not value.requires_grad]
        network.requires_grad_(True)
        network(self.image(network)).sum().backward()
        assert still == [name for name, value in network.named_parameters() if value.grad is None]


class TestMonaiSwinUNETR(MonaiContract):
    network_class = MonaiSwinUNETR
    options = {"feature_size": 12, "depths": (2, 1, 1, 1), "num_heads": (2, 2, 2, 2), "window_size": 4}
    sizes = {2: (32, 64), 3: (32, 32, 64)}
    twin_device = "cpu"  # MONAI reads numbers out of a tensor
    in_3d = (
        "test_the_default_size_is_monais",
        "test_equals_monai_with_the_same_weights_bit_for_bit",
        "test_other_sizes_are_padded_with_zeros_at_the_end_and_cropped",
        "test_compiles_without_a_graph_break",
    )

    @pytest.fixture(params=[2, 3], ids=["2d", "3d"])
    def spatial_dims(self, request):
        if request.param == 3 and request.function.__name__ not in self.in_3d:
            pytest.skip("the smallest volume takes a second on a CPU")
        return request.param

    def twin(self, spatial_dims, **options):
        return nets.SwinUNETR(spatial_dims=spatial_dims, in_channels=2, out_channels=3, **options)

    @pytest.mark.parametrize(
        ("size", "padded"),
        [((8, 20, 20), (32, 32, 64)), ((8, 20, 33), (32, 32, 64)), ((40, 224, 224), (64, 224, 224))],
    )
    def test_the_deepest_level_gets_two_positions(self, size, padded):
        with torch.device("meta"):
            assert self.build(3).padded_size(size) == padded

    @pytest.mark.slow
    @pytest.mark.exhaustive
    def test_compiles_without_a_graph_break(self, spatial_dims):
        """But for one: MONAI's own look at the size, in NumPy."""
        network = self.build(spatial_dims).eval()
        image = self.image(network)
        expected, found = network(image), torch.compile(network, backend="eager")(image)
        torch.testing.assert_close(found, expected)
        torch._dynamo.reset()


def test_without_monai_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai", None)
    with pytest.raises(PancextError, match=r'optional.*pip install "nnunet-pancext\[baselines\]"'):
        MonaiSegResNet(spatial_dims=2, in_channels=1, num_classes=2)


@pytest.mark.parametrize("version", ["1.5.2", "1.7.0", "2.0"])
def test_a_monai_that_is_not_tested_is_refused(monkeypatch, version):
    monkeypatch.setattr("monai.__version__", version)
    said = rf"MONAI 1\.6 or newer, older than 1\.7, and {version} is installed.*\[baselines\]"
    with pytest.raises(PancextError, match=said):
        MonaiSegResNet(spatial_dims=2, in_channels=1, num_classes=2)

"""nnU-Net's own network with one module of a paper injected."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import nn

from nnunet_pancext.trainers.machinery.base import PancextTrainer
from nnunet_pancext.trainers.machinery.nnunet import ConfigurationManager, PlansManager, nnUNetTrainer


class InjectionTrainer(PancextTrainer):
    """Base of the trainers of the plan's own network.

    network_class: wraps the network with a module injected; None leaves the network unchanged.
    """

    order = 900
    network_class: ClassVar[Callable[..., nn.Module] | None] = None
    refuses_paper_recipe = "it keeps nnU-Net's recipe, so that only the part differs"

    @classmethod
    def inject(cls, network: nn.Module, spatial_dims: int) -> nn.Module:
        """Return the plan's network with the module injected."""
        return network if cls.network_class is None else cls.network_class(network, spatial_dims=spatial_dims)

    @classmethod
    def build_network_architecture(
        cls,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """Return nnU-Net's network for the plan with the module injected."""
        cls.prepare_prediction()
        network = nnUNetTrainer.build_network_architecture(
            plans_manager,
            configuration_manager,
            num_input_channels,
            num_output_channels,
            enable_deep_supervision,
        )
        return cls.inject(network, spatial_dims=len(configuration_manager.patch_size))

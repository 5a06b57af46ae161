"""Trainers of the package's own networks, and of nnU-Net's with a module injected."""

from collections.abc import Callable
from typing import Any, ClassVar

from torch import nn
from torch._dynamo import OptimizedModule
from torch.nn.parallel import DistributedDataParallel

from nnunet_pancext.architectures.segmentation_network import SegmentationNetwork
from nnunet_pancext.errors import PancextError
from nnunet_pancext.trainers.machinery.base import PancextTrainer
from nnunet_pancext.trainers.machinery.nnunet import ConfigurationManager, PlansManager, nnUNetTrainer
from nnunet_pancext.trainers.machinery.plan_levels import strides_from_plan


class NetworkTrainer(PancextTrainer):
    """Base of the trainers of a `SegmentationNetwork`.

    network_class: the network.
    network_options: its options, such as a size.
    num_downsamplings: number of strides that it takes from the plan.
    """

    network_class: ClassVar[Callable[..., SegmentationNetwork]]
    network_options: ClassVar[dict[str, Any]] = {}
    num_downsamplings: ClassVar[int]
    enable_deep_supervision = True

    @classmethod
    def plan_strides(cls, configuration_manager: ConfigurationManager) -> dict[str, Any]:
        """Return the network's `strides`, or nothing where it has its own."""
        strides = strides_from_plan(
            plan_strides=configuration_manager.pool_op_kernel_sizes,
            patch_size=configuration_manager.patch_size,
            num_downsamplings=cls.num_downsamplings,
        )
        return {"strides": strides}

    @classmethod
    def plan_options(cls, configuration_manager: ConfigurationManager) -> dict[str, Any]:
        """Return further options of the network that depend on the plan."""
        return {}

    @classmethod
    def build_network_architecture(
        cls,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool | None = None,
    ) -> SegmentationNetwork:
        """Return the network of this trainer for a plan; nnU-Net calls it in training and in prediction.

        Raises:
            PancextError: the plan's network defines no strides.
        """
        cls.prepare_prediction()
        if enable_deep_supervision is None:
            enable_deep_supervision = cls.enable_deep_supervision
        try:
            options = {**cls.plan_strides(configuration_manager), **cls.plan_options(configuration_manager)}
        except KeyError as missing:
            raise PancextError(
                f"{cls.__name__} reads {missing} from the plan, but this plan's network defines none. Use a "
                "plan for PlainConvUNet (nnUNetPlans) or ResidualEncoderUNet (nnUNetResEncUNetMPlans, L, XL)."
            ) from missing
        network = cls.network_class(
            spatial_dims=len(configuration_manager.patch_size),
            in_channels=num_input_channels,
            num_classes=num_output_channels,
            deep_supervision=enable_deep_supervision,
            **options,
            **cls.network_options,
        )
        if not enable_deep_supervision:
            # DDP fails on parameters that require a gradient and get none.
            for module in network.training_only_modules:
                module.requires_grad_(False)
        return network

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        # nnU-Net calls this after each validation, also for a trainer without deep supervision
        self._bare_network().deep_supervision = enabled and self.enable_deep_supervision

    def _get_deep_supervision_scales(self) -> list[list[float]] | None:
        if not self.enable_deep_supervision:
            return None
        return [[1 / step for step in stride] for stride in self._bare_network().output_strides]

    def _bare_network(self) -> Any:
        network = self.network.module if isinstance(self.network, DistributedDataParallel) else self.network
        return network._orig_mod if isinstance(network, OptimizedModule) else network


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
        cls, plans_manager: Any, configuration_manager: Any, *sizes: Any, **options: Any
    ) -> nn.Module:
        """Return nnU-Net's network for the plan with the module injected."""
        cls.prepare_prediction()
        build = nnUNetTrainer.build_network_architecture
        network = build(plans_manager, configuration_manager, *sizes, **options)
        return cls.inject(network, spatial_dims=len(configuration_manager.patch_size))

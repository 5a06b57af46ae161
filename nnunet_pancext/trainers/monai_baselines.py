"""Trainers of MONAI's networks, the baselines of the papers' tables, with nnU-Net's recipe."""

from typing import Any

from nnunet_pancext.architectures import monai_networks
from nnunet_pancext.architectures.segmentation_network import SegmentationNetwork
from nnunet_pancext.errors import NNUNetCommandError
from nnunet_pancext.trainers.machinery.network import NetworkTrainer
from nnunet_pancext.trainers.machinery.nnunet import ConfigurationManager


class MonaiTrainer(NetworkTrainer):
    """Base of the trainers of MONAI's networks, which have one output: there is no deep supervision.

    MONAI is only needed to build a network; without it the trainers are found nevertheless.
    """

    order = 910
    enable_deep_supervision = False
    extra = "baselines"
    refuses_paper_recipe = "a baseline follows nnU-Net's recipe"

    def check_setting(self) -> None:
        if self.enable_deep_supervision:
            raise NNUNetCommandError(
                f"The network of {type(self).__name__} has one output: leave enable_deep_supervision False."
            )

    @classmethod
    def plan_strides(cls, configuration_manager: ConfigurationManager) -> dict[str, Any]:
        return {}

    @classmethod
    def build_network_architecture(
        cls, plans_manager: Any, configuration_manager: Any, *sizes: Any, **options: Any
    ) -> SegmentationNetwork:
        """Return MONAI's network for a plan; print a line where the plan's patches are padded for it.

        Raises:
            NNUNetCommandError: MONAI is missing.
        """
        network = super().build_network_architecture(plans_manager, configuration_manager, *sizes, **options)
        patch_size = tuple(configuration_manager.patch_size)
        padded_size = network.padded_size(patch_size)
        if padded_size != patch_size:
            size, padded = (" x ".join(map(str, lengths)) for lengths in (patch_size, padded_size))
            print(
                f"{cls.__name__}: inside the network patches of {size} are padded with zeros to {padded}, "
                "and the output is cropped back."
            )
        return network


class MonaiSegResNetTrainer(MonaiTrainer):
    """MONAI's SegResNet with 8 initial filters, trained by nnU-Net's recipe."""

    paper = "SegResNet (Myronenko), MONAI"
    network_class = monai_networks.MonaiSegResNet
    small_options = {"blocks_down": (1, 1, 1, 1)}


class MonaiAttentionUnetTrainer(MonaiTrainer):
    """MONAI's Attention U-Net with 16 to 256 channels, trained by nnU-Net's recipe."""

    paper = "Attention U-Net (Oktay et al.), MONAI"
    network_class = monai_networks.MonaiAttentionUnet
    small_options = {"channels": (2, 4, 4, 4, 4)}


class MonaiUNETRTrainer(MonaiTrainer):
    """MONAI's UNETR, built for the plan's patch, trained by nnU-Net's recipe."""

    paper = "UNETR (Hatamizadeh et al.), MONAI"
    network_class = monai_networks.MonaiUNETR
    small_options = {"feature_size": 4, "hidden_size": 12, "mlp_dim": 12, "num_heads": 2}

    @classmethod
    def plan_options(cls, configuration_manager: ConfigurationManager) -> dict[str, Any]:
        return {"image_size": configuration_manager.patch_size}


class MonaiSwinUNETRTrainer(MonaiTrainer):
    """MONAI's Swin UNETR of feature size 24, trained by nnU-Net's recipe."""

    paper = "Swin UNETR (Hatamizadeh et al.), MONAI"
    network_class = monai_networks.MonaiSwinUNETR
    small_options = {"feature_size": 12, "depths": (2, 1, 1, 1), "num_heads": (2, 2, 2, 2), "window_size": 4}

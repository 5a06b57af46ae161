"""Trainers of DLKUNet in its three sizes."""

from typing import Any

from torch.optim import Adam

from nnunet_pancext.architectures.dlkunet import DLKUNet
from nnunet_pancext.losses import PhaseWeights
from nnunet_pancext.trainers.machinery.network import NetworkTrainer
from nnunet_pancext.trainers.machinery.nnunet import ConfigurationManager
from nnunet_pancext.trainers.machinery.paper_recipe import PaperRecipe
from nnunet_pancext.trainers.machinery.plan_levels import kernel_sizes_from_plan


def dlkunet_learning_rate(epoch: int, num_epochs: int) -> float:
    """Return 1e-3 * 0.9^(epoch // 20) up to epoch 200 of 400, then 1e-5; other lengths in proportion."""
    if 2 * epoch >= num_epochs:
        return 1e-5
    return 1e-3 * 0.9 ** (20 * epoch // num_epochs)


class DLKUNetSTrainer(NetworkTrainer):
    """DLKUNet with three levels, trained by nnU-Net's recipe."""

    paper = "DLKUNet"
    order = 40
    remark = (
        "with nnU-Net's default 2d plan for MSD pancreas, 12 slices of 512 x 512, the backward pass needs "
        "25 (S) to 29 GiB (L) in half precision, twice that in single. Halving batch_size halves it."
    )
    network_class = DLKUNet
    network_options = {"num_levels": 3}
    small_options = {"base_channels": 4}
    num_downsamplings = 2
    paper_recipe = PaperRecipe(
        optimizer=Adam,
        learning_rate=dlkunet_learning_rate,
        weight_decay=1e-5,
        num_epochs=400,
        loss_weighting=PhaseWeights,
        summary="Adam, lr 1e-3 x 0.9 every 20 epochs, 1e-5 from 200 of 400, decay 1e-5, phase-based loss",
    )

    @classmethod
    def plan_options(cls, configuration_manager: ConfigurationManager) -> dict[str, Any]:
        kernel_sizes = kernel_sizes_from_plan(
            plan_kernels=configuration_manager.network_arch_init_kwargs["kernel_sizes"],
            plan_strides=configuration_manager.pool_op_kernel_sizes,
            num_levels=cls.num_downsamplings + 1,
        )
        return {"kernel_sizes": kernel_sizes}


class DLKUNetMTrainer(DLKUNetSTrainer):
    """DLKUNet with four levels."""

    paper = "DLKUNet"
    network_options = {"num_levels": 4}
    num_downsamplings = 3


class DLKUNetLTrainer(DLKUNetSTrainer):
    """DLKUNet with five levels."""

    paper = "DLKUNet"
    network_options = {"num_levels": 5}
    num_downsamplings = 4

"""The one place that adapts the package's networks to nnU-Net."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import torch
from torch import nn
from torch._dynamo import OptimizedModule
from torch.nn.parallel import DistributedDataParallel

from nnunet_pancext.architectures.segmentation_network import SegmentationNetwork
from nnunet_pancext.files import PARTIAL_PREFIX
from nnunet_pancext.trainers.finite_loss import check_loss
from nnunet_pancext.trainers.host import ConfigurationManager, PlansManager, nnUNetTrainer
from nnunet_pancext.trainers.plan_strides import strides_from_plan
from nnunet_pancext.trainers.seeding import INITIALISATION, seed_from_environment, seed_generators

# What a trainer class may set; nnU-Net itself sets them on the instance.
HYPERPARAMETERS = (
    "initial_lr",
    "weight_decay",
    "oversample_foreground_percent",
    "probabilistic_oversampling",
    "num_iterations_per_epoch",
    "num_val_iterations_per_epoch",
    "num_epochs",
    "enable_deep_supervision",
    "save_every",
)


class PancextTrainer(nnUNetTrainer):
    """Base of the package's trainers; a subclass declares its network and what differs from nnU-Net's recipe.

    Class attributes named in `HYPERPARAMETERS` replace nnU-Net's defaults.

    Beyond nnU-Net's own trainer:
        - checkpoints are written to a temporary name and renamed, so a killed run never leaves half a file;
        - a loss that is not finite ends the training with a message (`finite_loss`);
        - `PANCEXT_SEED` makes a run reproducible, and exact when continued (`seeding`).
    """

    network_class: ClassVar[Callable[..., SegmentationNetwork]]
    network_options: ClassVar[dict[str, Any]] = {}
    num_downsamplings: ClassVar[int]
    paper: ClassVar[str]
    loss_name: ClassVar[str] = "Dice + CE"
    save_every: int

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008 - nnU-Net reads this very signature
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        for name in HYPERPARAMETERS:
            if hasattr(type(self), name):
                setattr(self, name, getattr(type(self), name))
        if not hasattr(type(self), "save_every"):
            # nnU-Net's 50 would leave a short run without a checkpoint to continue from.
            self.save_every = min(self.save_every, max(1, self.num_epochs // 10))
        self.seed = seed_from_environment()
        self.iteration = 0

    @classmethod
    def build_network_architecture(
        cls,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """Return the network of this trainer for a plan; nnU-Net calls it in training and in prediction."""
        patch_size = configuration_manager.patch_size
        network = cls.network_class(
            spatial_dims=len(patch_size),
            in_channels=num_input_channels,
            num_classes=num_output_channels,
            strides=strides_from_plan(
                plan_strides=configuration_manager.pool_op_kernel_sizes,
                patch_size=patch_size,
                num_downsamplings=cls.num_downsamplings,
            ),
            deep_supervision=enable_deep_supervision,
            **cls.network_options,
        )
        if not enable_deep_supervision:
            # DDP stops at parameters that want a gradient and get none.
            network.auxiliary_heads.requires_grad_(False)
        return network

    def configure_epoch(self, epoch: int, num_epochs: int) -> None:
        """Set what depends on the epoch (loss weights, phases); called before each one, also after `--c`.

        It must be a pure function of its arguments, so that a continued run is the same run.
        """

    def initialize(self) -> None:
        if self.seed is not None:
            self._seed_generators(INITIALISATION)
            torch.backends.cudnn.deterministic = True
            self.print_to_log_file(f"Reproducible mode, seed {self.seed}: data are prepared in this process.")
        super().initialize()

    def get_dataloaders(self) -> Any:
        if self.seed is None:
            return super().get_dataloaders()
        # Worker processes would hand over batches in the order in which they happen to finish.
        with mock.patch.dict(os.environ, nnUNet_n_proc_DA="0"):
            return super().get_dataloaders()

    def on_epoch_start(self) -> None:
        super().on_epoch_start()
        self.configure_epoch(self.current_epoch, self.num_epochs)
        self._seed_generators(self.current_epoch)

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.iteration = 0

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        self.iteration = 0

    def train_step(self, batch: dict) -> dict:
        return self._checked("training", super().train_step(batch), batch)

    def validation_step(self, batch: dict) -> dict:
        return self._checked("validation", super().validation_step(batch), batch)

    def save_checkpoint(self, filename: str) -> None:
        target = Path(filename)
        partial = target.with_name(PARTIAL_PREFIX + target.name)
        super().save_checkpoint(str(partial))
        if partial.is_file():  # not with --disable_checkpointing, and only on the first of several GPUs
            os.replace(partial, target)

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        # nnU-Net asks for it after each validation, also from a trainer that does without
        self._bare_network().deep_supervision = enabled and self.enable_deep_supervision

    def plot_network_architecture(self) -> None:
        """Do nothing: nnU-Net's plot needs a package that is no longer maintained."""

    def _get_deep_supervision_scales(self) -> list[list[float]] | None:
        if not self.enable_deep_supervision:
            return None
        return [[1 / step for step in stride] for stride in self._bare_network().output_strides]

    def _bare_network(self) -> SegmentationNetwork:
        network = self.network
        if isinstance(network, DistributedDataParallel):
            network = network.module
        if isinstance(network, OptimizedModule):
            network = network._orig_mod
        return network

    def _seed_generators(self, epoch: int) -> None:
        if self.seed is not None:
            seed_generators(seed=self.seed, fold=self.fold, epoch=epoch, rank=self.local_rank)

    def _checked(self, step: str, result: dict, batch: dict) -> dict:
        check_loss(
            result["loss"],
            step=step,
            epoch=self.current_epoch,
            iteration=self.iteration,
            cases=batch["keys"],
            learning_rate=self.optimizer.param_groups[0]["lr"],
            output_folder=Path(self.output_folder),
        )
        self.iteration += 1
        return result

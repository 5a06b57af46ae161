"""Trainers of the two-stage network for pancreatic tumours and of its ablations."""

from collections import defaultdict
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD

from nnunet_pancext.architectures.blocks.focusing import BACKGROUND, FOREGROUND
from nnunet_pancext.architectures.dims import BATCH_NORM
from nnunet_pancext.architectures.pancreas_tumor_cascade import (
    JOINT,
    MARGIN,
    PHASES,
    SALIENCY,
    STAGES_APART,
    PancreasTumorCascade,
)
from nnunet_pancext.errors import NNUNetCommandError
from nnunet_pancext.losses import CascadeLoss, ISBLoss, OrdinaryWeights
from nnunet_pancext.trainers.machinery.cascade_roles import cascade_roles
from nnunet_pancext.trainers.machinery.loss_weights import log_columns
from nnunet_pancext.trainers.machinery.network import NetworkTrainer
from nnunet_pancext.trainers.machinery.nnunet import ConfigurationManager
from nnunet_pancext.trainers.machinery.paper_recipe import PaperRecipe
from nnunet_pancext.trainers.machinery.shared_boundary import patch_spacing

PAPER_EPOCHS = 56
PAPER_LEARNING_RATE = 1e-5
SALIENCY_FROM, JOINT_FROM = 2, 6  # of the paper's epochs
PHASE = "cascade phase"  # column of nnU-Net's log: 0, 1 and 2 for S, I and J
WITHOUT_ORGAN = "patches without organ"
WINDOW = "window / patch"


def cascade_phase(epoch: int, num_epochs: int) -> str:
    """Return S in the first 2/56 of the epochs, I in the next 4/56, J in the rest.

    With 3 epochs or more each phase has at least one. A single epoch is S; two epochs are S and J.
    """
    if epoch == 1 and num_epochs >= len(PHASES) and former_cascade_phase(1, num_epochs) == JOINT:
        return SALIENCY
    return former_cascade_phase(epoch, num_epochs)


def former_cascade_phase(epoch: int, num_epochs: int) -> str:
    """Return the phase in former versions, which skip I in trainings of 3 to 9 epochs."""
    if PAPER_EPOCHS * epoch < SALIENCY_FROM * num_epochs:
        return STAGES_APART
    return SALIENCY if PAPER_EPOCHS * epoch < JOINT_FROM * num_epochs else JOINT


def margin_in_voxels(spacing: Any) -> tuple[int, ...]:
    """Return 20 voxels along the finest axis, and as many millimetres along the others."""
    return tuple(round(MARGIN * min(spacing) / step) for step in spacing)


class PancreasTumorCascadeTrainer(NetworkTrainer):
    """The two-stage network with its own loss (Eq. 17) and phases, otherwise trained by nnU-Net's recipe.

    In training the network gets the ground truth as a last image channel, because nnU-Net's training step
    passes one tensor. nnU-Net uses its log-probabilities as logits.

    The paper's recipe keeps the learning rate at 1e-5; the text names no schedule.
    """

    paper = "Pancreatic-tumour cascade (Qiu et al.)"
    order = 30
    attention = "saliency, window, localization and focusing maps"
    loss_name = "Dice, BCE + IoU, ISB"
    loss_weighting = None
    refuses_loss_weighting = "its loss is not Dice + CE"
    refuses_isb_loss = "its loss has it already"
    network_class = PancreasTumorCascade
    small_options = {"base_channels": 8}
    num_downsamplings = 4
    paper_recipe = PaperRecipe(
        optimizer=partial(SGD, momentum=0.9),
        learning_rate=lambda epoch, num_epochs: PAPER_LEARNING_RATE,
        weight_decay=1e-7,
        num_epochs=PAPER_EPOCHS,
        loss_weighting=OrdinaryWeights,
        summary="SGD, momentum 0.9, lr 1e-5, weight decay 1e-7, 2 + 4 + 50 epochs",
    )

    def check_setting(self) -> None:
        self.roles = cascade_roles(self.label_manager, self.dataset_json, trainer=type(self).__name__)
        if not self.enable_deep_supervision:
            raise NNUNetCommandError(
                f"{type(self).__name__} always supervises all its maps: leave enable_deep_supervision True."
            )
        self.notes: dict[str, list[float]] = defaultdict(list)  # by name, for the current epoch
        self.former_phases = False  # in a training started by a former version

    @classmethod
    def plan_options(cls, configuration_manager: ConfigurationManager) -> dict[str, Any]:
        return {"margin": margin_in_voxels(patch_spacing(configuration_manager))}

    def configure_epoch(self, epoch: int, num_epochs: int) -> None:
        phase_of = former_cascade_phase if self.former_phases else cascade_phase
        self._bare_network().phase = phase_of(epoch, num_epochs)
        self.notes.clear()

    def load_checkpoint(self, filename_or_checkpoint: Any) -> None:
        super().load_checkpoint(filename_or_checkpoint)
        self.former_phases = PHASE not in self.logger.local_logger.my_fantastic_logging

    def initialize(self) -> None:
        super().initialize()
        network = self._bare_network()
        # nnU-Net synchronises every BatchNorm over the GPUs. Stage 2 only runs on those with an organ; the
        # others would wait for ever, or use another layer's statistics. The optimiser holds the parameters.
        for layer in network.stage_2.modules():
            if isinstance(layer, nn.SyncBatchNorm):
                layer.__class__ = BATCH_NORM[network.spatial_dims]

    def set_label_buffers(self) -> None:
        super().set_label_buffers()
        self._bare_network().roles.copy_(torch.tensor(self.roles))

    def build_loss(self) -> Any:
        organ, lesion = self.roles
        ignore_label = self.label_manager.ignore_label
        isb = ISBLoss(spacing=patch_spacing(self.configuration_manager), ignore_label=ignore_label)
        return CascadeLoss(organ=organ, lesion=lesion, isb=isb, ignore_label=ignore_label)

    def _get_deep_supervision_scales(self) -> list[list[float]]:
        return [[1.0] * len(self.configuration_manager.patch_size)]

    def on_train_start(self) -> None:
        super().on_train_start()
        if self.device.type == "cuda":
            self.check_peak_memory()

    def check_peak_memory(self) -> None:
        """Run and discard a step whose window is the whole patch.

        Windows grow when stage 1 starts to place them. If memory does not suffice for the largest, the
        training should fail now, not hours later.
        """
        network = self._bare_network()
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        shape = (self.batch_size, self.num_input_channels + 1, *self.configuration_manager.patch_size)
        data = torch.ones(shape, device=self.device)  # the last channel: organ everywhere
        network.phase = STAGES_APART
        self.network.train()
        with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            self.loss(self.network(data), [data[:, -1:]]).backward()
        self.optimizer.zero_grad(set_to_none=True)
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])

    def train_step(self, batch: dict) -> dict:
        result = super().train_step(self._with_truth(batch))
        loss: Any = self.loss
        for name, value in loss.terms.items():
            self.notes[name].append(float(value))
        self.notes[WITHOUT_ORGAN].append(float(np.mean([not truth.any() for truth in self._truth(batch)])))
        if loss.windows is not None:
            share = np.prod(loss.windows.size) / np.prod(batch["data"].shape[2:])
            self.notes[WINDOW].append(float(share))
        return result

    def validation_step(self, batch: dict) -> dict:
        return super().validation_step(self._with_truth(batch))

    def on_train_epoch_end(self, train_outputs: list[dict]) -> None:
        super().on_train_epoch_end(train_outputs)
        means = {name: float(np.mean(values)) for name, values in self.notes.items()}
        means.setdefault(WINDOW, float("nan"))  # no patch of the epoch had a window
        columns = {f"cascade {name}": mean for name, mean in means.items()}
        phase = self._bare_network().phase
        if not self.former_phases:
            columns[PHASE] = PHASES.index(phase)
        log_columns(self.logger, columns, self.current_epoch)
        summary = ", ".join(f"{name} {mean:.4g}" for name, mean in means.items())
        self.print_to_log_file(f"Phase {phase}: {summary}")

    def _truth(self, batch: dict) -> Tensor:
        organ, lesion = (batch["target"][0] == label for label in self.roles)
        return organ | lesion

    def _with_truth(self, batch: dict) -> dict:
        """Return the batch with the ground truth as a last image channel."""
        truth = self._truth(batch).to(batch["data"].dtype)
        return {**batch, "data": torch.cat([batch["data"], truth], dim=1)}


class PancreasTumorCascadeMTrainer(PancreasTumorCascadeTrainer):
    """Table 3, M: both stages are multi-scale U-Nets, and the second gets the whole image."""

    network_options = {"crop": False, "saliency": False, "localization": False, "focusing": False}


class PancreasTumorCascadeMPTrainer(PancreasTumorCascadeTrainer):
    """Table 3, M-P: the second stage gets the window around the first one's mask."""

    network_options = {"saliency": False, "localization": False, "focusing": False}


class PancreasTumorCascadeMPTTrainer(PancreasTumorCascadeTrainer):
    """Table 3, M-P-T: the first stage's probability changes the image, so that both learn together."""

    network_options = {"localization": False, "focusing": False}


class PancreasTumorCascadeMPTLTrainer(PancreasTumorCascadeTrainer):
    """Table 3, M-P-T-L: with non-local localization."""

    network_options = {"focusing": False}


class PancreasTumorCascadeFalsePositiveTrainer(PancreasTumorCascadeTrainer):
    """Figure 10: focusing modules only look for false positives, in the features of the foreground."""

    network_options = {"sides": (FOREGROUND,)}


class PancreasTumorCascadeFalseNegativeTrainer(PancreasTumorCascadeTrainer):
    """Figure 10: focusing modules only look for false negatives, in the features of the background."""

    network_options = {"sides": (BACKGROUND,)}


class PancreasTumorCascadeTransferTrainer(PancreasTumorCascadeTrainer):
    """The whole network, with T as the paper words it: "migrating the pancreatic segmentation model".

    When phase I begins, the backbone of stage 2 takes the weights of stage 1's. The saliency change stays.
    """

    def on_epoch_start(self) -> None:
        super().on_epoch_start()
        network = self._bare_network()
        before = cascade_phase(self.current_epoch - 1, self.num_epochs)
        if network.phase == SALIENCY and before == STAGES_APART:
            self.print_to_log_file("Stage 2's backbone takes the weights of stage 1's.")
            network.stage_2.backbone.load_state_dict(network.stage_1.backbone.state_dict())
            for parameter in network.stage_2.backbone.parameters():
                self.optimizer.state.pop(parameter, None)  # the momentum of other weights

    def on_train_start(self) -> None:
        super().on_train_start()
        if self.num_epochs < len(PHASES):
            self.print_to_log_file(f"With {self.num_epochs} epochs there is no phase I, so no transfer.")

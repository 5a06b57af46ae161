"""Trainers of nnU-Net's own network with one module of a paper injected, so that only this module differs."""

from nnunet_pancext.architectures.injected_unet import AttentionGatedUNet, FocusedUNet, NonLocalUNet
from nnunet_pancext.losses import ISB_WEIGHT, DynamicWeights, PhaseWeights
from nnunet_pancext.trainers.machinery.network import InjectionTrainer

NAMED = "its name already says how the loss is weighted"


class nnUNetTrainerBaseline(InjectionTrainer):
    """nnU-Net's own network, loss and recipe: the baseline, with the same suffixes and seeds."""

    paper = "nnU-Net (Isensee et al.)"
    refuses_paper_recipe = "a baseline follows nnU-Net's recipe"


class nnUNetTrainerNonLocal(InjectionTrainer):
    """Two non-local blocks on the deepest features of nnU-Net's network."""

    paper = "nnU-Net + non-local (Liao et al.)"
    attention = "non-local blocks"
    network_class = NonLocalUNet


class nnUNetTrainerAttentionGates(InjectionTrainer):
    """Attention gates on all skips but the finest of nnU-Net's network."""

    paper = "nnU-Net + attention gates (Oktay et al.)"
    attention = "attention gates"
    network_class = AttentionGatedUNet


class nnUNetTrainerFocusing(InjectionTrainer):
    """Non-local localization and focusing modules as the decoder of nnU-Net's encoder."""

    paper = "nnU-Net + localization, focusing (Qiu et al.)"
    attention = "localization and focusing maps"
    network_class = FocusedUNet


class nnUNetTrainerPhaseLoss(InjectionTrainer):
    """nnU-Net with DLKUNet's phase-based weights of Dice and cross-entropy."""

    paper = "nnU-Net + phase-based loss (DLKUNet)"
    loss_weighting = PhaseWeights
    refuses_loss_weighting = NAMED


class nnUNetTrainerDynamicLoss(InjectionTrainer):
    """nnU-Net with DLKUNet's dynamic weights of Dice and cross-entropy."""

    paper = "nnU-Net + dynamic loss (DLKUNet)"
    loss_weighting = DynamicWeights
    refuses_loss_weighting = NAMED


class nnUNetTrainerISB(InjectionTrainer):
    """nnU-Net with 0.4 times the inter-class shared boundary loss beside its own."""

    paper = "nnU-Net + ISB loss (Qiu et al.)"
    isb_weight = ISB_WEIGHT
    refuses_isb_loss = "its loss has it already"

"""The papers' losses, plain PyTorch: nothing here depends on nnU-Net."""

# ruff: noqa: F401

from nnunet_pancext.losses.cascade import ISB_WEIGHT, CascadeLoss, dice_loss
from nnunet_pancext.losses.shared_boundary import ISBLoss, shared_boundary_matrix
from nnunet_pancext.losses.structure import (
    MapsLoss,
    StructureLoss,
    bce_iou_loss,
    edge_weights,
    one_versus_rest,
)
from nnunet_pancext.losses.weighting import (
    DiceOnlyWeights,
    DynamicWeights,
    LossWeighting,
    OrdinaryWeights,
    PhaseWeights,
)

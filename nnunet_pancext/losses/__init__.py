"""The papers' losses, plain PyTorch: nothing here knows of nnU-Net."""

from nnunet_pancext.losses.weighting import (
    DiceOnlyWeights,
    DynamicWeights,
    LossWeighting,
    OrdinaryWeights,
    PhaseWeights,
)

__all__ = ["DiceOnlyWeights", "DynamicWeights", "LossWeighting", "OrdinaryWeights", "PhaseWeights"]

"""Weights of Dice and cross-entropy by epoch: alpha * Dice + beta * CE (DLKUNet, Eq. 11-13).

Each weighting is a pure function of the epoch and the number of epochs, so that continued trainings equal
uninterrupted ones. Epochs are counted from 0.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import exp
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class LossWeighting(ABC):
    """A weighting for a training of `num_epochs`; call it with an epoch for the pair (Dice, CE).

    `suffix` follows trainers' names; `explanation` and `label` describe it in `pancext trainers`.

    Raises:
        ValueError: `num_epochs` is below 1, or the epoch is negative.
    """

    suffix: ClassVar[str | None] = None
    explanation: ClassVar[str] = ""
    label: ClassVar[str] = ""  # appended to the loss's name

    num_epochs: int

    def __post_init__(self) -> None:
        if self.num_epochs < 1:
            raise ValueError(f"num_epochs is {self.num_epochs}; it must be at least 1.")

    def __call__(self, epoch: int) -> tuple[float, float]:
        if epoch < 0:
            raise ValueError(f"epoch is {epoch}; epochs are counted from 0.")
        return self.weights(epoch)

    @abstractmethod
    def weights(self, epoch: int) -> tuple[float, float]:
        """Return (Dice, CE) for an epoch of at least 0."""


class OrdinaryWeights(LossWeighting):
    """Both weights are 1 in every epoch, as in nnU-Net."""

    suffix = "_OrdinaryLoss"
    explanation = "Dice + CE, 1 and 1 (nnU-Net's)"

    def weights(self, epoch: int) -> tuple[float, float]:
        return 1.0, 1.0


class DiceOnlyWeights(LossWeighting):
    """Dice alone, as Attention U-Net was trained."""

    def weights(self, epoch: int) -> tuple[float, float]:
        return 1.0, 0.0


class PhaseWeights(LossWeighting):
    """Eq. 11: (0.6, 0.4) in the first half of the epochs, (0.7, 0.3) in the second."""

    suffix = "_PhaseLoss"
    explanation = "0.6 Dice + 0.4 CE, in the second half of the epochs 0.7 and 0.3"
    label = ", phase-based"

    def weights(self, epoch: int) -> tuple[float, float]:
        return (0.6, 0.4) if 2 * epoch < self.num_epochs else (0.7, 0.3)


@dataclass(frozen=True, kw_only=True)
class DynamicWeights(LossWeighting):
    """Eq. 12-13: Dice falls from 1 to A = `dice_floor`, cross-entropy rises from B = `ce_start` to 1.

    With s = 1 / (1 + exp(-k (x - x0))) for epoch x, x0 = num_epochs / 2 and k = 20 / num_epochs:
    alpha = A + (1 - A)(1 - s), beta = 1 + (B - 1)(1 - s).
    """

    suffix = "_DynamicLoss"
    explanation = "Dice falls from 1 to 0.3, CE rises from 0.7 to 1"
    label = ", dynamic"

    dice_floor: float = 0.3
    ce_start: float = 0.7

    def weights(self, epoch: int) -> tuple[float, float]:
        steepness, middle = 20 / self.num_epochs, self.num_epochs / 2
        rest = 1 - 1 / (1 + exp(-steepness * (epoch - middle)))
        return self.dice_floor + (1 - self.dice_floor) * rest, 1 + (self.ce_start - 1) * rest

"""A paper's optimiser, schedule, epochs and loss weights, which `_PaperRecipe` uses instead of nnU-Net's."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from nnunet_pancext.losses import LossWeighting


@dataclass(frozen=True, kw_only=True)
class PaperRecipe:
    """A paper's recipe.

    optimizer: called with the parameters, `lr` and `weight_decay`.
    learning_rate: a pure function of the epoch (from 0) and the number of epochs.
    summary: one line for `pancext trainers --suffixes`.
    """

    optimizer: Callable[..., Optimizer]
    learning_rate: Callable[[int, int], float]
    weight_decay: float
    num_epochs: int
    loss_weighting: type[LossWeighting]
    summary: str

    def attributes(self) -> dict[str, Any]:
        """Return the class attributes of a trainer that follows this recipe."""
        return {
            "recipe": self,
            "num_epochs": self.num_epochs,
            "initial_lr": self.learning_rate(0, self.num_epochs),
            "weight_decay": self.weight_decay,
            "loss_weighting": self.loss_weighting,
        }

    def configure(
        self, parameters: Iterable[nn.Parameter], *, num_epochs: int
    ) -> tuple[Optimizer, "EpochSchedule"]:
        """Return the optimiser and its schedule."""
        optimizer = self.optimizer(
            parameters, lr=self.learning_rate(0, num_epochs), weight_decay=self.weight_decay
        )
        return optimizer, EpochSchedule(optimizer, lambda epoch: self.learning_rate(epoch, num_epochs))


@dataclass(frozen=True)
class EpochSchedule:
    """Sets the learning rate that a function gives for an epoch; nnU-Net calls `step(epoch)` before each."""

    optimizer: Optimizer
    learning_rate: Callable[[int], float]

    def step(self, epoch: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(epoch)

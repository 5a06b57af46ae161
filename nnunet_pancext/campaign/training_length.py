"""How long a trainer trains one fold."""

import re
from typing import NamedTuple


class TrainingLength(NamedTuple):
    """Epochs of a training, and iterations of each."""

    epochs: int
    iterations: int


STOCK = "nnUNetTrainer"
STOCK_LENGTH = TrainingLength(epochs=1000, iterations=250)
NAMED_EPOCHS = re.compile(r"_(\d+)epochs?(?![a-z])")


def named_epochs(trainer: str) -> int | None:
    """Return the epochs in the name of a trainer, of ours or nnU-Net's; None where it names none."""
    match = NAMED_EPOCHS.search(trainer)
    return int(match[1]) if match else None


def training_length(trainer: str) -> TrainingLength:
    """Return the length of a trainer's training; nnU-Net's own where the class does not set another.

    nnU-Net's trainers set theirs when they are made, so that those are taken from the name, as in
    nnUNetTrainer_250epochs.
    """
    if trainer.startswith(STOCK) and (epochs := named_epochs(trainer)):
        return STOCK_LENGTH._replace(epochs=epochs)
    if trainer == STOCK:
        return STOCK_LENGTH
    from nnunet_pancext.trainers import find_trainer

    trainer_class = find_trainer(trainer)
    return TrainingLength(
        epochs=getattr(trainer_class, "num_epochs", STOCK_LENGTH.epochs),
        iterations=getattr(trainer_class, "num_iterations_per_epoch", STOCK_LENGTH.iterations),
    )

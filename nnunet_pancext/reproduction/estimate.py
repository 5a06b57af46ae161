"""How many GPU-hours a protocol may take: an estimate from epochs and an assumed time for one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nnunet_pancext.reproduction.protocol import STOCK
from nnunet_pancext.reproduction.selection import PlannedRun
from nnunet_pancext.reproduction.steps import Step

TRAIN = "nnUNetv2_train"
# Assumed, not measured: a stock nnU-Net epoch of 250 iterations on a data-centre GPU with enough CPU cores.
SECONDS_PER_EPOCH = {"2d": 30.0, "3d_fullres": 60.0, "3d_lowres": 60.0}


class TrainingLength(NamedTuple):
    """How long a trainer trains one fold."""

    epochs: int
    iterations: int


STOCK_LENGTH = TrainingLength(epochs=1000, iterations=250)


def training_length(trainer: str) -> TrainingLength:
    """Return the length of a trainer's training; nnU-Net's own where the class does not set another.

    Raises:
        PancextError: a trainer of this package with a suffix that it does not take.
    """
    from nnunet_pancext.trainers import find_trainer

    trainer_class = None if trainer == STOCK else find_trainer(trainer)
    return TrainingLength(
        epochs=getattr(trainer_class, "num_epochs", STOCK_LENGTH.epochs),
        iterations=getattr(trainer_class, "num_iterations_per_epoch", STOCK_LENGTH.iterations),
    )


@dataclass(frozen=True, kw_only=True)
class EstimateRow:
    """The estimated training of one trainer."""

    trainer: str
    configuration: str
    folds: int
    epochs: int
    seconds_per_epoch: float

    @property
    def hours(self) -> float:
        """For all folds."""
        return self.folds * self.epochs * self.seconds_per_epoch / 3600


def estimate(
    runs: Sequence[PlannedRun], *, seconds_per_epoch: float | None, finished: Sequence[Step] = ()
) -> list[EstimateRow]:
    """Return a row per trainer; finished folds are not counted."""
    # dataset, configuration and trainer of nnUNetv2_train DATASET CONFIGURATION FOLD -tr TRAINER
    trained = Counter((*step.words[1:3], step.trainer) for step in finished if step.words[0] == TRAIN)
    return [
        EstimateRow(
            trainer=trainer,
            configuration=run.configuration,
            folds=len(run.folds) - trained[str(run.dataset.dataset_id), run.configuration, trainer],
            epochs=length.epochs,
            seconds_per_epoch=(seconds_per_epoch or SECONDS_PER_EPOCH[run.configuration])
            * length.iterations
            / STOCK_LENGTH.iterations,
        )
        for run in runs
        for trainer in run.trainers
        for length in [training_length(trainer)]
    ]


def explain(*, seconds_per_epoch: float | None) -> list[str]:
    """Return what the estimate is based on."""
    listed = ", ".join(f"{name} {seconds:g} s" for name, seconds in SECONDS_PER_EPOCH.items())
    given = f"as given: {seconds_per_epoch or 0:g} s"
    return [
        "An estimate: unfinished folds x epochs x seconds per epoch. The seconds are",
        f"{f'assumed, not measured: {listed}' if seconds_per_epoch is None else given} "
        f"for an epoch of {STOCK_LENGTH.iterations} iterations,",
        "the same for every network, though some cost several times stock nnU-Net's (benchmarks/README.md).",
        "Prediction and validation are extra; with fold all, every training case is predicted once.",
        "Measure your own with nnUNetv2_train DATASET CONFIGURATION 0 -tr nnUNetTrainerBenchmark_5epochs",
        "and pass it as --seconds-per-epoch.",
    ]

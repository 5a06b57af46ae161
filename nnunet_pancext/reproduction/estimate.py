"""How many GPU-hours a protocol may take: an estimate from epochs and an assumed time for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nnunet_pancext.reproduction.choices import Trial
from nnunet_pancext.reproduction.protocol import STOCK
from nnunet_pancext.reproduction.steps import Step, Training

HOST_EPOCHS, HOST_ITERATIONS = 1000, 250
# Assumed, not measured: a stock nnU-Net epoch of 250 iterations on a data-centre GPU with enough processors.
SECONDS_PER_EPOCH = {"2d": 30.0, "3d_fullres": 60.0, "3d_lowres": 60.0}


@dataclass(frozen=True, kw_only=True)
class TrainingLength:
    """How long a trainer trains one fold."""

    epochs: int
    iterations: int


def training_length(trainer: str) -> TrainingLength:
    """Return the length of a trainer's training; nnU-Net's own where the class does not say another.

    Raises:
        PancextError: a trainer of this package with a suffix that it does not take.
    """
    from nnunet_pancext.trainers import find_trainer

    found = None if trainer == STOCK else find_trainer(trainer)
    return TrainingLength(
        epochs=getattr(found, "num_epochs", HOST_EPOCHS),
        iterations=getattr(found, "num_iterations_per_epoch", HOST_ITERATIONS),
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
        """Of all folds."""
        return self.folds * self.epochs * self.seconds_per_epoch / 3600


def estimate(
    trials: Sequence[Trial], *, seconds_per_epoch: float | None, finished: Sequence[Step] = ()
) -> list[EstimateRow]:
    """Return a row per trainer; folds that are finished are not counted."""
    done = {step.words[1:6] for step in finished if isinstance(step, Training)}
    rows = []
    for trial in trials:
        for trainer in trial.trainers:
            length = training_length(trainer)
            second = seconds_per_epoch or SECONDS_PER_EPOCH[trial.configuration]
            identifier = str(trial.dataset.dataset_id)
            left = [
                fold
                for fold in trial.folds
                if (identifier, trial.configuration, fold, "-tr", trainer) not in done
            ]
            rows.append(
                EstimateRow(
                    trainer=trainer,
                    configuration=trial.configuration,
                    folds=len(left),
                    epochs=length.epochs,
                    seconds_per_epoch=second * length.iterations / HOST_ITERATIONS,
                )
            )
    return rows


def explain(*, seconds_per_epoch: float | None) -> list[str]:
    """Return what the estimate rests on."""
    if seconds_per_epoch is None:
        listed = ", ".join(f"{name} {second:g} s" for name, second in SECONDS_PER_EPOCH.items())
        basis = f"assumed, not measured: {listed} for an epoch of {HOST_ITERATIONS} iterations"
    else:
        basis = f"as given: {seconds_per_epoch:g} s for an epoch of {HOST_ITERATIONS} iterations"
    return [
        "An estimate: folds that are not finished x epochs x seconds per epoch. The seconds are",
        f"{basis},",
        "the same for every network, though some cost several times stock nnU-Net's (benchmarks/README.md).",
        "Prediction and validation come on top; with fold all, every training case is predicted once.",
        "Measure your own by nnUNetv2_train DATASET CONFIGURATION 0 -tr nnUNetTrainerBenchmark_5epochs",
        "and give it with --seconds-per-epoch.",
    ]

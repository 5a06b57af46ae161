"""GPU-hours of a campaign's trainings, from the seconds an epoch that earlier trainings logged."""

import statistics
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.campaign.definition import Campaign
from nnunet_pancext.campaign.kinds.train import Train
from nnunet_pancext.campaign.training_length import STOCK, training_length
from nnunet_pancext.nnunet_files.folders import RESULTS, nnunet_folder
from nnunet_pancext.nnunet_files.model_folder import FINAL, ModelName
from nnunet_pancext.nnunet_files.trained_fold import TrainedFold
from nnunet_pancext.nnunet_files.training_log import read_training_record

BENCHMARK = "nnUNetTrainerBenchmark_5epochs"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The trainings of one model that are not done, with the epochs left of all of them together.

    `seconds_per_epoch` is None where it was not measured.
    """

    dataset: str
    model: ModelName
    trainings: int
    epochs_left: int
    seconds_per_epoch: float | None

    @property
    def hours(self) -> float | None:
        """Hours of the epochs left, without validation."""
        if self.seconds_per_epoch is None:
            return None
        return self.epochs_left * self.seconds_per_epoch / 3600


def estimate_trainings(campaign: Campaign, *, done: Collection[str] = ()) -> list[Estimate]:
    """Return an estimate for each model of a campaign, without the steps that are `done`."""
    trainings: dict[tuple[str, ModelName], list[TrainedFold]] = {}
    for step in campaign.steps:
        if isinstance(step, Train):
            model = ModelName(step.trainer, step.plans, step.configuration)
            to_do = trainings.setdefault((step.dataset, model), [])
            if step.name not in done:
                to_do.append(step.trained)
    return [
        Estimate(
            dataset=dataset,
            model=model,
            trainings=len(folds),
            epochs_left=sum(map(_epochs_left, folds)),
            seconds_per_epoch=measured_seconds(dataset, model),
        )
        for (dataset, model), folds in trainings.items()
    ]


def _epochs_left(fold: TrainedFold) -> int:
    """Return how many epochs a training still has; without a checkpoint it begins anew."""
    epochs = training_length(fold.trainer).epochs
    if nnunet_folder(RESULTS) is None:
        return epochs
    if fold.has_checkpoint(FINAL):
        return 0
    record = read_training_record(fold.folder) if any(fold.folder.glob("checkpoint_*.pth")) else None
    return max(0, epochs - record.epochs) if record else epochs


def measured_seconds(dataset: str, model: ModelName) -> float | None:
    """Return the median seconds an epoch of a model's logs, of any fold; None where there is none.

    For nnU-Net's own trainer the log of its benchmark serves too.
    """
    names = [model, *([model._replace(trainer=BENCHMARK)] if model.trainer == STOCK else [])]
    results = nnunet_folder(RESULTS)
    if results is None:
        return None
    return next((median for name in names if (median := _median(results / dataset / str(name)))), None)


def _median(folder: Path) -> float | None:
    records = map(read_training_record, sorted(folder.glob("fold_*")))
    seconds = [value for record in records if record for value in record.seconds]
    return statistics.median(seconds) if seconds else None


def total_text(estimates: Iterable[Estimate]) -> str:
    """Return the hours of all trainings, and how many of them are not counted."""
    rows = list(estimates)
    known = [row.hours for row in rows if row.hours is not None]
    uncounted = sum(row.trainings for row in rows if row.hours is None)
    if not uncounted:
        return f"{sum(known):.1f}"
    of = sum(row.trainings for row in rows)
    return f"{sum(known):.1f}, without {uncounted} of {of} trainings" if known else "unknown"

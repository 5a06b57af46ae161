"""GPU-hours of a campaign's trainings, from the seconds an epoch that earlier trainings logged."""

import statistics
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.definition import Campaign
from nnunet_pancext.campaign.training_length import STOCK, training_length
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.folders import RESULTS, existing_folder
from nnunet_pancext.nnunet_files.model_folder import ModelName
from nnunet_pancext.nnunet_files.training_log import read_training_record

BENCHMARK = "nnUNetTrainerBenchmark_5epochs"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The trainings of one model that are not done; `seconds_per_epoch` is None where it was not measured."""

    dataset: str
    model: ModelName
    trainings: int
    epochs: int
    seconds_per_epoch: float | None

    @property
    def hours(self) -> float | None:
        """For all of its trainings, without validation."""
        if self.seconds_per_epoch is None:
            return None
        return self.trainings * self.epochs * self.seconds_per_epoch / 3600


def estimate_trainings(campaign: Campaign, *, done: Collection[str] = ()) -> list[Estimate]:
    """Return an estimate for each model of a campaign, without the steps that are `done`."""
    trainings: dict[tuple[str, ModelName], int] = {}
    for step in campaign.steps:
        if step.kind == "train":
            key = _model_of(step)
            trainings[key] = trainings.get(key, 0) + (step.name not in done)
    return [
        Estimate(
            dataset=dataset,
            model=model,
            trainings=number,
            epochs=training_length(model.trainer).epochs,
            seconds_per_epoch=measured_seconds(dataset, model),
        )
        for (dataset, model), number in trainings.items()
    ]


def measured_seconds(dataset: str, model: ModelName) -> float | None:
    """Return the median seconds an epoch of a model's logs, of any fold; None without a log.

    For nnU-Net's own trainer the log of its benchmark serves too.
    """
    names = [model, *([model._replace(trainer=BENCHMARK)] if model.trainer == STOCK else [])]
    try:
        results = existing_folder(RESULTS) / dataset
    except PancextError:
        return None
    return next((median for name in names if (median := _median(results / str(name)))), None)


def _median(folder: Path) -> float | None:
    records = map(read_training_record, sorted(folder.glob("fold_*")))
    seconds = [value for record in records if record for value in record.seconds]
    return statistics.median(seconds) if seconds else None


def _model_of(step: Any) -> tuple[str, ModelName]:
    return step.dataset, ModelName(step.trainer, step.plans, step.configuration)


def total_text(estimates: Iterable[Estimate]) -> str:
    """Return the hours of all trainings, and how many of them are not counted."""
    rows = list(estimates)
    known = [row.hours for row in rows if row.hours is not None]
    uncounted = sum(row.trainings for row in rows if row.hours is None)
    if not uncounted:
        return f"{sum(known):.1f}"
    of = sum(row.trainings for row in rows)
    return f"{sum(known):.1f}, without {uncounted} of {of} trainings" if known else "unknown"

"""What a model costs: its network's size and work, and its training's time and memory."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.comparison.network_cost import network_cost
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.nnunet_files.models import Model
from nnunet_pancext.nnunet_files.training_log import read_training_record

SECONDS_PER_HOUR = 3600
NO_LOG = "no epoch in training_log_*.txt"
NO_PEAK = "the trainer does not log its peak memory"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one model: each a number, or why there is none.

    `seconds_per_epoch` is the median over all epochs of all folds, `hours` the mean of the folds' sums,
    `peak_gb` the highest of the folds. `epochs` is how many a fold has, the fewest where folds differ.
    `device` names all where folds differ, and is empty where nothing tells it.
    """

    model: str
    parameters: int | str
    multiply_adds: int | str
    epochs: int | str
    seconds_per_epoch: float | str
    hours: float | str
    peak_gb: float | str
    device: str


def model_cost(model: Model, folds: Sequence[int]) -> Cost:
    """Count and read what the model costs."""
    network = network_cost(model)
    folders = [model.folder / f"fold_{fold}" for fold in folds]
    records = [record for record in map(read_training_record, folders) if record is not None]
    timed = [record.seconds for record in records if record.seconds]
    peaks = [record.peak_gb for record in records if record.peak_gb is not None]
    epochs = [seconds for fold in timed for seconds in fold]
    return Cost(
        model=model.name,
        parameters=network.parameters,
        multiply_adds=network.multiply_adds,
        epochs=min(map(len, timed)) if timed else NO_LOG,
        seconds_per_epoch=statistics.median(epochs) if timed else NO_LOG,
        hours=sum(epochs) / len(timed) / SECONDS_PER_HOUR if timed else NO_LOG,
        peak_gb=max(peaks) if peaks else NO_PEAK,
        device=", ".join(dict.fromkeys(filter(None, map(trained_on, folders)))),
    )


def trained_on(folder: Path) -> str:
    """Return the device that nnU-Net's debug.json of a fold names; empty where it names none."""
    try:
        debug: Any = read_json(folder / "debug.json")
    except PancextError:
        return ""
    return str(debug.get("gpu_name") or debug.get("device") or "") if isinstance(debug, dict) else ""


def cost_remarks(costs: Sequence[Cost]) -> list[str]:
    """Return why the costs, or the models themselves, may not be comparable."""
    remarks = []
    devices = {cost.device for cost in costs if cost.device}
    if len(devices) > 1:
        said = "; ".join(f"{cost.model} on {cost.device}" for cost in costs if cost.device)
        remarks.append(f"Times were taken on different devices and do not compare: {said}.")
    epochs = {cost.model: cost.epochs for cost in costs if isinstance(cost.epochs, int)}
    if len(set(epochs.values())) > 1:
        said = ", ".join(f"{model} {number}" for model, number in epochs.items())
        remarks.append(f"The models were trained for different numbers of epochs: {said}.")
    return remarks

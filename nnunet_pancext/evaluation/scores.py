"""What an evaluation yields: scores per case and label, their mean, and their table as CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.files import atomic_path


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """Scores of one label in one case. Each field is a column of the CSV table, in this order.

    `dice` is nan where prediction and truth are both empty. `volume_ml` is the predicted volume.
    """

    dice: float
    volume_ml: float
    truth_volume_ml: float


@dataclass(frozen=True, kw_only=True)
class CaseScores:
    """Scores of one case, by label name."""

    case: str
    labels: dict[str, LabelScores]


def mean_dice(scores: Sequence[CaseScores], label: str) -> float:
    """Mean Dice of `label` over the cases where it is defined; nan where it is defined in none.

    Raises:
        PancextError: a case was not scored for `label`.
    """
    values = [value for value in _dice_values(scores, label) if not math.isnan(value)]
    return sum(values) / len(values) if values else math.nan


def count_defined(scores: Sequence[CaseScores], label: str) -> int:
    """Number of cases in which the Dice of `label` is defined, that is, over which `mean_dice` goes.

    Raises:
        PancextError: a case was not scored for `label`.
    """
    return sum(not math.isnan(value) for value in _dice_values(scores, label))


def write_metrics_csv(scores: Sequence[CaseScores], path: Path) -> None:
    """Write one row per case and label, with columns case, label and the fields of `LabelScores`, atomically.

    Numbers have six significant digits; an undefined one is written as nan.
    """
    metrics = [field.name for field in fields(LabelScores)]
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["case", "label", *metrics])
        for case in scores:
            for label, values in case.labels.items():
                writer.writerow([case.case, label, *(f"{getattr(values, name):.6g}" for name in metrics)])


def _dice_values(scores: Sequence[CaseScores], label: str) -> list[float]:
    for case in scores:
        if label not in case.labels:
            raise PancextError(
                f"Case {case.case!r} has no score for label {label!r}, only for {list(case.labels)}. "
                "Give the labels that the cases were evaluated with."
            )
    return [case.labels[label].dice for case in scores]

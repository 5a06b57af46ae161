"""Scores per case and label, their mean, and their CSV table."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.overlap import Overlap
from nnunet_pancext.evaluation.probabilities import VoxelHistogram
from nnunet_pancext.io.csv_table import write_csv


def _score(title: str, *, higher_is_better: bool | None, of_probabilities: bool = False) -> Any:
    metadata = {"title": title, "higher_is_better": higher_is_better, "of_probabilities": of_probabilities}
    return field(default=math.nan, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """Scores of one label in one case; each field is a column of the CSV table, in this order.

    An undefined score is nan and left out of means. A distance is inf if only one of prediction and ground
    truth holds the label. `docs/metrics.md` defines each score, also for empty masks.
    """

    dice: float = _score("Dice", higher_is_better=True)
    iou: float = _score("IoU", higher_is_better=True)
    precision: float = _score("precision", higher_is_better=True)
    recall: float = _score("recall", higher_is_better=True)
    specificity: float = _score("specificity", higher_is_better=True)
    accuracy: float = _score("accuracy", higher_is_better=True)
    f1: float = _score("F1", higher_is_better=True)
    hd95_mm: float = _score("HD95, mm", higher_is_better=False)
    assd_mm: float = _score("ASSD, mm", higher_is_better=False)
    nsd_1mm: float = _score("NSD at 1 mm", higher_is_better=True)
    nsd_2mm: float = _score("NSD at 2 mm", higher_is_better=True)
    volume_ml: float = _score("volume, mL", higher_is_better=None)
    truth_volume_ml: float = _score("true volume, mL", higher_is_better=None)
    volume_error_ml: float = _score("volume error, mL", higher_is_better=None)
    s_measure: float = _score("S-measure", higher_is_better=True)
    e_measure: float = _score("E-measure", higher_is_better=True)
    lesions: float = _score("lesions", higher_is_better=None)
    lesions_found: float = _score("lesions detected", higher_is_better=None)
    false_positives: float = _score("false positives", higher_is_better=False)
    slices: float = _score("slices with target", higher_is_better=None)
    slice_dice: float = _score("Dice per slice", higher_is_better=True)
    slice_iou: float = _score("IoU per slice", higher_is_better=True)
    slice_precision: float = _score("precision per slice", higher_is_better=True)
    slice_recall: float = _score("recall per slice", higher_is_better=True)
    slice_specificity: float = _score("specificity per slice", higher_is_better=True)
    slice_accuracy: float = _score("accuracy per slice", higher_is_better=True)
    probability: float = _score("highest probability", higher_is_better=None, of_probabilities=True)
    average_precision: float = _score("AP of voxels", higher_is_better=True, of_probabilities=True)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A column of scores: its name in the CSV table, its title, which direction is better, what it needs."""

    name: str
    title: str
    higher_is_better: bool | None
    of_probabilities: bool


METRICS = {column.name: Metric(name=column.name, **column.metadata) for column in fields(LabelScores)}


@dataclass(frozen=True, kw_only=True)
class CaseScores:
    """Scores of one case by label name, and what totals over several cases are computed from.

    `histograms` are empty unless probabilities were scored. `patient` is None if unknown.
    """

    case: str
    labels: dict[str, LabelScores]
    patient: str | None = None
    overlaps: dict[str, Overlap] = field(default_factory=dict)
    histograms: dict[str, VoxelHistogram] = field(default_factory=dict)
    prediction_file: Path | None = None
    truth_file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class SummaryStatistics:
    """Statistics of one metric over the `n` cases in which it is defined; in `infinite` of them it is inf.

    Mean and standard deviation (n - 1) are over finite values, the median is over all n. A distance is inf if
    only one of prediction and ground truth holds the label.
    """

    mean: float
    sd: float
    median: float
    n: int
    infinite: int


def summary_statistics(values: ArrayLike) -> SummaryStatistics:
    """Return the statistics of the values; nan is undefined and left out."""
    array = np.asarray(values, dtype=float)
    defined = array[~np.isnan(array)]
    finite = defined[np.isfinite(defined)]
    return SummaryStatistics(
        mean=float(finite.mean()) if len(finite) else math.nan,
        sd=float(finite.std(ddof=1)) if len(finite) > 1 else math.nan,
        median=float(np.median(defined)) if len(defined) else math.nan,
        n=len(defined),
        infinite=len(defined) - len(finite),
    )


def mean_dice(scores: Sequence[CaseScores], label: str) -> float:
    """Return the mean Dice of `label` over the cases in which it is defined; nan if there are none."""
    return mean(metric_values(scores, label, "dice"))


def count_defined(scores: Sequence[CaseScores], label: str) -> int:
    """Return the number of cases in which the Dice of `label` is defined."""
    return summary_statistics(metric_values(scores, label, "dice")).n


def mean(values: Iterable[float]) -> float:
    """Return the mean of the finite values; nan if there are none."""
    defined = [value for value in values if math.isfinite(value)]
    return sum(defined) / len(defined) if defined else math.nan


def write_metrics_csv(scores: Sequence[CaseScores], path: Path) -> None:
    """Write one row per case and label, atomically: case, label, and the fields of `LabelScores`.

    Numbers have ten significant digits; undefined ones are written as nan.
    """
    rows = (
        {"case": case.case, "label": label, **vars(values)}
        for case in scores
        for label, values in case.labels.items()
    )
    write_csv(path, ["case", "label", *METRICS], rows)


def metric_values(scores: Sequence[CaseScores], label: str, metric: str) -> list[float]:
    """Return the values of one metric of `label`, case by case; refuse other metrics and missing labels."""
    if metric not in METRICS:
        raise PancextError(f"There is no metric {metric!r}. Give one of {', '.join(METRICS)}.")
    for case in scores:
        if label not in case.labels:
            raise PancextError(
                f"Case {case.case!r} has no score for label {label!r}, only for {list(case.labels)}. "
                "Give the labels that the cases were evaluated with."
            )
    return [getattr(case.labels[label], metric) for case in scores]


def choose_cases(scores: Sequence[CaseScores], label: str, metric: str = "dice") -> dict[str, str]:
    """Return the worst, median and best case by a metric of a label, or fewer if there are fewer cases.

    Cases in which the metric is undefined are left out. A metric without a better direction counts as better
    when higher.
    """
    sign = -1 if METRICS[metric].higher_is_better is False else 1
    values = {case.case: sign * getattr(case.labels[label], metric) for case in scores}
    ranked = sorted((value, case) for case, value in values.items() if not math.isnan(value))
    if not ranked:
        return {}
    places = {"worst": 0, "median": (len(ranked) - 1) // 2, "best": len(ranked) - 1}
    chosen: dict[str, str] = {}
    for word, place in places.items():
        chosen.setdefault(ranked[place][1], word)
    return {word: case for case, word in chosen.items()}

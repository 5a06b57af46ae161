"""The scores of all cases together: means, lesion recall, and scores that need several cases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from nnunet_pancext.evaluation.overlap import RATIOS
from nnunet_pancext.evaluation.probabilities import PrecisionRecall, patient_ranking, precision_recall
from nnunet_pancext.evaluation.scores import (
    METRICS,
    CaseScores,
    SummaryStatistics,
    metric_values,
    summary_statistics,
)

PER_SLICE = (*(f"slice_{ratio}" for ratio in RATIOS), "s_measure", "e_measure")


@dataclass(frozen=True, kw_only=True)
class LabelTotals:
    """Scores of one label over all cases.

    `per_volume` holds the statistics of each metric over the cases, `per_slice` its mean over the slices of
    all cases in which the ground truth holds the label. Lesion recall and `voxel_curve` pool all cases. A
    patient's probability is the highest of the patient's cases. Undefined scores are nan; `voxel_curve` is
    None without probabilities.
    """

    per_volume: dict[str, SummaryStatistics]
    per_slice: dict[str, float]
    slices: int
    lesions: int
    lesions_found: int
    lesion_recall: float
    false_positives_per_scan: float
    patient_auroc: float
    patient_average_precision: float
    voxel_curve: PrecisionRecall | None


def total(scores: Sequence[CaseScores], label: str) -> LabelTotals:
    """Return the totals of a label, for which every case must be scored."""

    def column(metric: str) -> list[float]:
        return metric_values(scores, label, metric)

    slices = column("slices")

    def over_slices(metric: str) -> float:
        # Each case has the mean over its own slices.
        sums = (mean * number for mean, number in zip(column(metric), slices, strict=True) if number)
        return sum(sums) / sum(slices) if any(slices) else math.nan

    lesions, detected = (int(sum(column(metric))) for metric in ("lesions", "lesions_found"))
    histograms = [case.histograms[label] for case in scores if label in case.histograms]
    auroc = average_precision = math.nan
    if len(histograms) == len(scores):
        auroc, average_precision = patient_ranking(*_by_patient(scores, label))
    return LabelTotals(
        per_volume={metric: summary_statistics(column(metric)) for metric in METRICS},
        per_slice={metric: over_slices(metric) for metric in PER_SLICE},
        slices=int(sum(slices)),
        lesions=lesions,
        lesions_found=detected,
        lesion_recall=detected / lesions if lesions else math.nan,
        false_positives_per_scan=sum(column("false_positives")) / len(scores),
        patient_auroc=auroc,
        patient_average_precision=average_precision,
        voxel_curve=precision_recall(reduce(add, histograms)) if histograms else None,
    )


def _by_patient(scores: Sequence[CaseScores], label: str) -> tuple[list[float], list[bool]]:
    """Return the highest probability of each patient's cases, and whether one of them holds the label."""
    highest: dict[str, float] = {}
    has_target: dict[str, bool] = {}
    for case in scores:
        patient, values = case.patient or case.case, case.labels[label]
        highest[patient] = float(np.fmax(highest.get(patient, math.nan), values.probability))
        has_target[patient] = has_target.get(patient, False) or values.slices > 0
    return list(highest.values()), list(has_target.values())

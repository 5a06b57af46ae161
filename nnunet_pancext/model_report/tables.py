"""The tables of the page about a trained model."""

import math
from collections.abc import Mapping
from typing import Any

from nnunet_pancext.evaluation.folder import Evaluation
from nnunet_pancext.evaluation.scores import METRICS, SummaryStatistics, unmeasured
from nnunet_pancext.evaluation.totals import total
from nnunet_pancext.evaluation.totals_table import INFINITE_NOTE, headlines, lesion_rows, patient_rows
from nnunet_pancext.pages.numbers import UNDEFINED, score_text, volume_text
from nnunet_pancext.pages.page import Cell

SUMMARY = (
    "dice", "iou", "precision", "recall", "specificity", "accuracy", "f1", "nsd_1mm", "nsd_2mm", "hd95_mm",
    "assd_mm", "volume_ml", "truth_volume_ml", "volume_error_ml",
)  # fmt: skip
CASE_COLUMNS = (
    "dice", "precision", "recall", "nsd_2mm", "hd95_mm", "truth_volume_ml", "volume_error_ml",
    "lesions", "lesions_found", "false_positives",
)  # fmt: skip
COUNTS = ("lesions", "lesions_found", "false_positives")


def score_tables(evaluation: Evaluation, fold_of: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page tabulates: mean Dice, the summary of all metrics, and every case with its fold."""
    targets = evaluation.targets
    regions = {name: list(targets.regions[name]) for name in targets.declared}
    labels = {name: values if len(values) > 1 else values[0] for name, values in regions.items()}
    totals = [total(evaluation.scores, name) for name in targets.regions]
    infinite = any(label.per_volume[metric].infinite for label in totals for metric in SUMMARY)
    without = unmeasured(evaluation.scores)
    columns = [name for name in CASE_COLUMNS if name not in without]
    return {
        "headlines": headlines(evaluation.scores, labels),
        "regions": list(targets.regions),
        "summary": {
            **{
                METRICS[metric].title: [_mean_sd(metric, label.per_volume[metric]) for label in totals]
                for metric in SUMMARY
                if metric not in without
            },
            **{
                METRICS[metric].title: [score_text(label.per_slice[metric]) for label in totals]
                for metric in totals[0].per_slice
            },
            "slices with target": [str(label.slices) for label in totals],
            **lesion_rows(totals),
            **patient_rows(totals),
        },
        "summary_note": f"{INFINITE_NOTE}." if infinite else "",
        "case_headings": ["case", "fold", "label", *(METRICS[name].title for name in columns)],
        "case_rows": [
            [
                *(Cell(text=text) for text in (case.case, fold_of.get(case.case, ""), label)),
                *(
                    Cell(text=metric_text(name, getattr(scores, name)), value=getattr(scores, name))
                    for name in columns
                ),
            ]
            for case in evaluation.scores
            for label, scores in case.labels.items()
        ],
    }


def metric_text(name: str, value: float) -> str:
    """Format a value of a metric: counts whole, distances and volumes short, ratios with three decimals."""
    if math.isnan(value):
        return UNDEFINED
    if math.isinf(value):
        return "\N{INFINITY}"
    if name in COUNTS:
        return f"{value:.0f}"
    if name.endswith("_ml"):
        return ("\N{MINUS SIGN}" if value < 0 else "") + volume_text(abs(value))
    return f"{value:.1f}" if name in ("hd95_mm", "assd_mm") else score_text(value)


def _mean_sd(metric: str, spread: SummaryStatistics) -> str:
    text = metric_text(metric, spread.mean)
    if not math.isnan(spread.sd):
        text += f" ± {metric_text(metric, spread.sd)}"
    return text + (f" (+{spread.infinite})" if spread.infinite else "")

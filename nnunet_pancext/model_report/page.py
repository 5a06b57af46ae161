"""The page about one trained model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nnunet_pancext.evaluation.folder import Evaluation
from nnunet_pancext.evaluation.headlines import headlines
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.evaluation.summary_statistics import SummaryStatistics
from nnunet_pancext.evaluation.totals import total
from nnunet_pancext.evaluation.totals_table import INFINITE_NOTE, lesion_rows, patient_rows
from nnunet_pancext.pages.numbers import UNDEFINED, score_text, volume_text
from nnunet_pancext.pages.page import render_page
from nnunet_pancext.pages.pictures import CaseFigure, Chart
from nnunet_pancext.pages.tables import Cell

SUMMARY = (
    "dice", "iou", "precision", "recall", "specificity", "accuracy", "f1", "nsd_1mm", "nsd_2mm", "hd95_mm",
    "assd_mm", "volume_ml", "truth_volume_ml", "volume_error_ml",
)  # fmt: skip
CASE_COLUMNS = (
    "dice", "precision", "recall", "nsd_2mm", "hd95_mm", "truth_volume_ml", "volume_error_ml",
    "lesions", "lesions_found", "false_positives",
)  # fmt: skip
COUNTS = ("lesions", "lesions_found", "false_positives")


def model_page(
    evaluation: Evaluation,
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    fold_of: Mapping[str, str],
    gallery: Sequence[CaseFigure],
    distributions: Mapping[str, Chart],
    training: Mapping[str, Chart],
    precision_recall: Chart | None,
    maps: Sequence[CaseFigure],
    notes: Sequence[str],
    attention_hint: str = "",
) -> str:
    """Render the page: summary, distributions, figures, a table of all cases, curves and training.

    `fold_of` is the fold of each case. `attention_hint` replaces `maps` where there are none.
    """
    regions = {name: list(evaluation.targets.regions[name]) for name in evaluation.targets.declared}
    labels = {name: values if len(values) > 1 else values[0] for name, values in regions.items()}
    return render_page(
        "model_report/page.html",
        title=title,
        notes=notes,
        headlines=headlines(evaluation.scores, labels),
        regions=list(evaluation.targets.regions),
        distributions=distributions,
        gallery=gallery,
        case_headings=["case", "fold", "label", *(METRICS[name].title for name in CASE_COLUMNS)],
        case_rows=_cases(evaluation, fold_of),
        precision_recall={"Precision and recall of voxels": precision_recall} if precision_recall else {},
        maps=maps,
        attention_hint=attention_hint,
        training=training,
        facts=facts,
        **_summary(evaluation),
    )


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


def _summary(evaluation: Evaluation) -> dict[str, Any]:
    """Tabulate all metrics: one text for each label by title."""
    totals = [total(evaluation.scores, name) for name in evaluation.targets.regions]
    infinite = any(label.per_volume[metric].infinite for label in totals for metric in SUMMARY)
    rows = {
        METRICS[metric].title: [_mean_sd(metric, label.per_volume[metric]) for label in totals]
        for metric in SUMMARY
    }
    rows |= {
        METRICS[metric].title: [score_text(label.per_slice[metric]) for label in totals]
        for metric in totals[0].per_slice
    }
    rows["slices with target"] = [str(label.slices) for label in totals]
    return {
        "summary": rows | lesion_rows(totals) | patient_rows(totals),
        "summary_note": f"{INFINITE_NOTE}." if infinite else "",
    }


def _mean_sd(metric: str, spread: SummaryStatistics) -> str:
    text = metric_text(metric, spread.mean)
    if not math.isnan(spread.sd):
        text += f" ± {metric_text(metric, spread.sd)}"
    return text + (f" (+{spread.infinite})" if spread.infinite else "")


def _cases(evaluation: Evaluation, fold_of: Mapping[str, str]) -> list[list[Cell]]:
    rows = []
    for case in evaluation.scores:
        for label, scores in case.labels.items():
            values = {name: getattr(scores, name) for name in CASE_COLUMNS}
            names = [Cell(text=text) for text in (case.case, fold_of.get(case.case, ""), label)]
            rows.append(
                names + [Cell(text=metric_text(name, value), value=value) for name, value in values.items()]
            )
    return rows

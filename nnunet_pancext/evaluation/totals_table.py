"""An evaluation as tables of plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nnunet_pancext.evaluation.folder import Evaluation
from nnunet_pancext.evaluation.summary_statistics import SummaryStatistics
from nnunet_pancext.evaluation.totals import LabelTotals, total
from nnunet_pancext.pages.numbers import UNDEFINED, amount_decimals, score_text, volume_text
from nnunet_pancext.pages.text_table import text_table

RATIOS = (
    ("Dice", "dice"),
    ("IoU", "iou"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("NSD 1 mm", "nsd_1mm"),
    ("NSD 2 mm", "nsd_2mm"),
)
AMOUNTS = (
    ("HD95, mm", "hd95_mm"),
    ("ASSD, mm", "assd_mm"),
    ("true volume, mL", "truth_volume_ml"),
    ("volume error, mL", "volume_error_ml"),
)


INFINITE_NOTE = "(+n): n more cases, in which only one of prediction and ground truth has the label"


def format_totals(evaluation: Evaluation) -> str:
    """Return mean ± SD of the main metrics by label, then the scores per slice and per lesion."""
    names = list(evaluation.targets.regions)
    totals = [total(evaluation.scores, name) for name in names]
    volumes = [label.per_volume for label in totals]
    cases = len(evaluation.scores)
    per_volume = {title: [_ratio(label[metric]) for label in volumes] for title, metric in RATIOS}
    per_volume |= {title: [_amount(label[metric]) for label in volumes] for title, metric in AMOUNTS}
    per_slice = {
        "slices with target": [str(label.slices) for label in totals],
        "Dice per slice": [score_text(label.per_slice["slice_dice"]) for label in totals],
        "S-measure": [score_text(label.per_slice["s_measure"]) for label in totals],
        "E-measure": [score_text(label.per_slice["e_measure"]) for label in totals],
        **lesion_rows(totals),
        **patient_rows(totals),
    }
    tables = {
        f"per volume, {cases} {'case' if cases == 1 else 'cases'}": per_volume,
        "per slice and lesion": per_slice,
    }
    texts = [
        text_table([[heading, *names], *([title, *cells] for title, cells in rows.items())])
        for heading, rows in tables.items()
    ]
    notes = []
    if any(label[metric].infinite for label in volumes for _, metric in AMOUNTS):
        notes.append(INFINITE_NOTE)
    if any(math.isnan(label["dice"].mean) for label in volumes):
        notes.append(f"{UNDEFINED}: undefined in every case")
    return "\n".join(["\n\n".join(texts), *notes])


def lesion_rows(totals: Sequence[LabelTotals]) -> dict[str, list[str]]:
    """Return the detected lesions and false positives of each label, by title."""
    return {
        "lesions detected": [
            f"{label.lesions_found} of {label.lesions}" if label.lesions else UNDEFINED for label in totals
        ],
        "false positives per scan": [f"{label.false_positives_per_scan:.2f}" for label in totals],
    }


def patient_rows(totals: Sequence[LabelTotals]) -> dict[str, list[str]]:
    """Return what is scored from probabilities, by title; empty without any."""
    curves = [label.voxel_curve for label in totals]
    if all(curve is None for curve in curves):
        return {}
    return {
        "AP of voxels": [score_text(curve.average_precision if curve else math.nan) for curve in curves],
        "AUROC of patients": [score_text(label.patient_auroc) for label in totals],
        "AP of patients": [score_text(label.patient_average_precision) for label in totals],
    }


def _ratio(spread: SummaryStatistics) -> str:
    return score_text(spread.mean) + ("" if math.isnan(spread.sd) else f" ± {spread.sd:.3f}")


def _amount(spread: SummaryStatistics) -> str:
    if math.isnan(spread.mean):
        text = UNDEFINED
    else:
        sign = "-" if spread.mean < 0 else ""
        text = sign + volume_text(abs(spread.mean))
        decimals = amount_decimals(spread.mean)
        text += "" if math.isnan(spread.sd) else f" ± {spread.sd:.{decimals}f}"
    return text + (f" (+{spread.infinite})" if spread.infinite else "")

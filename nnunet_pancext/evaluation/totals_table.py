"""The result of an evaluation as tables of plain text."""

from __future__ import annotations

import math

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


def format_totals(evaluation: Evaluation) -> str:
    """Return mean ± SD of the main metrics by label, then the scores per slice and per lesion."""
    totals = {name: total(evaluation.scores, name) for name in evaluation.targets.regions}
    columns = [one.per_volume for one in totals.values()]
    cases = len(evaluation.scores)
    volume = [[f"per volume, {cases} {'case' if cases == 1 else 'cases'}", *totals]]
    volume += [[title, *(_ratio(one[metric]) for one in columns)] for title, metric in RATIOS]
    volume += [[title, *(_amount(one[metric]) for one in columns)] for title, metric in AMOUNTS]
    tables = [text_table(volume), text_table(_slices_and_lesions(totals))]
    notes = []
    if any(one[metric].infinite for one in columns for _, metric in AMOUNTS):
        notes.append("(+n): n cases more, where only one of prediction and truth holds the label")
    if any(math.isnan(one["dice"].mean) for one in columns):
        notes.append(f"{UNDEFINED}: undefined in every case")
    return "\n".join(["\n\n".join(tables), *notes])


def _slices_and_lesions(totals: dict[str, LabelTotals]) -> list[list[str]]:
    every = list(totals.values())
    rows = [
        ["per slice and lesion", *totals],
        ["slices with target", *(str(one.slices) for one in every)],
        ["Dice per slice", *(score_text(one.per_slice["slice_dice"]) for one in every)],
        ["S-measure", *(score_text(one.per_slice["s_measure"]) for one in every)],
        ["E-measure", *(score_text(one.per_slice["e_measure"]) for one in every)],
        ["lesions detected", *(found_text(one) for one in every)],
        ["false positives per scan", *(f"{one.false_positives_per_scan:.2f}" for one in every)],
    ]
    if any(one.voxel_curve is not None for one in every):
        curves = [one.voxel_curve for one in every]
        rows += [
            ["AP of voxels", *(score_text(one.average_precision if one else math.nan) for one in curves)],
            ["AUROC of patients", *(score_text(one.patient_auroc) for one in every)],
            ["AP of patients", *(score_text(one.patient_average_precision) for one in every)],
        ]
    return rows


def found_text(totals: LabelTotals) -> str:
    """Lesions found of those that there are; a dash where there are none."""
    if not totals.lesions:
        return UNDEFINED
    return f"{totals.lesions_found} of {totals.lesions}"


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

"""An evaluation as tables of plain text, and its first numbers on a page."""

import math
from collections.abc import Mapping, Sequence

from nnunet_pancext.evaluation.folder import Evaluation
from nnunet_pancext.evaluation.scores import (
    METRICS,
    CaseScores,
    SummaryStatistics,
    count_defined,
    mean_dice,
    unmeasured,
    unmeasured_note,
)
from nnunet_pancext.evaluation.targets import read_targets
from nnunet_pancext.evaluation.totals import LabelTotals, total
from nnunet_pancext.pages.numbers import UNDEFINED, amount_decimals, score_text
from nnunet_pancext.pages.text_table import text_table

RATIOS = ("dice", "iou", "precision", "recall", "nsd_1mm", "nsd_2mm")
AMOUNTS = ("hd95_mm", "assd_mm", "truth_volume_ml", "volume_error_ml")
SLICES = ("slice_dice", "s_measure", "e_measure")
INFINITE_NOTE = "(+n): n more cases, in which only one of prediction and ground truth has the label"


def format_totals(evaluation: Evaluation) -> str:
    """Return mean ± SD of the main metrics by label, then the scores per slice and per lesion."""
    names = list(evaluation.targets.regions)
    totals = [total(evaluation.scores, name) for name in names]
    volumes = [label.per_volume for label in totals]
    cases = len(evaluation.scores)
    tables = {
        f"per volume, {cases} {'case' if cases == 1 else 'cases'}": {
            METRICS[metric].title.replace(" at ", " "): [
                (_ratio if metric in RATIOS else _amount)(label[metric]) for label in volumes
            ]
            for metric in RATIOS + AMOUNTS
            if metric not in unmeasured(evaluation.scores)
        },
        "per slice and lesion": {
            "slices with target": [str(label.slices) for label in totals],
            **{
                METRICS[metric].title: [score_text(label.per_slice[metric]) for label in totals]
                for metric in SLICES
            },
            **lesion_rows(totals),
            **patient_rows(totals),
        },
    }
    texts = [
        text_table([[heading, *names], *([title, *cells] for title, cells in rows.items())])
        for heading, rows in tables.items()
    ]
    notes = [unmeasured_note(evaluation.scores)]
    if any(label[metric].infinite for label in volumes for metric in AMOUNTS):
        notes.append(INFINITE_NOTE)
    if any(math.isnan(label["dice"].mean) for label in volumes):
        notes.append(f"{UNDEFINED}: undefined in every case")
    return "\n".join(["\n\n".join(texts), *filter(None, notes)])


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
    decimals = amount_decimals(spread.mean)
    text = UNDEFINED if math.isnan(spread.mean) else f"{spread.mean:.{decimals}f}"
    text += "" if math.isnan(spread.sd) else f" ± {spread.sd:.{decimals}f}"
    return text + (f" (+{spread.infinite})" if spread.infinite else "")


def headlines(scores: Sequence[CaseScores], labels: Mapping[str, int | list[int]]) -> list[dict[str, str]]:
    """Return name, number and number of cases of each label's mean Dice, that of the foreground first."""
    items = []
    for name in read_targets(labels).regions if scores else ():
        defined = count_defined(scores, name)
        of_all = "" if defined == len(scores) else f" of {len(scores)}"
        items.append(
            {
                "name": f"Mean Dice, {name}",
                "number": score_text(mean_dice(scores, name)),
                "detail": f"over {defined} case{'' if defined == 1 else 's'}{of_all}",
            }
        )
    return items


def case_caption(case: CaseScores, labels: Mapping[str, int | list[int]]) -> str:
    """Return the Dice of each label of a case in one line."""
    return ", ".join(f"{name} {score_text(case.labels[name].dice)}" for name in read_targets(labels).regions)

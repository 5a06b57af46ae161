"""`summary.json`: nnU-Net's summary of an evaluation, and our totals beside it."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nnunet_pancext.evaluation.folder import Evaluation
from nnunet_pancext.evaluation.overlap import Overlap
from nnunet_pancext.evaluation.scores import mean
from nnunet_pancext.evaluation.totals import LabelTotals, total
from nnunet_pancext.io.csv_table import write_csv
from nnunet_pancext.io.files import write_json
from nnunet_pancext.version import __version__


def write_summary(evaluation: Evaluation, path: Path) -> None:
    """Write a JSON file that nnU-Net's own commands can read, atomically.

    `metric_per_case`, `mean` and `foreground_mean` have nnU-Net's keys: labels by value, regions as '(1, 2)'.
    `pancext` holds our totals by label name. As in nnU-Net's file, undefined numbers are NaN.
    """
    targets, scores = evaluation.targets, evaluation.scores
    cases = [
        {
            "metrics": {
                key: _nnunet_metrics(case.overlaps[name]) for name, key in targets.nnunet_keys.items()
            },
            "prediction_file": str(case.prediction_file),
            "reference_file": str(case.truth_file),
        }
        for case in scores
    ]
    metrics: list[Any] = [case["metrics"] for case in cases]
    means = {
        key: {metric: mean(case[key][metric] for case in metrics) for metric in columns}
        for key, columns in metrics[0].items()
    }
    foreground = {
        metric: sum(values[metric] for values in means.values()) / len(means)
        for metric in next(iter(means.values()))
    }
    totals = {
        "version": __version__,
        "cases": len(scores),
        "labels": {name: _totals(total(scores, name)) for name in targets.regions},
        "not_scored": evaluation.failures,
    }
    summary = {"foreground_mean": foreground, "mean": means, "metric_per_case": cases, "pancext": totals}
    write_json(path, summary)


def write_curves(evaluation: Evaluation, path: Path) -> None:
    """Write the precision-recall curve of each label's voxels as CSV, atomically."""
    header = ("label", "threshold", "precision", "recall")
    rows = (
        dict(zip(header, (name, *values), strict=True))
        for name in evaluation.targets.regions
        if (curve := total(evaluation.scores, name).voxel_curve)
        for values in zip(curve.threshold, curve.precision, curve.recall, strict=True)
    )
    write_csv(path, header, rows)


def _nnunet_metrics(overlap: Overlap) -> dict[str, float]:
    return {
        "Dice": overlap.dice,
        "FN": overlap.fn,
        "FP": overlap.fp,
        "IoU": overlap.iou,
        "TN": overlap.tn,
        "TP": overlap.tp,
        "n_pred": overlap.tp + overlap.fp,
        "n_ref": overlap.tp + overlap.fn,
    }


def _totals(totals: LabelTotals) -> dict[str, Any]:
    curve = totals.voxel_curve
    return {
        "per_volume": {metric: asdict(statistics) for metric, statistics in totals.per_volume.items()},
        "per_slice": {"slices": totals.slices, **totals.per_slice},
        "lesions": {
            "lesions": totals.lesions,
            "recall": totals.lesion_recall,
            "false_positives_per_scan": totals.false_positives_per_scan,
        },
        "patients": {"auroc": totals.patient_auroc, "average_precision": totals.patient_average_precision},
        "voxels": {"average_precision": math.nan if curve is None else curve.average_precision},
    }

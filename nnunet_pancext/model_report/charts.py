"""The charts of a model's scores."""

from __future__ import annotations

from nnunet_pancext.evaluation.folder import Evaluation
from nnunet_pancext.evaluation.probabilities import PrecisionRecall
from nnunet_pancext.evaluation.scores import METRICS, metric_values
from nnunet_pancext.evaluation.totals import total
from nnunet_pancext.figures.charts import strip_chart
from nnunet_pancext.pages.pictures import Chart

DISTRIBUTIONS = ("dice", "nsd_2mm", "hd95_mm", "volume_error_ml")


def distribution_charts(evaluation: Evaluation) -> dict[str, Chart]:
    """Return a chart of each metric over the cases, a row per label, by title."""
    charts = {}
    for name in DISTRIBUTIONS:
        metric = METRICS[name]
        groups = {
            label: metric_values(evaluation.scores, label, name) for label in evaluation.targets.regions
        }
        charts[metric.title] = strip_chart(groups, x_label="", in_unit=name in ("dice", "nsd_2mm"))
    return charts


def voxel_curves(evaluation: Evaluation) -> dict[str, PrecisionRecall]:
    """Return the precision-recall curve of all voxels by label; none where no probabilities were scored."""
    curves = {label: total(evaluation.scores, label).voxel_curve for label in evaluation.targets.regions}
    return {label: curve for label, curve in curves.items() if curve is not None}

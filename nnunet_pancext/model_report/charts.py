"""Which charts show a model's training and its scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nnunet_pancext.evaluation.folder import Evaluation
from nnunet_pancext.evaluation.probabilities import PrecisionRecall
from nnunet_pancext.evaluation.scores import METRICS, metric_values
from nnunet_pancext.evaluation.totals import total
from nnunet_pancext.reports.charts import Chart, Curve, line_chart, strip_chart
from nnunet_pancext.training_record import TrainingRecord

DISTRIBUTIONS = ("dice", "nsd_2mm", "hd95_mm", "volume_error_ml")
LOSS_WEIGHTS = {"loss_weight_dice": "Dice", "loss_weight_ce": "cross-entropy"}
CASCADE = "cascade "  # how the cascade's columns begin


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


def training_charts(records: Sequence[TrainingRecord]) -> dict[str, Chart]:
    """Return the charts of the training by title; those without a logged value are left out."""
    charts: dict[str, Chart] = {}

    def add(title: str, y_label: str, curves: dict[str, Curve]) -> None:
        shown = {name: curve for name, curve in curves.items() if len(curve[1])}
        if shown:
            charts[title] = line_chart(shown, x_label="epoch", y_label=y_label, bands=records[0].phase_spans)

    add(
        "Loss",
        "loss",
        {
            **_by_fold(records, "training", lambda record: record.columns.get("train_losses", [])),
            **_by_fold(records, "validation", lambda record: record.columns.get("val_losses", [])),
        },
    )
    add(
        "Pseudo Dice of validation patches",
        "Dice",
        {
            **_by_fold(records, "each epoch", lambda record: record.columns.get("mean_fg_dice", [])),
            **_by_fold(records, "moving average", lambda record: record.columns.get("ema_fg_dice", [])),
        },
    )
    add("Learning rate", "learning rate", _by_fold(records, "", lambda record: record.columns.get("lrs", [])))
    add("Time", "seconds per epoch", _by_fold(records, "", lambda record: record.columns.get("seconds", [])))
    # A pure function of the epoch, hence the same in every fold.
    add("Loss weights", "weight", _first(records, LOSS_WEIGHTS))
    cascade = sorted({name for record in records for name in record.columns if name.startswith(CASCADE)})
    for name in cascade:
        title = name.removeprefix(CASCADE)
        add(
            f"Cascade: {title}",
            title,
            _by_fold(records, "", lambda record, name=name: record.columns.get(name, [])),  # type: ignore[misc]
        )
    return charts


def voxel_curves(evaluation: Evaluation) -> dict[str, PrecisionRecall]:
    """Return the precision-recall curve of all voxels by label; none where no probabilities were scored."""
    curves = {label: total(evaluation.scores, label).voxel_curve for label in evaluation.targets.regions}
    return {label: curve for label, curve in curves.items() if curve is not None}


def _by_fold(
    records: Sequence[TrainingRecord], what: str, column: Callable[[TrainingRecord], list[float]]
) -> dict[str, Curve]:
    curves: dict[str, Curve] = {}
    for record in records:
        values = column(record)
        name = " ".join(filter(None, (what, f"fold {record.fold}" if len(records) > 1 or not what else "")))
        curves[name] = (range(len(values)), values)
    return curves


def _first(records: Sequence[TrainingRecord], names: dict[str, str]) -> dict[str, Curve]:
    for record in records:
        if all(name in record.columns for name in names):
            return {
                title: (range(len(record.columns[name])), record.columns[name])
                for name, title in names.items()
            }
    return {}

"""The charts of a training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nnunet_pancext.figures.charts import Curve, line_chart
from nnunet_pancext.nnunet_files.training_log import TrainingRecord
from nnunet_pancext.pages.pictures import Chart

LOSS_WEIGHTS = {"loss_weight_dice": "Dice", "loss_weight_ce": "cross-entropy"}
CASCADE = "cascade "  # how the cascade's columns begin


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

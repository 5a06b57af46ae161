"""The charts of a training."""

from collections.abc import Mapping, Sequence

from nnunet_pancext.figures.charts import Curve, line_chart
from nnunet_pancext.nnunet_files.training_log import TrainingRecord
from nnunet_pancext.pages.pictures import Chart

# Columns of the log by chart and curve.
CHARTS = {
    ("Loss", "loss"): {"training": "train_losses", "validation": "val_losses"},
    ("Pseudo Dice of validation patches", "Dice"): {
        "each epoch": "mean_fg_dice",
        "moving average": "ema_fg_dice",
    },
    ("Learning rate", "learning rate"): {"": "lrs"},
    ("Time", "seconds per epoch"): {"": "seconds"},
}
LOSS_WEIGHTS = {"Dice": "loss_weight_dice", "cross-entropy": "loss_weight_ce"}
CASCADE = "cascade "  # prefix of the columns of the two-stage network


def training_charts(records: Sequence[TrainingRecord]) -> dict[str, Chart]:
    """Draw the charts of a training by title; those without a logged value are omitted."""
    # The weights are a function of the epoch, hence the same in every fold.
    weighted = [record for record in records if record.columns.keys() >= set(LOSS_WEIGHTS.values())][:1]
    cascade = sorted({name for record in records for name in record.columns if name.startswith(CASCADE)})
    curves = {
        **{chart: _by_fold(records, columns) for chart, columns in CHARTS.items()},
        ("Loss weights", "weight"): {
            name: _curve(record, column) for record in weighted for name, column in LOSS_WEIGHTS.items()
        },
        **{
            (f"Cascade: {title}", title): _by_fold(records, {"": CASCADE + title})
            for title in (name.removeprefix(CASCADE) for name in cascade)
        },
    }
    return epoch_charts(curves, records[0].phase_spans if records else ())


def epoch_charts(
    curves: Mapping[tuple[str, str], Mapping[str, Curve]], bands: Sequence[tuple[float, float, str]]
) -> dict[str, Chart]:
    """Draw curves by title and y label, and by name, over the epochs; those without a value are omitted."""
    charts = {}
    for (title, y_label), by_name in curves.items():
        logged = {name: curve for name, curve in by_name.items() if len(curve[1])}
        if logged:
            charts[title] = line_chart(logged, x_label="epoch", y_label=y_label, bands=bands)
    return charts


def _by_fold(records: Sequence[TrainingRecord], columns: Mapping[str, str]) -> dict[str, Curve]:
    """Return a curve for each column and fold; a single fold is named only where nothing else is."""
    curves = {}
    for name, column in columns.items():
        for record in records:
            fold = f"fold {record.fold}" if len(records) > 1 or not name else ""
            curves[f"{name} {fold}".strip()] = _curve(record, column)
    return curves


def _curve(record: TrainingRecord, column: str) -> Curve:
    values = record.columns.get(column, [])
    return range(len(values)), values

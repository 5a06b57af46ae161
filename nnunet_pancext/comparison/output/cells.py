"""The cells of a comparison's tables, as text, page and LaTeX share them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.cost import Cost
from nnunet_pancext.comparison.paired import Difference, Row
from nnunet_pancext.comparison.statistics import Interval
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.evaluation.summary_statistics import SummaryStatistics
from nnunet_pancext.pages.numbers import UNDEFINED

INFINITE = "\N{INFINITY}"
MINUS = "-"


def value_text(value: float, metric: str, *, signed: bool = False) -> str:
    """A value with three decimals, one with a unit with two; a dash where it is nan."""
    if math.isnan(value):
        return UNDEFINED
    if math.isinf(value):
        return INFINITE if value > 0 else f"{MINUS}{INFINITE}"
    decimals = 2 if metric.endswith(("_mm", "_ml")) else 3
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return text.lstrip("-+") if float(text) == 0 else text


def interval_text(interval: Interval, metric: str, *, signed: bool = False) -> str:
    """Both ends of an interval; a dash where there is none."""
    if math.isnan(interval[0]):
        return UNDEFINED
    low, high = (value_text(end, metric, signed=signed) for end in interval)
    return f"{low} to {high}"


def infinite_text(number: int) -> str:
    """How many infinite values a mean leaves out, to stand behind it; nothing where there is none."""
    return f" (+{number} {INFINITE})" if number else ""


def mean_text(spread: SummaryStatistics, metric: str) -> str:
    """Mean, standard deviation and the number of infinite values; the mean alone of a single case."""
    text = value_text(spread.mean, metric)
    if not math.isnan(spread.sd):
        text += f" ± {value_text(spread.sd, metric)}"
    return text + infinite_text(spread.infinite)


def n_text(row: Row) -> str:
    """How many cases have a value, and how many of them the difference is of where that is not the same."""
    one = row.difference
    alike = one is None or not (one.only_model or one.only_reference)
    return f"{row.spread.n}" if one is None or alike else f"{row.spread.n} ({one.pairs} paired)"


def numbers_text(numbers: Sequence[int]) -> str:
    """A number of cases that is the same everywhere once, others in turn."""
    texts = list(map(str, numbers))
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)


def change_text(difference: Difference, metric: str) -> str:
    """The mean difference with its sign, and the number of pairs that are left out as infinite."""
    return value_text(difference.mean, metric, signed=True) + infinite_text(difference.infinite)


def best_models(comparison: Comparison, label: str, metric: str) -> list[str]:
    """The models of the best mean; none where all are alike, of different cases, or leave infinite ones out.

    A model that misses lesions may have the smallest mean distance, of those that it found.
    """
    direction = METRICS[metric].higher_is_better
    spreads = {model: comparison.row(model, label, metric).spread for model in comparison.scored.models}
    differ = any(
        row.difference is not None and (row.difference.only_model or row.difference.only_reference)
        for row in (comparison.row(model, label, metric) for model in spreads)
    )
    if direction is None or differ or any(one.infinite or not one.n for one in spreads.values()):
        return []
    best = (max if direction else min)(one.mean for one in spreads.values())
    models = [model for model, one in spreads.items() if one.mean == best]
    return models if len(models) < len(spreads) else []


def p_text(p: float) -> str:
    """A p with three decimals, <0.001 below; a dash where nothing was tested."""
    if math.isnan(p):
        return UNDEFINED
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def effect_text(difference: Difference) -> str:
    """The rank-biserial correlation with its sign."""
    r = difference.rank_biserial
    return UNDEFINED if math.isnan(r) else "0.00" if r == 0 else f"{r:+.2f}"


@dataclass(frozen=True, kw_only=True)
class Group:
    """One metric of one label in a part of the cases, by model."""

    label: str
    metric: str
    title: str
    spreads: dict[str, SummaryStatistics]

    @property
    def n_text(self) -> str:
        """The number of cases, of each model where it is not the same."""
        return numbers_text([one.n for one in self.spreads.values()])


def fold_groups(comparison: Comparison) -> list[Group]:
    """The metrics of the tables in each fold."""
    rows = [row for row in comparison.by_fold if row.metric in comparison.metrics]
    return _grouped(
        comparison, [(row.label, row.metric, f"fold {row.fold}", row.model, row.spread) for row in rows]
    )


def size_groups(comparison: Comparison) -> list[Group]:
    """The metrics of the tables by true size."""
    return _grouped(
        comparison,
        [(row.label, row.metric, row.stratum, row.model, row.spread) for row in comparison.strata],
    )


def _grouped(
    comparison: Comparison, rows: Sequence[tuple[str, str, str, str, SummaryStatistics]]
) -> list[Group]:
    """Groups in the order label, metric, and then as they come."""
    found: dict[tuple[str, str, str], dict[str, SummaryStatistics]] = {}
    for label, metric, title, model, spread in rows:
        found.setdefault((label, metric, title), {})[model] = spread
    labels, metrics = comparison.scored.labels, comparison.metrics
    ordered = sorted(found.items(), key=lambda item: (labels.index(item[0][0]), metrics.index(item[0][1])))
    return [
        Group(label=label, metric=metric, title=title, spreads=spreads)
        for (label, metric, title), spreads in ordered
    ]


def cost_cells(cost: Cost) -> list[str]:
    """The cells of the columns `COST_HEADINGS`."""

    def cell(value: float | str, factor: float, decimals: int) -> str:
        return UNDEFINED if isinstance(value, str) else f"{value / factor:.{decimals}f}"

    return [
        cell(cost.parameters, 1e6, 2),
        cell(cost.multiply_adds, 1e9, 1),
        cell(cost.epochs, 1, 0),
        cell(cost.seconds_per_epoch, 1, 1),
        cell(cost.hours, 1, 2),
        cell(cost.peak_gb, 1, 2),
        cost.device or UNDEFINED,
    ]


COST_HEADINGS = ["parameters, M", "GMAC", "epochs", "s/epoch", "h/fold", "peak GB", "device"]
COST_MEANING = (
    "Parameters without the heads of deep supervision. GMAC: 10^9 multiply-adds of convolutions and matrix "
    "products for one patch forward. s/epoch: median over all epochs; h/fold: mean over the folds."
)


def cost_reasons(costs: Sequence[Cost]) -> list[str]:
    """Why a cell of the costs is a dash, each reason once with the models that it is of."""
    titles = {"parameters": "parameters", "multiply_adds": "GMAC", "epochs": "time", "peak_gb": "peak"}
    found: dict[tuple[str, ...], dict[str, list[str]]] = {}  # models by reason and by what it is of
    for cost in costs:
        values = {title: getattr(cost, name) for name, title in titles.items()}
        for reason in dict.fromkeys(value for value in values.values() if isinstance(value, str)):
            dashes = tuple(title for title, value in values.items() if value == reason)
            found.setdefault(dashes, {}).setdefault(reason, []).append(cost.model)
    return [
        f"{UNDEFINED} in {', '.join(dashes)}: {reason} ({', '.join(models)})"
        for dashes, reasons in found.items()
        for reason, models in reasons.items()
    ]

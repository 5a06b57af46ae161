"""A comparison in words and numbers for people: the cells of its tables, and the tables of plain text."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.cost import Cost
from nnunet_pancext.comparison.paired import Difference, Row
from nnunet_pancext.comparison.statistics import Interval
from nnunet_pancext.comparison.worst import worst_cases
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.reports.numbers import UNDEFINED
from nnunet_pancext.reports.text_table import text_table

INFINITE = "\N{INFINITY}"
MINUS = "-"
SIGNIFICANT = "*"
WORST_SHOWN = 3
LINE = 110


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


def mean_text(row: Row) -> str:
    """Mean and standard deviation; the mean alone of a single case."""
    spread = row.spread
    if math.isnan(spread.mean):
        return UNDEFINED
    mean = value_text(spread.mean, row.metric)
    return mean if math.isnan(spread.sd) else f"{mean} ± {value_text(spread.sd, row.metric)}"


def p_text(p: float) -> str:
    """A p with three decimals, <0.001 below; a dash where nothing was tested."""
    if math.isnan(p):
        return UNDEFINED
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def effect_text(difference: Difference) -> str:
    """The rank-biserial correlation with its sign."""
    r = difference.rank_biserial
    return UNDEFINED if math.isnan(r) else "0.00" if r == 0 else f"{r:+.2f}"


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


def format_comparison(comparison: Comparison) -> str:
    """All of it as aligned tables: one for each label and metric, worst cases, costs, and what to know."""
    scored = comparison.scored
    folds = ", ".join(map(str, comparison.folds))
    parts = [
        f"{comparison.dataset}, {comparison.setting}, {len(scored.cases)} cases, folds {folds}\n"
        f"reference {comparison.reference}"
    ]
    for label in scored.labels:
        for metric in comparison.metrics:
            parts.append(f"{label}: {METRICS[metric].title}\n{_metric_table(comparison, label, metric)}")
    parts.append(
        _wrapped(
            f"difference: to the reference, with its 95 % interval. {SIGNIFICANT}: p < 0.05 after Holm's "
            "correction over all tests of these tables. r: rank-biserial, positive is better."
        )
    )
    parts += [_worst_text(comparison), _cost_text(comparison)]
    if comparison.remarks:
        parts.append("\n".join(_wrapped(f"note: {remark}") for remark in comparison.remarks))
    return "\n\n".join(part for part in parts if part)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, LINE, subsequent_indent="  ", break_long_words=False)


def _metric_table(comparison: Comparison, label: str, metric: str) -> str:
    headings = ["", "n", "mean ± SD", "95 % CI", "median", "difference", "p Holm", "r", "win/tie/loss"]
    rows = [headings]
    for model in comparison.scored.models:
        row = comparison.row(model, label, metric)
        cells = [model, str(row.spread.n), mean_text(row), interval_text(row.interval, metric)]
        cells.append(value_text(row.spread.median, metric))
        one = row.difference
        if one is None:
            cells += ["reference" if model == comparison.reference else "", "", "", ""]
        else:
            change = value_text(one.mean, metric, signed=True)
            mark = SIGNIFICANT if one.is_significant else ""
            cells += [
                f"{change} ({interval_text(one.interval, metric, signed=True)})",
                p_text(one.p_holm) + mark,
                effect_text(one),
                f"{one.wins}/{one.ties}/{one.losses}",
            ]
        rows.append(cells)
    return text_table(rows)


def _worst_text(comparison: Comparison) -> str:
    lines = []
    for label in comparison.scored.labels:
        for model in comparison.scored.models:
            worst = worst_cases(comparison.scored, model=model, label=label, metric=comparison.metrics[0])
            shown = ", ".join(
                f"{one.case} {value_text(one.value, comparison.metrics[0])}" for one in worst[:WORST_SHOWN]
            )
            lines.append([model, label, shown or UNDEFINED])
    width, label_width = (max(len(line[column]) for line in lines) for column in (0, 1))
    title = f"worst cases by {METRICS[comparison.metrics[0]].title}"
    return "\n".join(
        [title, *(f"{model:<{width}}  {label:<{label_width}}  {shown}" for model, label, shown in lines)]
    )


def _cost_text(comparison: Comparison) -> str:
    rows = [["", *COST_HEADINGS], *([cost.model, *cost_cells(cost)] for cost in comparison.costs)]
    return "\n".join(["cost", text_table(rows), *map(_wrapped, cost_reasons(comparison.costs))])

"""A comparison as tables of plain text."""

from __future__ import annotations

import textwrap

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.output.cells import (
    COST_HEADINGS,
    INFINITE,
    change_text,
    cost_cells,
    cost_reasons,
    effect_text,
    interval_text,
    mean_text,
    n_text,
    p_text,
    value_text,
)
from nnunet_pancext.comparison.worst import worst_cases
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.pages.numbers import UNDEFINED
from nnunet_pancext.pages.text_table import text_table

SIGNIFICANT = "*"
WORST_SHOWN = 3
LINE = 110


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
            "correction over all tests of these tables. r: rank-biserial, positive is better. "
            f"(+k {INFINITE}): k infinite distances are not in the mean before it."
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
        cells = [model, n_text(row), mean_text(row.spread, metric), interval_text(row.interval, metric)]
        cells.append(value_text(row.spread.median, metric))
        one = row.difference
        if one is None:
            cells += ["reference" if model == comparison.reference else "", "", "", ""]
        else:
            change = change_text(one, metric)
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

"""A comparison as tables of plain text."""

import textwrap

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.output.cells import (
    COST_HEADINGS,
    DESCRIPTION_HEADINGS,
    INFINITE,
    cost_cells,
    cost_reasons,
    description_cells,
    difference_cells,
    worst_text,
)
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.pages.text_table import text_table

SIGNIFICANT = "*"
WORST_LISTED = 3
LINE = 110
MEANING = (
    f"difference: to the reference, with its 95 % interval. {SIGNIFICANT}: p < 0.05 after Holm's "
    "correction over all tests of these tables. r: rank-biserial, positive is better. "
    f"(+k {INFINITE}): the mean before it excludes k infinite distances."
)


def format_comparison(comparison: Comparison) -> str:
    """Return aligned tables: one for each label and metric, worst cases, costs, and remarks."""
    scored = comparison.scored
    word = "fold" if len(comparison.folds) == 1 else "folds"
    folds = f"{word} {', '.join(map(str, comparison.folds))}"
    costs = [["", *COST_HEADINGS], *([cost.model, *cost_cells(cost)] for cost in comparison.costs)]
    parts = [
        f"{comparison.dataset}, {comparison.setting}, {len(scored.cases)} cases, {folds}\n"
        f"reference {comparison.reference}",
        *(
            f"{label}: {METRICS[metric].title}\n{_metric_table(comparison, label, metric)}"
            for label in scored.labels
            for metric in comparison.metrics
        ),
        _wrapped(MEANING),
        _worst_table(comparison),
        "\n".join(["cost", text_table(costs), *map(_wrapped, cost_reasons(comparison))]),
        "\n".join(_wrapped(f"note: {remark}") for remark in comparison.remarks),
    ]
    return "\n\n".join(filter(None, parts))


def _wrapped(text: str) -> str:
    return textwrap.fill(text, LINE, subsequent_indent="  ", break_long_words=False)


def _metric_table(comparison: Comparison, label: str, metric: str) -> str:
    rows = [["", *DESCRIPTION_HEADINGS, "difference", "p Holm", "r", "win/tie/loss"]]
    for model in comparison.scored.models:
        row = comparison.row(model, label, metric)
        cells = ["reference" if model == comparison.reference else "", "", "", ""]
        if row.difference is not None:
            change, interval, p, *rest = difference_cells(row)
            mark = SIGNIFICANT if row.difference.is_significant else ""
            cells = [f"{change} ({interval})", p + mark, *rest]
        rows.append([model, *description_cells(row), *cells])
    return text_table(rows)


def _worst_table(comparison: Comparison) -> str:
    lines = [
        (model, label, worst_text(comparison, model, label, number=WORST_LISTED, value="{}"))
        for label in comparison.scored.labels
        for model in comparison.scored.models
    ]
    width, label_width = (max(len(line[column]) for line in lines) for column in (0, 1))
    title = f"worst cases by {METRICS[comparison.metrics[0]].title}"
    return "\n".join(
        [title, *(f"{model:<{width}}  {label:<{label_width}}  {worst}" for model, label, worst in lines)]
    )

"""A comparison as LaTeX tables in the style of booktabs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.output.cells import (
    COST_HEADINGS,
    COST_MEANING,
    INFINITE,
    Group,
    best_models,
    cost_cells,
    cost_reasons,
    difference_cells,
    fold_groups,
    infinite_text,
    interval_text,
    mean_text,
    numbers_text,
    omitted_text,
    short_names,
    size_groups,
    value_text,
    worst_text,
)
from nnunet_pancext.comparison.output.latex_table import (
    DEFINE_OTHER_SIGN,
    OTHER_SIGN,
    PACKAGES,
    Latex,
    latex_table,
    latex_text,
)
from nnunet_pancext.comparison.paired import Row
from nnunet_pancext.comparison.statistics import ALPHA
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.io.files import write_text
from nnunet_pancext.pages.numbers import UNDEFINED

HEAD = f"% Needs \\usepackage{{{','.join(PACKAGES)}}}. Include it with \\input.\n"
WORST_LISTED = 5
MARK = r"\rlap{$^*$}"
CASES_COLUMN = r">{\raggedright\arraybackslash}p{0.6\linewidth}"
BOLD = (
    "Bold: the best mean, where all means are of the same cases and none excludes infinite distances. "
    f"(+k {INFINITE}): the mean before it excludes k infinite distances, of a label that only one of "
    "prediction and ground truth has."
)
DIFFERENCES = (
    "Difference: mean over the paired cases, trainer minus reference, with its 95 % bootstrap interval. "
    "p: Wilcoxon signed-rank test, Holm's correction over all tests of this comparison. "
    "r: rank-biserial correlation, positive where the trainer is better. Win/tie/loss: cases."
)


def write_comparison_latex(path: Path, comparison: Comparison) -> None:
    """Write each label's means, tests, folds, sizes and worst cases, then the costs, atomically."""
    tables = []
    for label in comparison.scored.labels:
        tables += [
            means_table(comparison, label),
            intervals_table(comparison, label),
            differences_table(comparison, label),
            groups_table(comparison, label, fold_groups(comparison), heading="fold"),
            groups_table(comparison, label, size_groups(comparison), heading="true size"),
            worst_table(comparison, label),
        ]
    tables.append(cost_table(comparison))
    content = "\n".join(filter(None, tables))
    head = HEAD + (DEFINE_OTHER_SIGN if OTHER_SIGN in content else "")
    write_text(path, f"{head}\n{content}")


def means_table(comparison: Comparison, label: str) -> str:
    """Tabulate mean ± SD of each metric; the best is bold, significant differences have a star."""

    def cell(model: str, metric: str) -> Latex:
        row = comparison.row(model, label, metric)
        mean = latex_text(mean_text(row.spread, metric))
        if model in best_models(comparison, label, metric):
            mean = f"\\textbf{{{mean}}}"
        return Latex(mean + MARK if row.difference and row.difference.is_significant else mean)

    word = "fold" if len(comparison.folds) == 1 else "folds"
    return _table(
        comparison,
        f"{comparison.dataset}, {comparison.setting}: {label}. Mean ± SD, cross-validation over "
        f"{len(comparison.scored.cases)} cases, {word} {', '.join(map(str, comparison.folds))}. "
        f"*: p < {ALPHA:g} against {comparison.reference}, Wilcoxon signed-rank test with Holm's correction.",
        headings=["trainer", *_titles(comparison)],
        rows=[
            [name, *(cell(model, metric) for metric in comparison.metrics)]
            for model, name in short_names(comparison).items()
        ],
        notes=[BOLD, *comparison.remarks],
    )


def intervals_table(comparison: Comparison, label: str) -> str:
    """Tabulate cases, mean with interval, and median, metric by metric."""

    def cells(row: Row) -> list[str]:
        mean = value_text(row.spread.mean, row.metric) + infinite_text(row.spread.infinite)
        median = value_text(row.spread.median, row.metric)
        return [str(row.spread.n), mean, interval_text(row.interval, row.metric), median]

    return _table(
        comparison,
        f"{comparison.dataset}: {label}. n: cases with a value. CI: bootstrap interval of the mean.",
        headings=["trainer", "n", "mean", "95 % CI", "median"],
        rows=_metric_rows(comparison, label, cells),
    )


def differences_table(comparison: Comparison, label: str) -> str:
    """Tabulate the differences to the reference and their tests, metric by metric; empty without any."""

    def cells(row: Row) -> list[str]:
        return [str(row.difference.pairs), *difference_cells(row)] if row.difference else []

    rows = _metric_rows(comparison, label, cells)
    if len(rows) == len(comparison.metrics):
        return ""
    return _table(
        comparison,
        f"{comparison.dataset}: {label}, against {comparison.reference}. {DIFFERENCES}",
        headings=["trainer", "pairs", "difference", "95 % CI", "p", "r", "win/tie/loss"],
        rows=rows,
    )


def groups_table(comparison: Comparison, label: str, groups: Sequence[Group], *, heading: str) -> str:
    """Tabulate mean, standard deviation and median of each trainer by group; empty without groups."""
    by_title: dict[str, dict[str, Group]] = {}  # by metric
    for group in groups:
        if group.label == label:
            by_title.setdefault(group.title, {})[group.metric] = group
    rows: list[str | list[str]] = []
    for title, by_metric in by_title.items():
        rows.append(title)
        for model, name in short_names(comparison).items():
            spreads = {metric: by_metric[metric].spreads[model] for metric in comparison.metrics}
            texts = [
                f"{mean_text(spread, metric)} [{value_text(spread.median, metric)}]"
                if spread.n
                else UNDEFINED
                for metric, spread in spreads.items()
            ]
            rows.append([name, numbers_text([spread.n for spread in spreads.values()]), *texts])
    if not rows:
        return ""
    return _table(
        comparison,
        f"{comparison.dataset}: {label} by {heading}. Mean ± SD [median]; "
        "n: cases with a value, of each metric where it differs.",
        headings=["trainer", "n", *_titles(comparison)],
        rows=rows,
    )


def worst_table(comparison: Comparison, label: str) -> str:
    """Tabulate the worst cases of each trainer by the first metric."""
    return _table(
        comparison,
        f"{comparison.dataset}: worst cases of {label} by {_titles(comparison)[0]}, worst first.",
        headings=["trainer", "cases"],
        rows=[
            [name, worst_text(comparison, model, label, number=WORST_LISTED)]
            for model, name in short_names(comparison).items()
        ],
        columns="l" + CASES_COLUMN,
    )


def cost_table(comparison: Comparison) -> str:
    """Tabulate the cost of each trainer."""
    names = short_names(comparison)
    return _table(
        comparison,
        f"{comparison.dataset}: cost. {COST_MEANING}",
        headings=["trainer", *COST_HEADINGS],
        rows=[[names[cost.model], *cost_cells(cost)] for cost in comparison.costs],
        columns="l" + "r" * (len(COST_HEADINGS) - 1) + "l",
        notes=cost_reasons(comparison),
    )


def _metric_rows(
    comparison: Comparison, label: str, cells: Callable[[Row], list[str]]
) -> list[str | list[str]]:
    """Return a row for each metric and model with cells, below the metric's title."""
    rows: list[str | list[str]] = []
    for metric, title in zip(comparison.metrics, _titles(comparison), strict=True):
        rows.append(title)
        for model, name in short_names(comparison).items():
            if texts := cells(comparison.row(model, label, metric)):
                rows.append([name, *texts])
    return rows


def _titles(comparison: Comparison) -> list[str]:
    return [METRICS[metric].title for metric in comparison.metrics]


def _table(comparison: Comparison, caption: str, **table: Any) -> str:
    return latex_table(caption=f"{caption} {omitted_text(comparison)}", **table)

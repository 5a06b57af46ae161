"""A comparison as LaTeX tables in the style of booktabs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

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
    size_groups,
    value_text,
    worst_text,
)
from nnunet_pancext.comparison.output.latex_table import PACKAGES, latex_row, latex_table, latex_text
from nnunet_pancext.comparison.output.names import omitted_text, short_names
from nnunet_pancext.comparison.statistics import ALPHA
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.io.files import atomic_path
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
    with atomic_path(path) as partial:
        partial.write_text("\n".join([HEAD, *filter(None, tables)]), encoding="utf-8")


def means_table(comparison: Comparison, label: str) -> str:
    """Tabulate mean ± SD of each metric; the best is bold, significant differences have a star."""
    rows = []
    for model, name in short_names(comparison).items():
        cells = [latex_text(name)]
        for metric in comparison.metrics:
            row = comparison.row(model, label, metric)
            mean = latex_text(mean_text(row.spread, metric))
            if model in best_models(comparison, label, metric):
                mean = f"\\textbf{{{mean}}}"
            significant = row.difference is not None and row.difference.is_significant
            cells.append(mean + MARK if significant else mean)
        rows.append(latex_row(cells))
    caption = (
        f"{comparison.dataset}, {comparison.setting}: {label}. Mean ± SD, cross-validation over "
        f"{len(comparison.scored.cases)} cases, folds {', '.join(map(str, comparison.folds))}. "
        f"*: p < {ALPHA:g} against {comparison.reference}, Wilcoxon signed-rank test with Holm's correction."
    )
    return latex_table(
        caption=f"{caption} {omitted_text(comparison)}",
        columns="l" + "r" * len(comparison.metrics),
        head=[_text_row(["trainer", *(METRICS[metric].title for metric in comparison.metrics)])],
        rows=rows,
        notes=[BOLD, *comparison.remarks],
    )


def intervals_table(comparison: Comparison, label: str) -> str:
    """Tabulate cases, mean with interval, and median, metric by metric."""

    def cells(model: str, metric: str) -> list[str]:
        row = comparison.row(model, label, metric)
        mean = value_text(row.spread.mean, metric) + infinite_text(row.spread.infinite)
        median = value_text(row.spread.median, metric)
        return [str(row.spread.n), mean, interval_text(row.interval, metric), median]

    return _grouped_table(
        comparison,
        f"{comparison.dataset}: {label}. n: cases with a value. CI: bootstrap interval of the mean.",
        headings=["trainer", "n", "mean", "95 % CI", "median"],
        groups={
            METRICS[metric].title: {model: cells(model, metric) for model in comparison.scored.models}
            for metric in comparison.metrics
        },
    )


def differences_table(comparison: Comparison, label: str) -> str:
    """Tabulate the differences to the reference and their tests, metric by metric; empty without any."""
    groups: dict[str, dict[str, list[str]]] = {METRICS[metric].title: {} for metric in comparison.metrics}
    for metric in comparison.metrics:
        for model in comparison.scored.models:
            difference = comparison.row(model, label, metric).difference
            if difference is not None:
                cells = [str(difference.pairs), *difference_cells(difference, metric)]
                groups[METRICS[metric].title][model] = cells
    if not any(groups.values()):
        return ""
    return _grouped_table(
        comparison,
        f"{comparison.dataset}: {label}, against {comparison.reference}. {DIFFERENCES}",
        headings=["trainer", "pairs", "difference", "95 % CI", "p", "r", "win/tie/loss"],
        groups=groups,
    )


def groups_table(comparison: Comparison, label: str, groups: Sequence[Group], *, heading: str) -> str:
    """Tabulate mean, standard deviation and median of each trainer by group; empty without groups."""
    by_title: dict[str, dict[str, Group]] = {}  # by metric
    for group in groups:
        if group.label == label:
            by_title.setdefault(group.title, {})[group.metric] = group
    if not by_title:
        return ""

    def cells(model: str, by_metric: Mapping[str, Group]) -> list[str]:
        spreads = {metric: by_metric[metric].spreads[model] for metric in comparison.metrics}
        texts = [
            f"{mean_text(spread, metric)} [{value_text(spread.median, metric)}]" if spread.n else UNDEFINED
            for metric, spread in spreads.items()
        ]
        return [numbers_text([spread.n for spread in spreads.values()]), *texts]

    return _grouped_table(
        comparison,
        f"{comparison.dataset}: {label} by {heading}. Mean ± SD [median]; "
        "n: cases with a value, of each metric where it differs.",
        headings=["trainer", "n", *(METRICS[metric].title for metric in comparison.metrics)],
        groups={
            title: {model: cells(model, by_metric) for model in comparison.scored.models}
            for title, by_metric in by_title.items()
        },
    )


def worst_table(comparison: Comparison, label: str) -> str:
    """Tabulate the worst cases of each trainer by the first metric."""
    title = METRICS[comparison.metrics[0]].title
    caption = f"{comparison.dataset}: worst cases of {label} by {title}, worst first."
    return latex_table(
        caption=f"{caption} {omitted_text(comparison)}",
        columns="l" + CASES_COLUMN,
        head=[_text_row(["trainer", "cases"])],
        rows=[
            _text_row([name, worst_text(comparison, model, label, number=WORST_LISTED)])
            for model, name in short_names(comparison).items()
        ],
    )


def cost_table(comparison: Comparison) -> str:
    """Tabulate the cost of each trainer."""
    names = short_names(comparison)
    return latex_table(
        caption=f"{comparison.dataset}: cost. {COST_MEANING} {omitted_text(comparison)}",
        columns="l" + "r" * (len(COST_HEADINGS) - 1) + "l",
        head=[_text_row(["trainer", *COST_HEADINGS])],
        rows=[_text_row([names[cost.model], *cost_cells(cost)]) for cost in comparison.costs],
        notes=cost_reasons(comparison),
    )


def _grouped_table(
    comparison: Comparison,
    caption: str,
    *,
    headings: Sequence[str],
    groups: Mapping[str, Mapping[str, Iterable[str]]],
) -> str:
    """Return a table with a title above the rows of each group, which are cells by model."""
    names = short_names(comparison)
    rows = []
    for title, cells_by_model in groups.items():
        rows.append(f"\\multicolumn{{{len(headings)}}}{{l}}{{\\textit{{{latex_text(title)}}}}} \\\\")
        rows += [_text_row([names[model], *cells]) for model, cells in cells_by_model.items()]
    return latex_table(
        caption=f"{caption} {omitted_text(comparison)}",
        columns="l" + "r" * (len(headings) - 1),
        head=[_text_row(headings)],
        rows=rows,
    )


def _text_row(cells: Sequence[str]) -> str:
    return latex_row([latex_text(cell) for cell in cells])

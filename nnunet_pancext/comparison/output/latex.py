"""A comparison as LaTeX tables in the style of booktabs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.output.cells import (
    COST_HEADINGS,
    COST_MEANING,
    INFINITE,
    Group,
    best_models,
    change_text,
    cost_cells,
    cost_reasons,
    effect_text,
    fold_groups,
    infinite_text,
    interval_text,
    mean_text,
    numbers_text,
    p_text,
    size_groups,
    value_text,
)
from nnunet_pancext.comparison.output.latex_table import PACKAGES, latex_row, latex_table, latex_text
from nnunet_pancext.comparison.output.names import left_out_text, short_names
from nnunet_pancext.comparison.statistics import ALPHA
from nnunet_pancext.comparison.worst import worst_cases
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.io.files import atomic_path
from nnunet_pancext.pages.numbers import UNDEFINED

HEAD = f"% Needs \\usepackage{{{','.join(PACKAGES)}}}. Include it with \\input.\n"
WORST_SHOWN = 5
MARK = r"\rlap{$^*$}"
CASES_COLUMN = r">{\raggedright\arraybackslash}p{0.6\linewidth}"
BOLD = (
    "Bold: the best mean, where all means are of the same cases and none leaves infinite distances out. "
    f"(+k {INFINITE}): k infinite distances, of a label that only one of prediction and truth has, are not "
    "in the mean before it."
)
DIFFERENCES = (
    "Difference: mean over the paired cases, trainer minus reference, with its 95 % bootstrap interval. "
    "p: Wilcoxon signed-rank test, Holm's correction over all tests of this comparison. "
    "r: rank-biserial correlation, positive where the trainer is better. Win/tie/loss: cases."
)


def write_comparison_latex(path: Path, comparison: Comparison) -> None:
    """Write for each label its means, tests, folds, sizes and worst cases, then the costs, atomically."""
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
    """One label: mean ± SD of each metric; the best is bold, what differs significantly has a star."""
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
        caption=caption + _left_out(comparison),
        columns="l" + "r" * len(comparison.metrics),
        head=[_text_row(["trainer", *(METRICS[metric].title for metric in comparison.metrics)])],
        rows=rows,
        notes=[BOLD, *comparison.remarks],
    )


def intervals_table(comparison: Comparison, label: str) -> str:
    """One label, metric after metric: how many cases, the mean with its interval, and the median."""
    headings = ["trainer", "n", "mean", "95 % CI", "median"]
    rows = []
    for metric in comparison.metrics:
        rows.append(_group_row(METRICS[metric].title, len(headings)))
        for model, name in short_names(comparison).items():
            row = comparison.row(model, label, metric)
            mean = value_text(row.spread.mean, metric) + infinite_text(row.spread.infinite)
            median = value_text(row.spread.median, metric)
            rows.append(
                _text_row([name, str(row.spread.n), mean, interval_text(row.interval, metric), median])
            )
    return latex_table(
        caption=f"{comparison.dataset}: {label}. n: cases with a value. CI: bootstrap interval of the mean."
        + _left_out(comparison),
        columns="l" + "r" * (len(headings) - 1),
        head=[_text_row(headings)],
        rows=rows,
    )


def differences_table(comparison: Comparison, label: str) -> str:
    """One label, metric after metric: the differences to the reference and their tests; empty without any."""
    headings = ["trainer", "pairs", "difference", "95 % CI", "p", "r", "win/tie/loss"]
    rows = []
    for metric in comparison.metrics:
        rows.append(_group_row(METRICS[metric].title, len(headings)))
        for model, name in short_names(comparison).items():
            one = comparison.row(model, label, metric).difference
            if one is not None:
                cells = [
                    str(one.pairs),
                    change_text(one, metric),
                    interval_text(one.interval, metric, signed=True),
                    p_text(one.p_holm),
                    effect_text(one),
                    f"{one.wins}/{one.ties}/{one.losses}",
                ]
                rows.append(_text_row([name, *cells]))
    if len(rows) == len(comparison.metrics):
        return ""
    return latex_table(
        caption=f"{comparison.dataset}: {label}, against {comparison.reference}. {DIFFERENCES}"
        + _left_out(comparison),
        columns="l" + "r" * (len(headings) - 1),
        head=[_text_row(headings)],
        rows=rows,
    )


def groups_table(comparison: Comparison, label: str, groups: Sequence[Group], *, heading: str) -> str:
    """One label: mean, standard deviation and median of each trainer by group; empty without groups."""
    by_title: dict[str, dict[str, Group]] = {}  # by metric
    for group in groups:
        if group.label == label:
            by_title.setdefault(group.title, {})[group.metric] = group
    if not by_title:
        return ""
    metrics = comparison.metrics
    rows = []
    for title, by_metric in by_title.items():
        rows.append(_group_row(title, 2 + len(metrics)))
        for model, name in short_names(comparison).items():
            spreads = {metric: by_metric[metric].spreads[model] for metric in metrics}
            cells = [
                f"{mean_text(spread, metric)} [{value_text(spread.median, metric)}]"
                if spread.n
                else UNDEFINED
                for metric, spread in spreads.items()
            ]
            numbers = numbers_text([spread.n for spread in spreads.values()])
            rows.append(_text_row([name, numbers, *cells]))
    return latex_table(
        caption=f"{comparison.dataset}: {label} by {heading}. Mean ± SD [median]; "
        f"n: cases with a value, of each metric in turn where it differs.{_left_out(comparison)}",
        columns="l" + "r" * (1 + len(metrics)),
        head=[_text_row(["trainer", "n", *(METRICS[metric].title for metric in metrics)])],
        rows=rows,
    )


def worst_table(comparison: Comparison, label: str) -> str:
    """The worst cases of each trainer by the first metric."""
    metric = comparison.metrics[0]
    rows = []
    for model, name in short_names(comparison).items():
        worst = worst_cases(comparison.scored, model=model, label=label, metric=metric)[:WORST_SHOWN]
        said = ", ".join(f"{one.case} ({value_text(one.value, metric)})" for one in worst)
        rows.append(_text_row([name, said or UNDEFINED]))
    return latex_table(
        caption=f"{comparison.dataset}: worst cases of {label} by {METRICS[metric].title}, the worst first."
        + _left_out(comparison),
        columns="l" + CASES_COLUMN,
        head=[_text_row(["trainer", "cases"])],
        rows=rows,
    )


def cost_table(comparison: Comparison) -> str:
    """What each trainer costs."""
    names = short_names(comparison)
    return latex_table(
        caption=f"{comparison.dataset}: cost. {COST_MEANING}{_left_out(comparison)}",
        columns="l" + "r" * (len(COST_HEADINGS) - 1) + "l",
        head=[_text_row(["trainer", *COST_HEADINGS])],
        rows=[_text_row([names[cost.model], *cost_cells(cost)]) for cost in comparison.costs],
        notes=cost_reasons(comparison.costs),
    )


def _left_out(comparison: Comparison) -> str:
    said = left_out_text(comparison)
    return f" {said}" if said else ""


def _group_row(title: str, columns: int) -> str:
    return f"\\multicolumn{{{columns}}}{{l}}{{\\textit{{{latex_text(title)}}}}} \\\\"


def _text_row(cells: Sequence[str]) -> str:
    return latex_row([latex_text(cell) for cell in cells])

"""A comparison as LaTeX tables in the style of booktabs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.comparison.paired import Row
from nnunet_pancext.comparison.worst import worst_cases
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.files import atomic_path
from nnunet_pancext.reports.comparison_cells import (
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
    interval_text,
    mean_text,
    n_text,
    p_text,
    size_groups,
    value_text,
)
from nnunet_pancext.reports.latex import latex_row, latex_table, latex_text
from nnunet_pancext.reports.numbers import UNDEFINED

HEAD = "% Needs \\usepackage{booktabs}. Include it with \\input.\n"
WORST_SHOWN = 5
BOLD = (
    "Bold: the best mean, where all means are of the same cases and none leaves infinite distances out. "
    f"(+k {INFINITE}): k infinite distances, of a label that only one of prediction and truth has, are not "
    "in the mean before it, but in median, p and r. r: rank-biserial correlation, positive where the trainer "
    "is better than the reference."
)
TESTS = (
    "CI: 95 % bootstrap interval, of the mean and of the mean difference. Difference: trainer minus "
    "reference, of the paired cases. r: rank-biserial correlation, positive where the trainer is better. "
    "Win/tie/loss: cases."
)


def write_comparison_latex(path: Path, comparison: Comparison) -> None:
    """Write for each label its means, tests, folds and sizes, then worst cases and costs, atomically."""
    tables = []
    for label in comparison.scored.labels:
        tables += [
            label_table(comparison, label),
            tests_table(comparison, label),
            groups_table(comparison, label, fold_groups(comparison), heading="fold"),
            groups_table(comparison, label, size_groups(comparison), heading="true size"),
        ]
    tables += [worst_table(comparison), cost_table(comparison)]
    with atomic_path(path) as partial:
        partial.write_text("\n".join([HEAD, *filter(None, tables)]), encoding="utf-8")


def label_table(comparison: Comparison, label: str) -> str:
    """One label: mean and standard deviation of each metric, Holm's p, and r; the best mean is bold."""
    metrics = comparison.metrics
    above, rules, below = [""], [], [""]
    for index, metric in enumerate(metrics):
        first = 2 + 3 * index
        above.append(f"\\multicolumn{{3}}{{c}}{{{latex_text(METRICS[metric].title)}}}")
        rules.append(f"\\cmidrule(lr){{{first}-{first + 2}}}")
        below += [r"mean $\pm$ SD", "$p$", "$r$"]
    rows = [
        latex_row(
            [
                latex_text(model),
                *(cell for metric in metrics for cell in _cells(comparison, model, label, metric)),
            ]
        )
        for model in comparison.scored.models
    ]
    caption = (
        f"{comparison.dataset}, {comparison.setting}: {label}. Cross-validation over "
        f"{len(comparison.scored.cases)} cases, folds {', '.join(map(str, comparison.folds))}. "
        "p: Wilcoxon signed-rank test against "
        f"{comparison.reference}, Holm's correction over all tests of this comparison."
    )
    return latex_table(
        caption=caption,
        columns="l" + "rrr" * len(metrics),
        head=[latex_row(above), " ".join(rules), latex_row(below)],
        rows=rows,
        notes=[BOLD, *comparison.remarks],
    )


def tests_table(comparison: Comparison, label: str) -> str:
    """One label: all that is said of a mean and its difference to the reference, metric after metric."""
    headings = ["", "$n$", "CI", "median", "difference", "CI", "$p$", "$r$", "win/tie/loss"]
    rows = []
    for metric in comparison.metrics:
        title = latex_text(METRICS[metric].title)
        rows.append(f"\\multicolumn{{{len(headings)}}}{{l}}{{\\textit{{{title}}}}} \\\\")
        for model in comparison.scored.models:
            rows.append(_text_row([model, *_tested(comparison.row(model, label, metric))]))
    return latex_table(
        caption=f"{comparison.dataset}: {label}, against {comparison.reference}. {TESTS}",
        columns="l" + "r" * (len(headings) - 1),
        head=[latex_row(headings)],
        rows=rows,
    )


def groups_table(comparison: Comparison, label: str, groups: Sequence[Group], *, heading: str) -> str:
    """One label: mean, standard deviation and median of each model by group; empty without groups."""
    rows = []
    for group in groups:
        if group.label == label:
            cells = [
                f"{mean_text(spread, group.metric)} [{value_text(spread.median, group.metric)}]"
                for spread in group.spreads.values()
            ]
            rows.append(_text_row([METRICS[group.metric].title, group.title, group.n_text, *cells]))
    if not rows:
        return ""
    models = comparison.scored.models
    return latex_table(
        caption=f"{comparison.dataset}: {label} by {heading}. Mean ± SD [median]; "
        "n: cases with a value, of each trainer in turn where it differs.",
        columns="ll" + "r" * (1 + len(models)),
        head=[_text_row(["", heading, "n", *models])],
        rows=rows,
    )


def worst_table(comparison: Comparison) -> str:
    """The worst cases of each label and model by the first metric."""
    metric = comparison.metrics[0]
    rows = []
    for label in comparison.scored.labels:
        for model in comparison.scored.models:
            worst = worst_cases(comparison.scored, model=model, label=label, metric=metric)[:WORST_SHOWN]
            said = ", ".join(f"{one.case} ({value_text(one.value, metric)})" for one in worst)
            rows.append(_text_row([label, model, said or UNDEFINED]))
    return latex_table(
        caption=f"{comparison.dataset}: worst cases by {METRICS[metric].title}, the worst first.",
        columns=r"llp{0.55\linewidth}",
        head=[_text_row(["label", "trainer", "cases"])],
        rows=rows,
    )


def cost_table(comparison: Comparison) -> str:
    """What each model costs."""
    return latex_table(
        caption=f"{comparison.dataset}: cost. {COST_MEANING}",
        columns="l" + "r" * (len(COST_HEADINGS) - 1) + "l",
        head=[_text_row(["", *COST_HEADINGS])],
        rows=[_text_row([cost.model, *cost_cells(cost)]) for cost in comparison.costs],
        notes=cost_reasons(comparison.costs),
    )


def _cells(comparison: Comparison, model: str, label: str, metric: str) -> list[str]:
    row = comparison.row(model, label, metric)
    mean = latex_text(mean_text(row.spread, metric))
    if model in best_models(comparison, label, metric):
        mean = f"\\textbf{{{mean}}}"
    one = row.difference
    return (
        [mean, "", ""]
        if one is None
        else [mean, latex_text(p_text(one.p_holm)), latex_text(effect_text(one))]
    )


def _tested(row: Row) -> list[str]:
    one = row.difference
    said = [n_text(row), interval_text(row.interval, row.metric), value_text(row.spread.median, row.metric)]
    if one is None:
        return [*said, "", "", "", "", ""]
    return [
        *said,
        change_text(one, row.metric),
        interval_text(one.interval, row.metric, signed=True),
        p_text(one.p_holm),
        effect_text(one),
        f"{one.wins}/{one.ties}/{one.losses}",
    ]


def _text_row(cells: Sequence[str]) -> str:
    return latex_row([latex_text(cell) for cell in cells])

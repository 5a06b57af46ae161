"""A comparison as LaTeX tables in the style of booktabs."""

from __future__ import annotations

from pathlib import Path

from nnunet_pancext.comparison.compare import Comparison
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.files import atomic_path
from nnunet_pancext.reports.comparison_text import COST_HEADINGS, COST_MEANING, cost_cells, p_text, value_text

HEAD = "% Needs \\usepackage{booktabs}. Include it with \\input.\n"
SPECIAL = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    '"': "''",
    "±": r"$\pm$",
    "\N{INFINITY}": r"$\infty$",
    "\N{EN DASH}": "--",
}


def latex_text(text: str) -> str:
    """Text with every sign escaped that LaTeX would take for something else."""
    return "".join(SPECIAL.get(sign, sign) for sign in text)


def write_comparison_latex(path: Path, comparison: Comparison) -> None:
    """Write a table for each label and one of the costs, atomically."""
    tables = [label_table(comparison, label) for label in comparison.scored.labels]
    with atomic_path(path) as partial:
        partial.write_text("\n".join([HEAD, *tables, cost_table(comparison)]), encoding="utf-8")


def label_table(comparison: Comparison, label: str) -> str:
    """One label: mean and standard deviation of each metric, and Holm's p; the best mean is bold."""
    metrics = comparison.metrics
    above, rules, below = [""], [], [""]
    for index, metric in enumerate(metrics):
        first = 2 + 2 * index
        above.append(f"\\multicolumn{{2}}{{c}}{{{latex_text(METRICS[metric].title)}}}")
        rules.append(f"\\cmidrule(lr){{{first}-{first + 1}}}")
        below += [r"mean $\pm$ SD", "$p$"]
    rows = [
        " & ".join(
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
    return _table(
        caption=caption,
        columns="l" + "rr" * len(metrics),
        head=[" & ".join(above) + r" \\", " ".join(rules), " & ".join(below) + r" \\"],
        rows=rows,
    )


def cost_table(comparison: Comparison) -> str:
    """What each model costs."""
    rows = [" & ".join(map(latex_text, [cost.model, *cost_cells(cost)])) for cost in comparison.costs]
    return _table(
        caption=f"{comparison.dataset}: cost. {COST_MEANING}",
        columns="l" + "r" * (len(COST_HEADINGS) - 1) + "l",
        head=[" & ".join(["", *map(latex_text, COST_HEADINGS)]) + r" \\"],
        rows=rows,
    )


def _cells(comparison: Comparison, model: str, label: str, metric: str) -> list[str]:
    row = comparison.row(model, label, metric)
    mean = latex_text(value_text(row.spread.mean, metric))
    if _is_best(comparison, model, label, metric):
        mean = f"\\textbf{{{mean}}}"
    spread = latex_text(value_text(row.spread.sd, metric))
    p = "" if row.difference is None else latex_text(p_text(row.difference.p_holm))
    return [f"{mean} $\\pm$ {spread}", p]


def _is_best(comparison: Comparison, model: str, label: str, metric: str) -> bool:
    direction = METRICS[metric].higher_is_better
    if direction is None:
        return False
    means = {one: comparison.row(one, label, metric).spread.mean for one in comparison.scored.models}
    defined = [mean for mean in means.values() if mean == mean]
    return bool(defined) and means[model] == (max(defined) if direction else min(defined))


def _table(*, caption: str, columns: str, head: list[str], rows: list[str]) -> str:
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            f"\\caption{{{latex_text(caption)}}}",
            f"\\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            *head,
            r"\midrule",
            *(f"{row} \\\\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )

"""LaTeX: escaped text, and tables in the style of booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

SPECIAL = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    # At the start of a row these two would be read as arguments of the \\ before.
    **{sign: f"{{{sign}}}" for sign in "[*"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    '"': "''",
    "±": r"$\pm$",
    "\N{INFINITY}": r"$\infty$",
}


def latex_text(text: str) -> str:
    """Text with every sign escaped that LaTeX would take for something else."""
    escaped = re.sub("-(?=-)", "-{}", "".join(SPECIAL.get(sign, sign) for sign in text))
    return escaped.replace("\N{EN DASH}", "--")


def latex_row(cells: Sequence[str]) -> str:
    """A row of cells that are LaTeX already."""
    return " & ".join(cells) + r" \\"


def latex_table(
    *, caption: str, columns: str, head: Sequence[str], rows: Sequence[str], notes: Sequence[str] = ()
) -> str:
    """A floating table; `head` and `rows` are lines of LaTeX, caption and notes are plain text.

    The notes stand below the table, each a paragraph.
    """
    below = []
    if notes:
        below = [
            r"\par\medskip",
            r"\begin{minipage}{\linewidth}",
            r"\footnotesize",
            "\n\n".join(map(latex_text, notes)),
            r"\end{minipage}",
        ]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            r"\small",
            r"\setlength{\tabcolsep}{4pt}",
            f"\\caption{{{latex_text(caption)}}}",
            f"\\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            *head,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            *below,
            r"\end{table}",
            "",
        ]
    )

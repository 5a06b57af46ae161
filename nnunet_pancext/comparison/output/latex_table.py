"""LaTeX: escaped text, and tables in the style of booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

PACKAGES = ("booktabs", "array", "adjustbox")
SPECIAL = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    # At the start of a row these two would be read as arguments of the preceding \\.
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
    """Escape text for LaTeX."""
    escaped = re.sub("-(?=-)", "-{}", "".join(SPECIAL.get(sign, sign) for sign in text))
    return escaped.replace("\N{EN DASH}", "--")


def latex_row(cells: Sequence[str]) -> str:
    """Join cells, LaTeX already, to a row."""
    return " & ".join(cells) + r" \\"


def latex_table(
    *, caption: str, columns: str, head: Sequence[str], rows: Sequence[str], notes: Sequence[str] = ()
) -> str:
    """Return a floating table; `head` and `rows` are lines of LaTeX, caption and notes are plain text.

    It shrinks to the width of the text and the height of the page. The notes are paragraphs below it. The
    document must load `PACKAGES`.
    """
    below = []
    if notes:
        below = [
            r"\par\medskip",
            r"\begin{minipage}{\linewidth}",
            "\n\n".join(map(latex_text, notes)),
            r"\end{minipage}",
        ]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            f"\\caption{{{latex_text(caption.strip())}}}",
            r"\par\smallskip",
            r"\footnotesize",
            r"\setlength{\tabcolsep}{4pt}",
            r"\begin{adjustbox}{max width=\linewidth, max totalheight=0.8\textheight}",
            f"\\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            *head,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{adjustbox}",
            *below,
            r"\end{table}",
            "",
        ]
    )

"""LaTeX: escaped text, and tables in the style of booktabs."""

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


class Latex(str):
    """Text that is LaTeX already and is not escaped."""


def latex_row(cells: Sequence[str]) -> str:
    """Join cells to a row."""
    return " & ".join(cell if isinstance(cell, Latex) else latex_text(cell) for cell in cells) + r" \\"


def latex_table(
    *,
    caption: str,
    headings: Sequence[str],
    rows: Sequence[str | Sequence[str]],
    columns: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Return a floating table of rows of cells; a row that is a text is the title of those below it.

    It shrinks to the width of the text and the height of the page. The notes are paragraphs below it. The
    document must load `PACKAGES`.
    """
    lines = [
        latex_row([Latex(f"\\multicolumn{{{len(headings)}}}{{l}}{{\\textit{{{latex_text(row)}}}}}")])
        if isinstance(row, str)
        else latex_row(row)
        for row in rows
    ]
    below = "\n\n".join(map(latex_text, notes))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            f"\\caption{{{latex_text(caption.strip())}}}",
            r"\par\smallskip",
            r"\footnotesize",
            r"\setlength{\tabcolsep}{4pt}",
            r"\begin{adjustbox}{max width=\linewidth, max totalheight=0.8\textheight}",
            f"\\begin{{tabular}}{{{columns or 'l' + 'r' * (len(headings) - 1)}}}",
            r"\toprule",
            latex_row(headings),
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{adjustbox}",
            *([r"\par\medskip", r"\begin{minipage}{\linewidth}", below, r"\end{minipage}"] if notes else []),
            r"\end{table}",
            "",
        ]
    )

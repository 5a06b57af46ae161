"""LaTeX: escaped text, and tables in the style of booktabs."""

import re
import unicodedata
from collections.abc import Sequence

PACKAGES = ("booktabs", "array", "graphicx")
LETTERS = dict(zip("ßæÆœŒøØłŁ", ("ss", "ae", "AE", "oe", "OE", "o", "O", "l", "L"), strict=True))
# LaTeX's commands for combining characters, grave to cedilla.
COMBINING = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327"
ACCENTS = dict(zip(COMBINING, "`'^~=u.\"rHvc", strict=True))
GREEK = re.compile(
    "GREEK (?:SMALL LETTER (?!OMICRON)"
    "|CAPITAL LETTER (?=GAMMA|DELTA|THETA|LAMDA|XI|PI|SIGMA|UPSILON|PHI|PSI|OMEGA))([A-Z]+)"
)
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
    "\N{MINUS SIGN}": "$-$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{DEGREE SIGN}": r"$^\circ$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\le$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\ge$",
    "\N{MICRO SIGN}": r"$\mu$",
    **{sign: f"{{\\{LETTERS[sign]}}}" for sign in LETTERS},
}
OTHER_SIGN = r"\pancextchar"
DEFINE_OTHER_SIGN = (
    f"\\providecommand*{{{OTHER_SIGN}}}[2]{{\\ifdefined\\Umathchar\\char#1\\relax\\else U+#2\\fi}}\n"
)


def latex_text(text: str) -> str:
    """Escape text for LaTeX, in ASCII, so that every engine and encoding sets it.

    Accented Latin letters and Greek ones become commands. Any other sign, such as a Chinese one, is printed
    by LuaLaTeX and XeLaTeX if the document's font has it, and by pdfLaTeX as its number, U+80F0. The document
    needs `DEFINE_OTHER_SIGN`.
    """
    composed = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text))
    escaped = re.sub("-(?=-)", "-{}", "".join(map(_latex_sign, composed)))
    return escaped.replace("\N{EN DASH}", "--")


def _latex_sign(sign: str) -> str:
    if sign in SPECIAL:
        return SPECIAL[sign]
    if sign == "\N{EN DASH}" or (sign.isascii() and sign.isprintable()):
        return sign
    letter, *marks = list(unicodedata.normalize("NFD", sign))
    if len(marks) == 1 and letter.isascii() and marks[0] in ACCENTS:
        return f"\\{ACCENTS[marks[0]]}{{{letter}}}"
    if greek := GREEK.fullmatch(unicodedata.name(sign, "")):
        name = greek[1].replace("LAMDA", "LAMBDA")
        return f"$\\{name.capitalize() if sign.isupper() else name.lower()}$"
    return f"{OTHER_SIGN}{{{ord(sign)}}}{{{ord(sign):04X}}}"


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
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            r"\resizebox*{!}{\ifdim\totalheight>0.8\textheight 0.8\textheight\else\totalheight\fi}{%",
            f"\\begin{{tabular}}{{{columns or 'l' + 'r' * (len(headings) - 1)}}}",
            r"\toprule",
            latex_row(headings),
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}}}",
            *([r"\par\medskip", r"\begin{minipage}{\linewidth}", below, r"\end{minipage}"] if notes else []),
            r"\end{table}",
            "",
        ]
    )

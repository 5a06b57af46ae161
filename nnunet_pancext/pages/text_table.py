"""Tables of plain text."""

from collections.abc import Sequence


def text_table(
    rows: Sequence[Sequence[str]], *, ruled_below: Sequence[int] = (0,), left: Sequence[int] = (0,)
) -> str:
    """Return rows of cells as aligned lines, the columns `left` to the left and the others to the right.

    A rule follows each row whose number is among `ruled_below`; negative ones count from the end.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    ruled = {number % len(rows) for number in ruled_below}
    for number, row in enumerate(rows):
        cells = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
        if number in ruled:
            lines.append("-" * (sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join(lines)

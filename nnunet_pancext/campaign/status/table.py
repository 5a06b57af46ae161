"""The status of a campaign as a table for the console."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from nnunet_pancext.campaign.state import DONE
from nnunet_pancext.campaign.status.summary import Row, Status
from nnunet_pancext.campaign.status.words import hours_text, joined, moment
from nnunet_pancext.io.console_text import LONGEST_LINE, printable

LONG = 24  # steps; beyond, like ones are folded
LEAST_FOLDED = 3
NARROWEST, LEAST_DETAILS = 60, 40  # characters
INDENT, STATE = 2, 13  # characters, the second with the gap after it
NOTE = (
    "Pseudo Dice: on nnU-Net's validation patches, moving average. Time to go: from the median of the last "
    "epochs, without the final validation."
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A step's line, or that of several steps."""

    state: str
    name: str
    details: str
    log: Sequence[str] = ()


def status_table(status: Status, *, width: int, folded: bool = True) -> str:
    """Return the table and the summary below it, in lines of `width` characters; only names may exceed it.

    With `folded`, steps of a kind share a line in a long campaign where they are done or wait for the same.
    """
    width = max(width, NARROWEST)
    folded = folded and len(status.rows) > LONG
    groups = {
        heading: _folded(rows) if folded else [_line(row) for row in rows]
        for heading, rows in status.by_dataset.items()
    }
    names = INDENT + STATE + 2 + max(len(line.name) for lines in groups.values() for line in lines)
    indent = names if width - names >= LEAST_DETAILS else INDENT + STATE
    text: list[str] = []
    for heading, lines in groups.items():
        text += [heading]
        text += [part for line in lines for part in _printed(line, indent=indent, names=names, width=width)]
        text += [""]
    notes = [NOTE] if any(row.measured and row.measured.pseudo_dice for row in status.rows) else []
    for paragraph in (*status.problems, *notes, *status.summary()):
        text += wrap(printable(paragraph, most=LONGEST_LINE), width)
    return "\n".join(text)


def _printed(line: Line, *, indent: int, names: int, width: int) -> list[str]:
    """Return the lines of the table: details beside the name where there is room, else below it."""
    head = f"{'':{INDENT}}{line.state:{STATE}}{line.name}"
    details = wrap(
        printable(line.details, most=LONGEST_LINE),
        width - indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    margin = " " * indent
    if indent == names and details:
        head = head.ljust(indent) + details.pop(0)
    below = " " * (INDENT + STATE)
    log = [f"{below}| {printable(part, most=width - len(below) - 3)}" for part in line.log]
    return [head, *(margin + part for part in details), *log]


def _line(row: Row) -> Line:
    return Line(state=row.state, name=row.step.name, details=joined(row.details, row.attempts), log=row.log)


def _folded(rows: Sequence[Row]) -> list[Line]:
    """Return a line for each row, but one, in the place of the first, for rows that are alike."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(_alike(row), []).append(row)
    lines = []
    for row in rows:
        group = groups[_alike(row)]
        if len(group) < LEAST_FOLDED:
            lines.append(_line(row))
        elif row is group[0]:
            lines.append(_of_several(group))
    return lines


def _alike(row: Row) -> tuple[str, ...]:
    may_fold = row.alike or row.state == DONE
    return (row.state, row.step.kind, row.alike) if may_fold else (row.step.name,)


def _of_several(rows: Sequence[Row]) -> Line:
    first, details = rows[0], rows[0].alike
    ended = [last for row in rows if (last := row.record.last) is not None and last.ended]
    if first.state == DONE and ended:
        seconds = sum(attempt.seconds or 0 for attempt in ended)
        latest = max(attempt.ended or 0 for attempt in ended)
        details = joined(f"last {moment(latest)}", f"{hours_text(seconds)} together")
    return Line(state=first.state, name=f"{len(rows)} {first.step.kind} steps", details=details)

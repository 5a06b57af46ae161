"""Finding a command beside this Python, and what is shown of its output."""

import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import LONGEST_LINE, printable

TAIL_LINES = 15
LAST_LINES = "Its last lines"
QUOTE = "  | "


def command_path(words: Sequence[str]) -> list[str]:
    """Return a command with its program's path: a console script beside this Python, if it is not absolute.

    Raises:
        PancextError: there is no such program.
    """
    program = Path(sysconfig.get_path("scripts")) / words[0]
    if not program.is_file():
        raise PancextError(
            f"There is no {program}. Is it installed beside this Python? Run `pancext doctor`."
        )
    return [str(program), *words[1:]]


def last_drawn(line: str) -> str:
    """Return a line without blanks at its end; of a progress bar, which redraws it, what was drawn last."""
    return line.rstrip().rsplit("\r", 1)[-1]


def with_last_lines(text: str, lines: Iterable[str], *, log: Path) -> str:
    """Return a message with the last lines of a command's output, quoted, and the place of all of it."""
    shown = [f"{QUOTE}{printable(line, most=LONGEST_LINE)}" for line in lines]
    said = f"{LAST_LINES} (full output in {log}):" if shown else "It has printed nothing."
    return "\n".join([f"{text} {said}", *shown])

"""The end of a step's log."""

import re
from collections import deque
from collections.abc import Callable
from pathlib import Path

from nnunet_pancext.io.console_text import printable
from nnunet_pancext.nnunet_commands.command_output import last_drawn

HEADER = "=== "  # of what a log says about the attempts themselves
TAIL_BYTES = 32_768
LONGEST = 300  # characters of a line
COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def last_lines(log: Path, number: int) -> list[str]:
    """Return the last lines that are not empty, safe to print; none where there is no log."""
    return [printable(line, most=LONGEST) for line in deque(_tail(log), maxlen=number)]


def last_output(log: Path, number: int) -> list[str]:
    """Return the last lines of the latest attempt's command; none if it has printed nothing."""
    return [printable(line, most=LONGEST) for line in _latest_output(log)[-number:]]


def last_progress(log: Path, progress: Callable[[str], str | None] | None) -> str:
    """Return the latest attempt's latest progress, as `progress` makes it of a line; else empty."""
    found = [text for line in _latest_output(log) if progress is not None and (text := progress(line))]
    return printable(found[-1] if found else "", most=LONGEST)


def _latest_output(log: Path) -> list[str]:
    lines = _tail(log)
    headers = [index for index, line in enumerate(lines) if line.startswith(HEADER)]
    return lines[headers[-1] + 1 :] if headers else lines


def _tail(log: Path) -> list[str]:
    """Return the lines at the end; of a bar that redraws its line, what was drawn last."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    lines = (last_drawn(COLOUR.sub("", line)) for line in text.split("\n"))
    whole = list(lines)[1 if size > TAIL_BYTES else 0 :]
    return [line for line in whole if line.strip()]

"""Text for the console: counts, and text of unknown origin made safe to print."""

import os
from pathlib import Path

LONGEST_LINE = 20_000  # characters; names in damaged files may have millions


def counted(number: int, noun: str) -> str:
    """Return "1 case" or "2 cases"; the noun's plural ends in s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(text: str, *, most: int = 80) -> str:
    """Return text that cannot steer a terminal or fail to be encoded, cut after `most` characters.

    Control characters, line breaks among them, and lone surrogates become "?".
    """
    shown = "".join(char if char.isprintable() else "?" for char in text[:most])
    return shown + "…" * (len(text) > most)


def shown_name(text: str) -> str:
    """Return a file name with bytes that are not UTF-8 as \\xNN; others are returned unchanged."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def is_utf8(path: Path) -> bool:
    """Whether the path can be printed, and opened by SimpleITK."""
    return shown_name(str(path)) == str(path)

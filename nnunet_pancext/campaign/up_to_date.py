"""Whether outputs are newer than what they were made from."""

from collections.abc import Iterable
from pathlib import Path


def are_up_to_date(outputs: Iterable[Path], *, made_from: Iterable[Path]) -> bool:
    """Whether all files are there, and no output is older than one that it was made from.

    False where nothing is named that they were made from.
    """
    try:
        oldest = min(path.stat().st_mtime for path in outputs)
        return max(path.stat().st_mtime for path in made_from) <= oldest
    except (OSError, ValueError):
        return False

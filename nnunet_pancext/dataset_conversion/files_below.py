"""The files of a download."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def visible_files(root: Path) -> Iterator[Path]:
    """Yield the files below `root`, but none that is hidden or in a hidden folder."""
    for path in root.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path

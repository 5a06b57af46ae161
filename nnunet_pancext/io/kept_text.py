"""Texts that take seconds to make, kept in the user's cache folder."""

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nnunet_pancext.io.files import read_text, write_text

PACKAGE = Path(__file__).parents[1]
SOURCES = (".py", ".json")


def kept_text(
    name: str, *, made_from: Sequence[object], packages: Sequence[str], make: Callable[[], str]
) -> str:
    """Return the kept text if nothing that it depends on has changed, else a new one, which is kept.

    It depends on this package's files, the versions of Python and of other packages, and `made_from`. For
    each `made_from` there is one file, in `$XDG_CACHE_HOME/nnunet_pancext`, by default below `~/.cache`. A
    folder that cannot be read or written is no error.
    """
    parts = (_sources(), sys.version, [_version(package) for package in packages])
    key = hashlib.sha256(repr(parts).encode()).hexdigest()
    options = hashlib.sha256(repr(made_from).encode()).hexdigest()[:8]
    file = _folder() / f"{name}-{options}.txt"
    with suppress(OSError):
        before, _, text = read_text(file).partition("\n")
        if before == key:
            return text
    text = make()
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, f"{key}\n{text}")
    return text


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "nnunet_pancext")


def _sources() -> list[tuple[str, int, int]]:
    """Return path, time and size of each of this package's files."""
    files = ((path, path.stat()) for path in sorted(PACKAGE.rglob("*")) if path.suffix in SOURCES)
    return [(str(path), status.st_mtime_ns, status.st_size) for path, status in files]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

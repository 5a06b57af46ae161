"""Paths of a protocol: as people and shells write them, `$nnUNet_raw/…`, and as they are on this machine."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from nnunet_pancext.errors import PancextError

VARIABLES = {
    "nnUNet_raw": "raw datasets, written by the conversion",
    "nnUNet_preprocessed": "preprocessed data and plans; wants a fast disk",
    "nnUNet_results": "trained models",
}
_VARIABLE = re.compile(rf"^\$({'|'.join(VARIABLES)})(?=/|$)")


def is_set(variables: Mapping[str, str] = os.environ) -> bool:
    """Say whether all of nnU-Net's folders are set."""
    return all(variables.get(name) for name in VARIABLES)


def require_set(variables: Mapping[str, str] = os.environ) -> None:
    """Raise PancextError, with the lines to type, unless all of nnU-Net's folders are set."""
    missing = [name for name in VARIABLES if not variables.get(name)]
    if missing:
        lines = "\n".join(
            f"  export {name}=$HOME/nnunet/{name.removeprefix('nnUNet_')}    # {VARIABLES[name]}"
            for name in missing
        )
        raise PancextError(f"{', '.join(missing)} not set. nnU-Net's commands need:\n{lines}")


def expand(text: str, variables: Mapping[str, str] = os.environ) -> str:
    """Return a word of a command with nnU-Net's folder in place of the variable at its start."""
    return _VARIABLE.sub(lambda found: variables[found[1]], text)


def path(text: str) -> Path:
    """Return the path on this machine; the variable must be set."""
    return Path(expand(text))


def shell_line(words: Iterable[str]) -> str:
    """Return the command as a shell takes it, with the variables left for the shell."""
    return " ".join(f'"{word}"' if _VARIABLE.match(word) else shlex.quote(word) for word in words)

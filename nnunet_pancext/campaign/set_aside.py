"""Moving outputs away instead of deleting them."""

import os
from itertools import count
from pathlib import Path

PREFIX = "former-"


def set_aside(path: Path) -> Path | None:
    """Rename a file or folder to former-1-NAME, former-2-NAME, … beside it; return its new place.

    None where there is nothing. nnU-Net does not take such a folder for a fold or a dataset.
    """
    if not path.exists():
        return None
    for number in count(1):
        target = path.with_name(f"{PREFIX}{number}-{path.name}")
        if not target.exists():
            os.rename(path, target)
            return target
    return None

"""The folds of a dataset where nnU-Net reads them. Older ones are never lost."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

from nnunet_pancext.io.disk import write_errors_as_pancext
from nnunet_pancext.io.files import PARTIAL_PREFIX, link_or_copy, write_json
from nnunet_pancext.nnunet_files.folders import nnunet_folder
from nnunet_pancext.splits.make import SPLITS_FILE, Folds


def folds_file(dataset: str) -> Path | None:
    """Return where nnU-Net reads the folds of the dataset of this name; None where that is not set."""
    preprocessed = nnunet_folder("nnUNet_preprocessed")
    return None if preprocessed is None else preprocessed / dataset / SPLITS_FILE


def place_folds(folds: Folds, *, dataset: str) -> Path | None:
    """Write the folds where nnU-Net reads them; None where that is not set.

    Other folds that are there stay beside them, under the name that `backup_of` tells.
    """
    target = folds_file(dataset)
    if target is None:
        return None
    with write_errors_as_pancext(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        for stale in target.parent.glob(f"{PARTIAL_PREFIX}*{SPLITS_FILE.stem}*"):
            stale.unlink()  # of a killed run
        backup = backup_of(target, folds=folds)
        if backup is not None and not backup.exists():
            link_or_copy(target, backup)
        write_json(target, folds)
    return target


def backup_of(target: Path, *, folds: Folds) -> Path | None:
    """Return where the folds that are at `target` will be kept; None where there are none, or the same."""
    if not target.exists() or holds(target, folds):
        return None
    for number in count(1):
        backup = target.with_name(f"{SPLITS_FILE.stem}_replaced_{number}.json")
        if not backup.exists() or backup.read_bytes() == target.read_bytes():
            return backup
    return None


def holds(path: Path, folds: Folds) -> bool:
    """Say whether the file holds these folds; one that is no JSON does not."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) == folds
    except ValueError:
        return False

"""`splits_final.json`, from which nnU-Net reads a dataset's folds. Previous folds are always kept."""

import json
from itertools import count
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.disk import write_errors_as_pancext
from nnunet_pancext.io.files import PARTIAL_PREFIX, link_or_copy, read_json, write_json
from nnunet_pancext.nnunet_files.folders import PREPROCESSED, nnunet_folder

SPLITS_FILE = Path("splits_final.json")
CORRECT = "Correct it, or replace the folds with `pancext splits apply --overwrite`."

Folds = list[dict[str, list[str]]]


def folds_file(dataset: str) -> Path | None:
    """Return the file for the dataset of this name; None where nnUNet_preprocessed is not set."""
    preprocessed = nnunet_folder(PREPROCESSED)
    return None if preprocessed is None else preprocessed / dataset / SPLITS_FILE


def read_folds(file: Path) -> Folds:
    """Return the folds in a file; PancextError where nnU-Net could not use them."""
    return parse_folds(read_json(file, expect=list), source=file)


def parse_folds(content: Any, *, source: Path) -> Folds:
    """Return the folds in the content of a JSON file; PancextError where nnU-Net could not use them."""
    if not isinstance(content, list) or not content:
        raise PancextError(
            f'{source} holds no folds; expected is a list like [{{"train": ["a"], "val": ["b"]}}]. {CORRECT}'
        )
    for number, fold in enumerate(content):
        for part in ("train", "val"):
            cases = fold.get(part) if isinstance(fold, dict) else None
            if not isinstance(cases, list) or not all(isinstance(case, str) for case in cases):
                raise PancextError(f'fold {number} in {source} has no list of cases "{part}". {CORRECT}')
    return content


def place_folds(folds: Folds, *, dataset: str) -> Path | None:
    """Write the folds where nnU-Net reads them, and keep others as `backup_of`; None without that folder."""
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
    """Return where the folds at `target` will be kept; None where there are none, or the same."""
    if not target.exists() or holds(target, folds):
        return None
    return next(
        backup
        for number in count(1)
        if not (backup := target.with_name(f"{SPLITS_FILE.stem}_replaced_{number}.json")).exists()
        or backup.read_bytes() == target.read_bytes()
    )


def holds(path: Path, folds: Folds) -> bool:
    """Whether the file holds these folds; one that is not JSON does not."""
    try:
        return json.loads(path.read_bytes()) == folds
    except ValueError:
        return False

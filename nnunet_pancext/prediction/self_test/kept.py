"""The result of a self-test that is kept beside a model."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.model_sharing.unpack import sha256_of
from nnunet_pancext.nnunet_files.model_folder import FINAL
from nnunet_pancext.prediction.models import Choice
from nnunet_pancext.prediction.record import DECISIVE, NOT_MEASURED, versions

FILE = "self_test.json"
SCHEMA_VERSION = 1
SHIFTED = "exact, shifted grid"


def self_test_of(choice: Choice, speed: str, *, device: str) -> dict[str, Any] | str:
    """Return what the self-tests of the models measured of this speed, by folder where there are several."""
    summaries = {
        model.folder.name: self_test_summary(model.folder, speed, device=device, checkpoint=model.checkpoint)
        or NOT_MEASURED
        for model in choice.models
    }
    return summaries if len(summaries) > 1 else next(iter(summaries.values()))


def self_test_summary(
    model_folder: Path, speed: str, *, device: str, checkpoint: str = FINAL
) -> dict[str, Any] | None:
    """Return what the self-test of this model measured of a speed; None without one.

    It is None also where it was of another checkpoint, kind of device (which may compute in other precision)
    or version of what predicts, or a file of the model has changed since. With the shifted grid's figures,
    which are those of nnU-Net's own noise.
    """
    try:
        kept = read_json(model_folder / FILE, expect=dict)
        hashes = kept["sha256"]
        if kept["schema_version"] != SCHEMA_VERSION or checkpoint not in map(os.path.basename, hashes):
            return None
        present = versions()
        if kept["device"] != device or any(kept["versions"][name] != present[name] for name in DECISIVE):
            return None
        if any(_hash(model_folder / name) != expected for name, expected in hashes.items()):
            return None
        for way in (speed, SHIFTED):
            for figures in kept["ways"][way]["labels"].values():
                change = figures["dice_change"]
                float(change["mean"] + change["largest_loss"])
        return {
            "cases": kept["cases"],
            "folds": kept["folds"],
            **kept["ways"][speed],
            "shifted_grid": kept["ways"][SHIFTED],
        }
    except (
        PancextError,
        OSError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ):  # damaged, or of another hand
        return None


def _hash(file: Path) -> str | None:
    """Return the SHA-256 of a file, which is read once in a process while it does not change."""
    if not file.is_file():
        return None
    found = file.stat()
    return _hash_of(file, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _hash_of(file: Path, size: int, modified_ns: int) -> str:
    return sha256_of(file)

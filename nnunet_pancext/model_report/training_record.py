"""What a training logged, epoch by epoch."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.model_report.model_folder import Fold

EPOCH = re.compile(r": Epoch (\d+)\s*$")
PHASE = re.compile(r": Phase (\S+):")


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """Columns of numbers by epoch, as nnU-Net's log holds them in the checkpoint, and ours among them.

    `phases` are the first epochs of the cascade's phases and their names; `seconds` the length of each epoch.
    """

    fold: str
    columns: dict[str, list[float]]
    phases: list[tuple[int, str]] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """Epochs that were finished."""
        return len(self.columns.get("train_losses", []))

    @property
    def seconds(self) -> list[float]:
        """Length of each epoch."""
        starts, ends = (self.columns.get(f"epoch_{name}_timestamps", []) for name in ("start", "end"))
        return [end - start for start, end in zip(starts, ends, strict=False)]


def read_training_record(fold: Fold) -> TrainingRecord | None:
    """Read the log in the fold's checkpoint; None where there is no checkpoint.

    Raises:
        PancextError: the checkpoint cannot be read or holds no log.
    """
    if fold.checkpoint is None:
        return None
    import torch

    try:
        # Mapped, not read: of gigabytes only the log is wanted. nnU-Net itself loads it without the guard.
        content: dict[str, Any] = torch.load(
            fold.checkpoint, map_location="cpu", weights_only=False, mmap=True
        )
        logged = content["logging"]
    except Exception as error:  # torch raises whatever the pickled file makes it raise
        raise PancextError(
            f"Cannot read the training's log in {fold.checkpoint} ({type(error).__name__}: {error}). "
            "Copy the checkpoint again, or leave this fold out with --folds."
        ) from error
    if not isinstance(logged, dict):
        raise PancextError(
            f"The training's log in {fold.checkpoint} is of type {type(logged).__name__}, not columns by "
            "name. Leave this fold out with --folds."
        )
    # Trainers of others log what they like: words, arrays, values by class.
    columns = {
        str(name): [math.nan if value is None else float(value) for value in values]
        for name, values in logged.items()
        if isinstance(values, list) and all(value is None or isinstance(value, Real) for value in values)
    }
    return TrainingRecord(fold=fold.name, columns=columns, phases=_phases(fold.folder))


def _phases(folder: Path) -> list[tuple[int, str]]:
    """Read the first epoch of each phase from nnU-Net's text logs, of which a continued run has several."""
    phase_of: dict[int, str] = {}
    for path in sorted(folder.glob("training_log_*.txt")):
        epoch = None
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if found := EPOCH.search(line):
                epoch = int(found[1])
            elif (found := PHASE.search(line)) and epoch is not None:
                phase_of[epoch] = found[1]
    changes: list[tuple[int, str]] = []
    for epoch, phase in sorted(phase_of.items()):
        if not changes or changes[-1][1] != phase:
            changes.append((epoch, phase))
    return changes

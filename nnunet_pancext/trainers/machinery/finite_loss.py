"""Stops a training whose loss is not finite, before it overwrites a good checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnunet_pancext.errors import NNUNetCommandError

CHECKPOINTS = ("checkpoint_latest.pth", "checkpoint_best.pth")


class NonFiniteLossError(NNUNetCommandError):
    """The loss became NaN or infinite."""


def check_loss(
    loss: np.ndarray | float,
    *,
    step: str,
    epoch: int,
    iteration: int,
    cases: Sequence[str],
    learning_rate: float,
    output_folder: Path,
) -> None:
    """Raise NonFiniteLossError, with epoch, iteration (both from 0) and cases, if `loss` is not finite.

    `step` is "training" or "validation", `output_folder` contains the fold's checkpoints.
    """
    if np.all(np.isfinite(loss)):
        return
    checkpoint = newest_checkpoint(output_folder)
    remedy = (
        f"The last good checkpoint is {checkpoint}; --c continues from it."
        if checkpoint
        else "There is no checkpoint yet."
    )
    raise NonFiniteLossError(
        f"The {step} loss is {float(np.mean(loss))} at epoch {epoch}, iteration {iteration}, "
        f"learning rate {learning_rate:g}, cases {', '.join(map(str, cases))}. "
        f"Training stopped. Look at these cases for NaN or extreme values, or lower the learning rate. "
        f"{remedy}"
    )


def newest_checkpoint(output_folder: Path) -> Path | None:
    """Return the newest checkpoint of an unfinished training, or None."""
    checkpoints = [output_folder / name for name in CHECKPOINTS if (output_folder / name).is_file()]
    return max(checkpoints, key=lambda path: path.stat().st_mtime, default=None)

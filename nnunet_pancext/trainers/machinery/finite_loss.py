"""Stops a training whose loss is no longer a number, before it overwrites a good checkpoint."""

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
    """Raise NonFiniteLossError if `loss` is not finite, with all that is needed to find out why.

    Args:
        step: "training" or "validation".
        epoch, iteration: counted from 0, as in nnU-Net's log.
        cases: ids of the cases in the batch.
        output_folder: of the fold, where the checkpoints lie.
    """
    if np.all(np.isfinite(loss)):
        return
    checkpoint = newest_checkpoint(output_folder)
    way_out = (
        f"The last good checkpoint is {checkpoint}; --c continues from it."
        if checkpoint
        else "There is no checkpoint yet."
    )
    raise NonFiniteLossError(
        f"The {step} loss is {float(np.mean(loss))} at epoch {epoch}, iteration {iteration}, "
        f"learning rate {learning_rate:g}, cases {', '.join(map(str, cases))}. "
        f"Training stopped. Look at these cases for NaN or extreme values, or lower the learning rate. "
        f"{way_out}"
    )


def newest_checkpoint(output_folder: Path) -> Path | None:
    """Return the newest checkpoint of an unfinished training, or None."""
    found = [output_folder / name for name in CHECKPOINTS if (output_folder / name).is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)

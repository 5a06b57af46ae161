"""Stops a training whose loss is not finite, before it overwrites a good checkpoint."""

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
    checkpoints = [output_folder / name for name in CHECKPOINTS if (output_folder / name).is_file()]
    remedy = "There is no checkpoint yet."
    if checkpoints:
        newest = max(checkpoints, key=lambda path: path.stat().st_mtime)
        remedy = f"The last good checkpoint is {newest}; --c continues from it."
    raise NonFiniteLossError(
        f"The {step} loss is {float(np.mean(loss))} at epoch {epoch}, iteration {iteration}, "
        f"learning rate {learning_rate:g}, cases {', '.join(map(str, cases))}. Training stopped. "
        f"Look at these cases for NaN or extreme values, or lower the learning rate. {remedy}"
    )

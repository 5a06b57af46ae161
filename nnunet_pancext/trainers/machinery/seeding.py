"""The opt-in reproducible mode: `PANCEXT_SEED=1 nnUNetv2_train ...`.

nnU-Net's checkpoints contain no state of the random generators. Each epoch is therefore seeded from the seed,
fold, epoch and rank, so that a killed and continued run draws the same numbers as an uninterrupted one.
"""

import os
import random

import numpy as np
import torch

from nnunet_pancext.errors import NNUNetCommandError

VARIABLE = "PANCEXT_SEED"
INITIALISATION = -1  # the "epoch" in which the network's weights are drawn


def seed_from_environment() -> int | None:
    """Return the value of `PANCEXT_SEED`, or None if it is not set.

    Raises:
        NNUNetCommandError: it is not a non-negative integer.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return None
    if not text.isdecimal():
        raise NNUNetCommandError(
            f"{VARIABLE} is {text!r}; set it to a whole number of at least 0, or unset it."
        )
    return int(text)


def seed_generators(seed: int, fold: int | str, epoch: int, rank: int) -> None:
    """Seed Python, NumPy and PyTorch for one epoch."""
    fold_number = fold if isinstance(fold, int) else 1_000_000  # nnU-Net's only other fold is "all"
    sequence = np.random.SeedSequence([seed, fold_number, epoch + 1, rank])
    state = int(sequence.generate_state(1)[0])
    random.seed(state)
    np.random.seed(state)
    torch.manual_seed(state)

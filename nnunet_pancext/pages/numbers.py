"""How scores are written for people."""

from __future__ import annotations

import math

UNDEFINED = "\N{EN DASH}"
UNDEFINED_MEANING = (
    "the label is in neither the prediction nor the truth, so its Dice is undefined and left out of means."
)


def score_text(value: float) -> str:
    """A score with three decimals; a dash where it is nan."""
    return UNDEFINED if math.isnan(value) else f"{value:.3f}"


def volume_text(volume_ml: float) -> str:
    """A volume with one decimal, below 1 mL with three, so that a small lesion does not read as none."""
    return f"{volume_ml:.{amount_decimals(volume_ml)}f}"


def amount_decimals(amount: float) -> int:
    """Decimals of a volume or a distance, and of the standard deviation beside it."""
    return 3 if 0 < abs(amount) < 1 else 1

"""Scores and volumes formatted for readers."""

import math

UNDEFINED = "\N{EN DASH}"
UNDEFINED_MEANING = (
    "the label is in neither the prediction nor the ground truth, so its Dice is undefined and excluded "
    "from means."
)


def score_text(value: float) -> str:
    """Format a score with three decimals, nan as a dash."""
    return UNDEFINED if math.isnan(value) else f"{value:.3f}"


def volume_text(volume_ml: float) -> str:
    """Format a volume with one decimal, or three below 1 mL so that small lesions do not read as 0.0."""
    return f"{volume_ml:.{amount_decimals(volume_ml)}f}"


def amount_decimals(amount: float) -> int:
    """Return the decimals of a volume or distance, and of its standard deviation."""
    return 3 if 0 < abs(amount) < 1 else 1

"""The values of label maps as nnU-Net reads them, and how to show them."""

from collections.abc import Sequence

import numpy as np

MOST_DIGITS = 12


def in_single_precision(values: np.ndarray) -> np.ndarray:
    """Return the values as nnU-Net reads them: in single precision, where 0.99999999 is 1.

    Integers are returned unchanged. nnU-Net rounds them too, but only those above 2^24, which are no labels.
    """
    if values.dtype.kind != "f":
        return values
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)


def fractional(values: np.ndarray) -> np.ndarray:
    """Return the distinct values that are not whole numbers, sorted."""
    if values.dtype.kind != "f":
        return values[:0].ravel()
    return np.unique(values[(values != np.rint(values)) | ~np.isfinite(values)])


def listed(numbers: Sequence[float] | np.ndarray, *, most: int = 8) -> str:
    """Return the first `most` numbers as text, and the count of the others.

    Fractions have all digits of single precision: 0.99999994, not 1.
    """
    more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return ", ".join(map(_shown, numbers[:most])) + more


def _shown(number: float) -> str:
    if isinstance(number, int) or number.is_integer():
        digits = str(int(number))
        return digits if len(digits) <= MOST_DIGITS else f"{digits[:MOST_DIGITS]}… ({len(digits)} digits)"
    return str(np.float32(number))

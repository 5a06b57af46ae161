"""A hash of numbers that does not depend on the type and byte order in which they are stored."""

import hashlib
from collections.abc import Sequence

import numpy as np

LARGEST_EXACT = 2**53  # integers up to here are exact in double precision
SAMPLE = 1024


class VoxelHash:
    """Hashes an image of this size piece by piece; equal images must be divided into equal pieces."""

    def __init__(self, size: Sequence[int]) -> None:
        self.digest = hashlib.blake2b(repr(tuple(size)).encode())  # faster than SHA-256, as good for equality
        self.first: np.generic | None = None
        self.is_constant = True

    def add(self, piece: np.ndarray) -> None:
        """Add the next numbers."""
        if self.first is None:
            self.first = piece[0]
        self.is_constant = self.is_constant and bool((piece == self.first).all())
        converted = in_common_type(piece)
        self.digest.update(converted.dtype.str.encode())
        self.digest.update(np.ascontiguousarray(converted).data)

    def result(self) -> str | None:
        """Return the hash; None for a constant image, which does not identify a patient."""
        return None if self.is_constant else self.digest.hexdigest()


def in_common_type(piece: np.ndarray) -> np.ndarray:
    """Return the numbers in the first of int16, int32, float32 and float64 that holds them all exactly.

    int16, the usual type of CT, is returned unchanged; so are integers that none of them holds.
    """
    if piece.dtype == np.dtype("<i2"):
        return piece
    if piece.dtype.kind != "f":
        lowest, highest = int(piece.min()), int(piece.max())
        for name in ("<i2", "<i4"):
            if np.iinfo(name).min <= lowest and highest <= np.iinfo(name).max:
                return piece.astype(name)
        if max(-lowest, highest) > LARGEST_EXACT:
            return piece.astype(piece.dtype.newbyteorder("<"))
        piece = piece.astype("<f8")
    with np.errstate(invalid="ignore", over="ignore"):
        sample = piece[:SAMPLE]  # usually enough to find fractions
        for name in ("<i2", "<i4", "<f4"):
            if piece.dtype == np.float32 and name == "<f4":
                return piece.astype(name, copy=False)
            if _holds(sample.astype(name), sample) and _holds(narrow := piece.astype(name), piece):
                return narrow
    return piece.astype("<f8", copy=False)


def _holds(narrow: np.ndarray, piece: np.ndarray) -> bool:
    """Whether the numbers are the same; NaN equals NaN in floating-point types."""
    same = narrow == piece
    return bool((same | np.isnan(piece)).all()) if narrow.dtype.kind == "f" else bool(same.all())

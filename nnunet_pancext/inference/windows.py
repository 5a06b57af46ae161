"""nnU-Net's grid of windows over a preprocessed image."""

from collections.abc import Sequence

from nnunet_pancext.inference.trained_folds import TrainedFolds


def count_windows(folds: TrainedFolds, shape: Sequence[int]) -> int:
    """Return how many windows nnU-Net runs over a preprocessed image of `shape` (slice, row, column)."""
    patch = folds.patch_size
    thickness = (1,) * (len(shape) - len(patch))
    padded = [max(length, size) for length, size in zip(shape, (*thickness, *patch), strict=True)]
    return len(folds.predictor._internal_get_sliding_window_slicers(tuple(padded)))

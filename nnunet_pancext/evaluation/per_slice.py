"""Scores slice by slice, as papers on 2D networks report them: overlap, S-measure and E-measure."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nnunet_pancext.evaluation.overlap import RATIOS, count_overlap

THRESHOLDS = 256  # of the mean E-measure: 0/255 to 255/255
EPSILON = np.finfo(np.float64).eps


def score_slices(
    prediction: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    *,
    shape: tuple[int, ...],
    corner: tuple[int, ...] = (0, 0),
    ignored: Sequence[int] | None = None,
) -> dict[str, float]:
    """Return the number of slices (first axis) in which the ground truth has the label, and means over them.

    Precision is 0 in a slice without prediction and specificity is 1 in a slice that is all target, so that
    all means are over the same slices; there are none without such a slice. The names are those of
    `LabelScores`. `shape` is that of a whole slice and `corner` the position of the masks in it; `ignored`
    counts the pixels of each slice that are not scored, which neither mask may hold.
    """
    numbers = np.flatnonzero(truth.any(axis=(1, 2))).tolist()
    if not numbers:
        return {"slices": 0}
    overlaps = [
        count_overlap(prediction[n], truth[n], voxels=math.prod(shape) - (ignored[n] if ignored else 0))
        for n in numbers
    ]
    undefined = dict.fromkeys(RATIOS, 0) | {"specificity": 1}
    margins = [
        (start, size - start - part) for start, size, part in zip(corner, shape, truth.shape[1:], strict=True)
    ]
    pairs = [(np.pad(prediction[n], margins), np.pad(truth[n], margins)) for n in numbers]
    return {
        "slices": len(numbers),
        **{
            f"slice_{name}": float(np.nan_to_num([o.ratios[name] for o in overlaps], nan=value).mean())
            for name, value in undefined.items()
        },
        "s_measure": float(np.mean([s_measure(*pair) for pair in pairs])),
        "e_measure": float(np.mean([e_measure(*pair) for pair in pairs])),
    }


def s_measure(prediction: NDArray[np.bool_], truth: NDArray[np.bool_], *, alpha: float = 0.5) -> float:
    """Structure measure of two masks (height, width), in [0, 1].

    Fan, Cheng, Liu, Li and Borji, "Structure-measure: A New Way to Evaluate Foreground Maps" (ICCV 2017):
    S = alpha S_object + (1 - alpha) S_region. An empty ground truth gives the share of background in
    the prediction.
    """
    share = float(truth.mean())
    if share == 0:
        return 1 - float(prediction.mean())
    if share == 1:
        return float(prediction.mean())
    inside = _object_score(prediction[truth].mean(), int(truth.sum()))
    outside = _object_score(1 - prediction[~truth].mean(), int(truth.size - truth.sum()))
    object_score = share * inside + (1 - share) * outside
    return max(0.0, alpha * object_score + (1 - alpha) * _region_score(prediction, truth))


def e_measure(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Mean enhanced-alignment measure of two masks (height, width).

    Fan, Gong, Cao, Ren, Cheng and Borji, "Enhanced-alignment Measure for Binary Foreground Map Evaluation"
    (IJCAI 2018), averaged over 256 thresholds as its authors do. For a mask, the lowest threshold gives
    the whole slice and all others give the mask itself.
    """
    whole = np.ones_like(prediction)
    return ((THRESHOLDS - 1) * _alignment(prediction, truth) + _alignment(whole, truth)) / THRESHOLDS


def _object_score(mean: float, pixels: int) -> float:
    """2 x / (x² + 1 + SD), where x is the mean of a mask in a region and SD its standard deviation."""
    spread = math.sqrt(mean * (1 - mean) * pixels / (pixels - 1)) if pixels > 1 else 0
    return 2 * mean / (mean**2 + 1 + spread + EPSILON)


def _region_score(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Similarity in the four quarters around the centroid of the ground truth, weighted by area."""
    row, column = (round(float(position.mean())) + 1 for position in np.nonzero(truth))
    score = 0.0
    for rows in (slice(None, row), slice(row, None)):
        for columns in (slice(None, column), slice(column, None)):
            quarter = truth[rows, columns]
            if quarter.size:
                score += quarter.size / truth.size * _similarity(prediction[rows, columns], quarter)
    return score


def _similarity(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """SSIM of two masks, 4 x y cov(x, y) / ((x² + y²) (var(x) + var(y))), from counts."""
    pixels = truth.size
    mean_p, mean_t = float(prediction.mean()), float(truth.mean())
    both = np.count_nonzero(prediction & truth) / pixels
    scale = pixels / (pixels - 1 + EPSILON)
    variances = scale * (mean_p - mean_p**2 + mean_t - mean_t**2)
    covariance = scale * (both - mean_p * mean_t)
    above, below = 4 * mean_p * mean_t * covariance, (mean_p**2 + mean_t**2) * variances
    if above:
        return above / (below + EPSILON)
    return 0.0 if below else 1.0


def _alignment(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    counts = count_overlap(prediction, truth)
    pixels = truth.size
    if counts.tp + counts.fn in (0, pixels):
        total = float(counts.tn if counts.tp + counts.fn == 0 else counts.tp)
    else:
        mean_p, mean_t = (counts.tp + counts.fp) / pixels, (counts.tp + counts.fn) / pixels
        total = 0.0
        for number, value_p, value_t in (
            (counts.tp, 1 - mean_p, 1 - mean_t),
            (counts.fp, 1 - mean_p, -mean_t),
            (counts.fn, -mean_p, 1 - mean_t),
            (counts.tn, -mean_p, -mean_t),
        ):
            align = 2 * value_p * value_t / (value_p**2 + value_t**2 + EPSILON)
            total += number * (align + 1) ** 2 / 4
    return total / (pixels - 1 + EPSILON)

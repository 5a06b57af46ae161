"""The three ways of predicting, by their names."""

from collections.abc import Callable
from typing import Literal

from nnunet_pancext.inference.balanced import predict_balanced
from nnunet_pancext.inference.exact import predict_exact
from nnunet_pancext.inference.fast import predict_fast
from nnunet_pancext.inference.logits import Logits, Request
from nnunet_pancext.inference.prepared_image import PreparedImage
from nnunet_pancext.inference.trained_folds import LoadedFolds

Speed = Literal["exact", "balanced", "fast"]
WAYS: dict[Speed, Callable[[LoadedFolds, PreparedImage, Request], Logits]] = {
    "exact": predict_exact,
    "balanced": predict_balanced,
    "fast": predict_fast,
}


def predict_logits(
    folds: LoadedFolds, image: PreparedImage, *, speed: Speed, request: Request | None = None
) -> Logits:
    """Return the logits of a preprocessed image, averaged over folds.

    Args:
        folds: the networks.
        image: preprocessed for them.
        speed: `exact` is nnU-Net's own prediction; `balanced` runs its windows near the foreground only;
            `fast` runs crops around the foreground with less overlap and mirroring.
        request: what to compute besides.

    Raises:
        PancextError: the logits exceed half precision, or are NaN.
    """
    return WAYS[speed](folds, image, request or Request())

"""The ways of predicting an image, by the name of their speed."""

from nnunet_pancext.inference.exact import predict_exact
from nnunet_pancext.inference.logits import Logits, Request
from nnunet_pancext.inference.prepared_image import PreparedImage
from nnunet_pancext.inference.trained_folds import TrainedFolds

EXACT = "exact"
SPEEDS = (EXACT, "balanced", "fast")


def predict_logits(folds: TrainedFolds, image: PreparedImage, *, speed: str, request: Request) -> Logits:
    """Return the logits of an image at a speed."""
    return predict_exact(folds, image, request)

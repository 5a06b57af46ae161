"""`exact`: the whole image by nnU-Net's own path, bit for bit."""

from time import monotonic
from typing import Any

import torch

from nnunet_pancext.errors import PancextError
from nnunet_pancext.inference.foreground import NOT_FINITE
from nnunet_pancext.inference.logits import Logits, Passes, Region, Request
from nnunet_pancext.inference.prepared_image import PreparedImage
from nnunet_pancext.inference.trained_folds import LoadedFolds, threads_of_nnunet
from nnunet_pancext.inference.windows import count_windows


@torch.inference_mode()
def predict_exact(folds: LoadedFolds, image: PreparedImage, request: Request) -> Logits:
    """Return the logits of the whole image, as nnUNetPredictor.predict_logits_from_preprocessed_data.

    That function loads each fold's weights into one network; here each fold has its own.

    Raises:
        PancextError: the logits exceed half precision, or are NaN.
    """
    windows = count_windows(folds, image.data.shape[1:])
    forwards = windows * folds.forwards_per_window
    request.announce("the whole image", forwards)
    started = monotonic()
    total: torch.Tensor | None = None
    per_fold = []
    with threads_of_nnunet():
        for network in folds.networks:
            folds.predictor.network = network
            logits = _logits(folds.predictor, image.data)
            if request.per_fold:
                per_fold.append(logits.clone())
            total = logits if total is None else total.add_(logits)
        assert total is not None
        if len(folds.networks) > 1:
            total /= len(folds.networks)
    depth, height, width = image.data.shape[1:]
    passes = Passes(
        windows=windows,
        forwards=forwards,
        whole_image_windows=windows,
        whole_image_forwards=forwards,
        seconds={"full pass": monotonic() - started},
    )
    whole = Region((slice(0, depth), slice(0, height), slice(0, width)), total, tuple(per_fold))
    return Logits((depth, height, width), (whole,), passes, is_whole=True)


def _logits(predictor: Any, data: torch.Tensor) -> torch.Tensor:
    try:
        logits = predictor.predict_sliding_window_return_logits(data).to("cpu")
    except RuntimeError as error:
        if "Encountered inf" not in str(error):
            raise
        raise PancextError(NOT_FINITE) from error
    if logits.isnan().any():  # whose argmax would be a label map like any other
        raise PancextError(NOT_FINITE)
    return logits

"""From logits on the network's grid to a label map on the image's own."""

import numpy as np
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from numpy.typing import NDArray

from nnunet_pancext.inference.logits import Logits
from nnunet_pancext.inference.prepared_image import PreparedImage
from nnunet_pancext.inference.trained_folds import TrainedFolds

LabelMap = NDArray[np.integer]
Probabilities = NDArray[np.float32]


def export(
    folds: TrainedFolds, image: PreparedImage, logits: Logits, *, with_probabilities: bool = False
) -> tuple[LabelMap, Probabilities | None]:
    """Return the label map (slice, row, column) on the image's grid, and the probabilities (head, ...).

    Logits of the whole image take nnU-Net's own path; those in regions are resampled there alone.
    """
    assert logits.is_whole, "regions come here"
    exported = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits.regions[0].logits.numpy(),
        folds.plans,
        folds.configuration,
        folds.labels,
        image.properties,
        return_probabilities=with_probabilities,
    )
    return exported if with_probabilities else (exported, None)

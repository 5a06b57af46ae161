"""An image preprocessed for a network, as nnU-Net does before a prediction."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot
from numpy.typing import NDArray

from nnunet_pancext.errors import PancextError
from nnunet_pancext.inference.trained_folds import LoadedFolds


@dataclass(frozen=True)
class PreparedImage:
    """Data (channels, *spatial) in single precision, and nnU-Net's record of the preprocessing.

    After a previous stage of nnU-Net's cascade the last `num_previous` channels are its label map, one-hot.
    """

    data: torch.Tensor
    properties: dict[str, Any]
    num_previous: int = 0


def prepare(
    folds: LoadedFolds,
    voxels: NDArray[np.float32],
    properties: Mapping[str, Any],
    *,
    previous: NDArray[np.integer] | None = None,
) -> PreparedImage:
    """Preprocess voxels (channel, slice, row, column), read by nnU-Net's reader with their `properties`.

    `previous` is the label map (slice, row, column) of the previous stage, on the same grid.

    Raises:
        PancextError: nothing of the image is left on the network's grid.
    """
    preprocessor = folds.configuration.preprocessor_class(verbose=False)
    label_map = None if previous is None else previous[None].astype(np.float32)
    kept = copy.deepcopy(dict(properties))
    try:
        data, label_map, kept = preprocessor.run_case_npy(
            voxels, label_map, kept, folds.plans, folds.configuration, folds.dataset.content
        )
    except ValueError as error:
        if "zero-size array" not in str(error):
            raise
        size = kept["shape_after_cropping_and_before_resampling"]
        raise PancextError(
            f"nnU-Net crops the image to the {' x '.join(map(str, size))} voxels around what is not 0, and "
            "these vanish on the network's coarser grid. Check the image and the spacing in its header."
        ) from error
    one_hot = 0
    if previous is not None:
        stacked = convert_labelmap_to_one_hot(label_map[0], folds.labels.foreground_labels, data.dtype)
        data, one_hot = np.vstack((data, stacked)), len(stacked)
    tensor = torch.from_numpy(data).to(dtype=torch.float32, memory_format=torch.contiguous_format)
    return PreparedImage(tensor, kept, one_hot)

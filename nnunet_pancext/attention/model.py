"""A trained model, and an image preprocessed for its network."""

import warnings
from collections.abc import Collection, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from numpy.typing import NDArray
from torch import nn

from nnunet_pancext.checkpoints.trained_network import initialize_predictor
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.images import SLICES
from nnunet_pancext.io.label_maps import read_volume
from nnunet_pancext.nnunet_files.trained_files import require_trained_model

READERS = ("SimpleITKIO", "NaturalImage2DIO")  # whose arrays have the axes of ITK
# nnU-Net sums patches in half precision, with weights down to 6e-8 at their corners: values of about 1 would
# underflow there, and much larger ones would overflow at the centres.
SCALE = 2048


@dataclass(frozen=True)
class PreparedImage:
    """An image as the network sees it.

    `data` are (channels, *spatial), preprocessed; `properties` are nnU-Net's record of the preprocessing.
    Maps are written in the geometry of `reference`, the original image.
    """

    data: torch.Tensor
    properties: dict[str, Any]
    reference: sitk.Image


class TrainedModel:
    """One fold of a folder that `nnUNetv2_train` wrote; `allow` are names in its plan that the user trusts.

    Raises:
        PancextError: the folder is not a trained model, lacks the checkpoint, is the second stage of
            nnU-Net's cascade, or cannot be loaded.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fold: str,
        checkpoint: str,
        device: torch.device,
        allow: Collection[str] = (),
    ) -> None:
        file = folder / f"fold_{fold}" / checkpoint
        self.dataset = require_trained_model(folder, [file], remedy="Choose with --fold and --checkpoint.")
        self.is_ct = self.dataset.is_ct
        # nnU-Net prints its search for the trainer, and PyTorch warns about nnU-Net's imports.
        with redirect_stdout(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.predictor = nnUNetPredictor(use_mirroring=False, device=device, allow_tqdm=True)
            initialize_predictor(self.predictor, folder, file, allow=allow)
        self.network: nn.Module = self.predictor.network.to(device).eval()
        self.configuration = self.predictor.configuration_manager
        self.plans = self.predictor.plans_manager
        if self.configuration.previous_stage_name is not None:
            raise PancextError(
                f"{folder} is the second stage of a cascade, which also needs the first stage's prediction. "
                "Give the folder of a 2d, 3d_lowres or 3d_fullres model."
            )
        reader = self.plans.image_reader_writer_class.__name__
        if reader not in READERS:
            raise PancextError(
                f"{folder} was trained on images read by {reader}; maps can only be drawn on those of "
                f"{' and '.join(READERS)}, nnU-Net's choice for NIfTI and for PNG."
            )

    def prepare(self, images: Sequence[Path]) -> PreparedImage:
        """Preprocess an image, given by a readable file per channel, as nnU-Net does before prediction.

        A colour picture has its channels in one file.
        """
        references, channels = [read_volume(path) for path in images], self.dataset.channel_names
        is_colour_picture = images[0].name.lower().endswith(SLICES) and (len(images), len(channels)) == (1, 3)
        if len(images) != len(channels) and not is_colour_picture:
            raise PancextError(
                f"The model takes {counted(len(channels), 'channel')} ({', '.join(channels)}), "
                f"but you gave {counted(len(images), 'image')}. Give one file per channel, in this order."
            )
        preprocessor = self.configuration.preprocessor_class(verbose=False)
        data, _, properties = preprocessor.run_case(
            list(map(str, images)), None, self.plans, self.configuration, self.predictor.dataset_json
        )
        return PreparedImage(torch.as_tensor(data), properties, references[0])

    def slide(self, network: nn.Module, num_maps: int, image: PreparedImage) -> NDArray[np.float32]:
        """Return maps (num_maps, *spatial) of the whole image, averaged where patches overlap.

        `network` maps (1, channels, *patch) to (1, num_maps, *patch), with values from 0 to 1.
        """
        predictor = self.predictor
        original = predictor.network, predictor.label_manager
        predictor.network = nn.Sequential(network, _Scale())
        predictor.label_manager = SimpleNamespace(num_segmentation_heads=num_maps)
        try:
            maps = predictor.predict_sliding_window_return_logits(image.data)
        finally:
            predictor.network, predictor.label_manager = original
        return maps.float().cpu().numpy() / SCALE

    def restore(self, maps: NDArray[np.float32], image: PreparedImage) -> NDArray[np.float32]:
        """Resample maps (num_maps, *preprocessed) to the image's own grid (num_maps, slice, row, column).

        They are 0 where nnU-Net cropped the image.
        """
        properties = image.properties
        target = properties["shape_after_cropping_and_before_resampling"]
        spacing = [properties["spacing"][axis] for axis in self.plans.transpose_forward]
        current = list(self.configuration.spacing)
        current = current if len(current) == len(target) else [spacing[0], *current]
        resampled = self.configuration.resampling_fn_probabilities(maps, target, current, spacing)
        whole = np.zeros((len(maps), *properties["shape_before_cropping"]), np.float32)
        box = (slice(None), *(slice(*ends) for ends in properties["bbox_used_for_cropping"]))
        whole[box] = resampled
        backward = [axis + 1 for axis in self.plans.transpose_backward]
        return whole.transpose(0, *backward)

    def preprocessed_voxel(self, voxel: Sequence[int], image: PreparedImage) -> tuple[int, ...]:
        """Return the position of a voxel (slice, row, column) of the image in its preprocessed array.

        A voxel that nnU-Net crops away is refused.
        """
        transposed = [voxel[axis] for axis in self.plans.transpose_forward]
        box = image.properties["bbox_used_for_cropping"]
        if not all(start <= index < end for index, (start, end) in zip(transposed, box, strict=True)):
            raise PancextError(
                f"--at {_words(voxel)} is in the empty border that nnU-Net crops away. "
                "Choose a voxel of the body."
            )
        return tuple(
            min(length - 1, int((index - start + 0.5) * length / (end - start)))
            for index, (start, end), length in zip(transposed, box, image.data.shape[1:], strict=True)
        )


def check_voxel(voxel: Sequence[int], image: PreparedImage) -> None:
    """Raise PancextError unless a voxel (slice, row, column) is in the image."""
    shape = image.reference.GetSize()[::-1]
    if any(not 0 <= index < length for index, length in zip(voxel, shape, strict=True)):
        raise PancextError(
            f"--at {_words(voxel)} is outside the image, whose size is {_words(shape)} "
            "(slices, rows, columns; counted from 0)."
        )


class _Scale(nn.Module):
    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return SCALE * maps


def _words(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))

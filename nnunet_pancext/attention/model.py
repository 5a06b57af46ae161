"""A trained model and one image, ready for its network."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from acvl_utils.cropping_and_padding.bounding_boxes import insert_crop_into_image
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from numpy.typing import NDArray
from torch import nn

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.label_maps import read_volume

READER = "SimpleITKIO"
# What PyTorch and nnU-Net raise for a damaged checkpoint, plan or dataset.json, or an unknown trainer.
LOADING_ERRORS = (
    RuntimeError,
    LookupError,
    TypeError,
    ValueError,
    OSError,
    EOFError,
    AttributeError,
    pickle.UnpicklingError,
)
# nnU-Net adds patches up in half precision, with weights down to 6e-8 at their corners: values of about 1
# would be lost there, and much larger ones would overflow at the centres.
SCALE = 2048


@dataclass(frozen=True)
class PreparedImage:
    """An image as the network sees it.

    data: (channels, *spatial), preprocessed.
    properties: nnU-Net's record of how it came about.
    reference: the image that was given, whose geometry the maps get.
    """

    data: torch.Tensor
    properties: dict[str, Any]
    reference: sitk.Image


class TrainedModel:
    """One fold of a folder that `nnUNetv2_train` wrote.

    Raises:
        PancextError: the folder is no trained model, lacks the checkpoint, is a cascade's second stage, or
            nnU-Net cannot load it.
    """

    def __init__(self, folder: Path, *, fold: str, checkpoint: str, device: torch.device) -> None:
        _check_folder(folder, fold=fold, checkpoint=checkpoint)
        # nnU-Net tells how it searched for the trainer; PyTorch warns of what nnU-Net imports on the way.
        with redirect_stdout(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.predictor = nnUNetPredictor(use_mirroring=False, device=device, allow_tqdm=True)
            folds = (int(fold) if fold.isdecimal() else fold,)
            try:
                self.predictor.initialize_from_trained_model_folder(str(folder), folds, checkpoint)
                self.predictor.network.load_state_dict(self.predictor.list_of_parameters[0])
            except LOADING_ERRORS as error:
                raise PancextError(
                    f"{folder / f'fold_{fold}' / checkpoint} or the plan beside it cannot be loaded: "
                    f"{type(error).__name__}: {str(error).rstrip('.')}. If a file is damaged, copy the model "
                    "again; if the trainer is not found, install the package that it is from."
                ) from error
        self.network: nn.Module = self.predictor.network.to(device).eval()
        self.configuration = self.predictor.configuration_manager
        self.plans = self.predictor.plans_manager
        if self.configuration.previous_stage_name is not None:
            raise PancextError(
                f"{folder} is the second stage of a cascade, which needs the first stage's prediction too. "
                "Give the folder of a 2d, 3d_lowres or 3d_fullres model."
            )
        if self.plans.image_reader_writer_class.__name__ != READER:
            raise PancextError(
                f"{folder} was trained on images read by {self.plans.image_reader_writer_class.__name__}; "
                f"only those of {READER}, nnU-Net's choice for NIfTI, can be drawn on."
            )

    @property
    def file_ending(self) -> str:
        """How the names of the dataset's images end."""
        return str(self.predictor.dataset_json["file_ending"])

    @property
    def is_ct(self) -> bool:
        """Whether the images' first channel is in HU."""
        return str(next(iter(self.predictor.dataset_json["channel_names"].values()))).casefold() == "ct"

    def prepare(self, images: Sequence[Path]) -> PreparedImage:
        """Preprocess an image, one file per channel, as nnU-Net does before it predicts.

        Raises:
            PancextError: a file is missing or unreadable, or there are too few or too many.
        """
        references = [read_volume(path) for path in images]
        channels = self.predictor.dataset_json["channel_names"]
        if len(images) != len(channels):
            raise PancextError(
                f"The model takes {len(channels)} channel(s) ({', '.join(channels.values())}), "
                f"but {len(images)} image(s) were given. Give one file per channel, in this order."
            )
        preprocessor = self.configuration.preprocessor_class(verbose=False)
        data, _, properties = preprocessor.run_case(
            [str(path) for path in images],
            None,
            self.plans,
            self.configuration,
            self.predictor.dataset_json,
        )
        return PreparedImage(torch.as_tensor(data), properties, references[0])

    def slide(self, network: nn.Module, num_maps: int, image: PreparedImage) -> NDArray[np.float32]:
        """Return what `network` gives for each patch, averaged where patches overlap: (num_maps, *spatial).

        `network` takes (1, channels, *patch) and gives (1, num_maps, *patch), with values between 0 and 1.
        """
        predictor = self.predictor
        before = predictor.network, predictor.label_manager
        predictor.network = _Scaled(network)
        predictor.label_manager = SimpleNamespace(num_segmentation_heads=num_maps)
        try:
            found = predictor.predict_sliding_window_return_logits(image.data)
        finally:
            predictor.network, predictor.label_manager = before
        return found.float().cpu().numpy() / SCALE

    def restore(self, maps: NDArray[np.float32], image: PreparedImage) -> NDArray[np.float32]:
        """Return maps (num_maps, *preprocessed) in the image's own grid (num_maps, slice, row, column).

        What nnU-Net cropped away is 0.
        """
        properties = image.properties
        target = properties["shape_after_cropping_and_before_resampling"]
        spacing = [properties["spacing"][axis] for axis in self.plans.transpose_forward]
        current = list(self.configuration.spacing)
        current = current if len(current) == len(target) else [spacing[0], *current]
        resampled = self.configuration.resampling_fn_probabilities(maps, target, current, spacing)
        whole = np.zeros((len(maps), *properties["shape_before_cropping"]), np.float32)
        for plane, part in zip(whole, np.asarray(resampled), strict=True):
            insert_crop_into_image(plane, part, properties["bbox_used_for_cropping"])
        backward = [axis + 1 for axis in self.plans.transpose_backward]
        return whole.transpose(0, *backward)

    def preprocessed_voxel(self, voxel: Sequence[int], image: PreparedImage) -> tuple[int, ...]:
        """Return where a voxel (slice, row, column) of the image lies in its preprocessed array.

        Raises:
            PancextError: it lies where nnU-Net crops it away.
        """
        forward = [voxel[axis] for axis in self.plans.transpose_forward]
        found = []
        for index, (start, end), length in zip(
            forward,
            image.properties["bbox_used_for_cropping"],
            image.data.shape[1:],
            strict=True,
        ):
            if not start <= index < end:
                raise PancextError(
                    f"--at {_words(voxel)} lies in the empty border that nnU-Net crops away. "
                    "Choose a voxel of the body."
                )
            found.append(min(length - 1, int((index - start + 0.5) * length / (end - start))))
        return tuple(found)


def choose_device(name: str | None) -> torch.device:
    """Return the device of this name, or, without a name, a GPU if there is one.

    Raises:
        PancextError: PyTorch cannot use it here.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name is None:
        return torch.device("cuda" if there["cuda"] else "cpu")
    if not there[name]:
        raise PancextError(
            f"PyTorch finds no {name} device here. Leave --device out, or look with pancext doctor."
        )
    return torch.device(name)


def check_voxel(voxel: Sequence[int], image: PreparedImage) -> None:
    """Check that a voxel (slice, row, column) lies in the image.

    Raises:
        PancextError: it does not.
    """
    shape = image.reference.GetSize()[::-1]
    if any(not 0 <= index < length for index, length in zip(voxel, shape, strict=True)):
        raise PancextError(
            f"--at {_words(voxel)} lies outside of the image, whose size is {_words(shape)} "
            "(slices, rows, columns; counted from 0)."
        )


class _Scaled(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, patch: torch.Tensor) -> torch.Tensor:
        return SCALE * self.network(patch)


def _check_folder(folder: Path, *, fold: str, checkpoint: str) -> None:
    for name in ("plans.json", "dataset.json"):
        if not (folder / name).is_file():
            raise PancextError(
                f"{folder} is no trained model: it has no {name}. Name the folder that nnUNetv2_train wrote, "
                "$nnUNet_results/DatasetXXX_Name/TRAINER__PLANS__CONFIGURATION."
            )
        try:
            json.loads((folder / name).read_text(encoding="utf-8"))
        except ValueError as error:
            raise PancextError(f"{folder / name} is not JSON: {error}. Copy the model again.") from error
    file = folder / f"fold_{fold}" / checkpoint
    if not file.is_file():
        known = sorted(str(path.relative_to(folder)) for path in folder.glob("fold_*/checkpoint_*.pth"))
        raise PancextError(
            f"There is no {file}. This model has: {', '.join(known) or 'no checkpoint'}. "
            "Choose with --fold and --checkpoint."
        )


def _words(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))

"""A preprocessed nnU-Net dataset made directly, so that a trainer can be tried in seconds."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.training.logging.nnunet_logger import LocalLogger
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_pancext.trainers.machinery.default_plan import default_plans

DATASET = "Dataset007_Pancreas"
CASES = [f"pancreas_{number:03d}" for number in (1, 4, 5, 9)]
SHAPE = (12, 36, 36)

# What nnU-Net's validation needs to restore a prediction: nothing was cropped or resampled.
SPACING = [2.5, 0.8, 0.8]
PROPERTIES: dict[str, Any] = {
    "spacing": SPACING,
    "shape_before_cropping": SHAPE,
    "shape_after_cropping_and_before_resampling": SHAPE,
    "bbox_used_for_cropping": [[0, length] for length in SHAPE],
    "sitk_stuff": {
        "spacing": tuple(SPACING[::-1]),
        "origin": (0.0, 0.0, 0.0),
        "direction": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    },
}

# Each plan's first stride is anisotropic in 3D; 2D has fewer stages than some networks have levels.
PATCHES = {
    "2d": ([32, 32], [[1, 1], [2, 2], [2, 2]]),
    "3d_lowres": ([8, 16, 16], [[1, 1, 1], [1, 2, 2], [2, 2, 2]]),
    "3d_fullres": ([8, 32, 32], [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]]),
}

LABELS: dict[str, dict[str, Any]] = {
    "one foreground": {"labels": {"background": 0, "pancreas": 1}},
    "two foregrounds": {"labels": {"background": 0, "pancreas": 1, "cancer": 2}},
    "fourteen foregrounds": {
        "labels": {"background": 0, **{f"organ {number}": number for number in range(1, 15)}}
    },
    "ignore": {"labels": {"background": 0, "pancreas": 1, "cancer": 2, "ignore": 3}},
    "regions": {
        "labels": {"background": 0, "organ": [1, 2], "cancer": [2]},
        "regions_class_order": [1, 2],
    },
    "regions and ignore": {
        "labels": {"background": 0, "organ": [1, 2], "cancer": [2], "ignore": 3},
        "regions_class_order": [1, 2],
    },
}


def made_plans(channels: int = 1) -> dict[str, Any]:
    """Return nnU-Net plans with small patches for 2d, 3d_fullres, 3d_lowres and the cascade."""
    plans = default_plans()
    known = plans["configurations"]
    known["3d_lowres"] = deepcopy(known["3d_fullres"])
    known["3d_lowres"]["data_identifier"] = "nnUNetPlans_3d_lowres"
    for name, (patch, strides) in PATCHES.items():
        known[name]["patch_size"] = patch
        known[name]["batch_size"] = 2
        known[name]["normalization_schemes"] = ["CTNormalization"] * channels
        known[name]["use_mask_for_norm"] = [False] * channels
        architecture = known[name]["architecture"]["arch_kwargs"]
        architecture.update(
            strides=strides,
            n_stages=len(strides),
            features_per_stage=[8 * 2**stage for stage in range(len(strides))],
            kernel_sizes=[[3] * len(patch)] * len(strides),
            n_conv_per_stage=[1] * len(strides),
            n_conv_per_stage_decoder=[1] * (len(strides) - 1),
        )
    known["3d_lowres"]["next_stage"] = "3d_cascade_fullres"
    known["3d_cascade_fullres"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    return plans


def made_dataset_json(kind: str = "two foregrounds", channels: int = 1) -> dict[str, Any]:
    """Return a dataset.json with one of `LABELS`."""
    return {
        **LABELS[kind],
        "channel_names": {str(channel): "CT" for channel in range(channels)},
        "file_ending": ".nii.gz",
        "numTraining": len(CASES),
    }


def made_trainer(trainer: Any, kind: str = "two foregrounds") -> Any:
    """Return a trainer of this class for fold 0 of the dataset in 2D, on a CPU."""
    plans = {**made_plans(), "continue_training": False}
    return trainer(plans, "2d", 0, made_dataset_json(kind), torch.device("cpu"))


def make_preprocessed(root: Path, *, kind: str = "two foregrounds", channels: int = 1) -> Path:
    """Write the dataset under `root`/nnUNet_preprocessed and return its folder."""
    folder = root / "nnUNet_preprocessed" / DATASET
    folder.mkdir(parents=True)
    plans, dataset_json = made_plans(channels), made_dataset_json(kind, channels)
    (folder / "nnUNetPlans.json").write_text(json.dumps(plans), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(dataset_json), encoding="utf-8")
    (folder / "dataset_fingerprint.json").write_text("{}", encoding="utf-8")
    (folder / "splits_final.json").write_text(
        json.dumps([{"train": CASES[:3], "val": CASES[3:]}]), encoding="utf-8"
    )
    label_manager = PlansManager(plans).get_label_manager(dataset_json)
    wanted = (
        label_manager.foreground_regions if label_manager.has_regions else label_manager.foreground_labels
    )
    if label_manager.has_ignore_label:
        wanted = [*wanted, (-1, *label_manager.all_labels)]
    generator = np.random.default_rng(0)
    blocks = {"chunks": (channels, *SHAPE), "blocks": (channels, *SHAPE)}
    for case in CASES:
        image, label = _made_case(
            generator, channels, max(label_manager.all_labels), label_manager.ignore_label
        )
        locations = DefaultPreprocessor._sample_foreground_locations(label, wanted)
        for name in PATCHES:
            target = folder / f"nnUNetPlans_{name}"
            target.mkdir(exist_ok=True)
            nnUNetDatasetBlosc2.save_case(
                image,
                label,
                {"class_locations": locations, **PROPERTIES},
                str(target / case),
                **blocks,
                chunks_seg=(1, *SHAPE),
                blocks_seg=(1, *SHAPE),
            )
    return folder


def write_ground_truth(folder: Path) -> None:
    """Write the label maps that nnU-Net's final validation compares with."""
    target = folder / "gt_segmentations"
    target.mkdir()
    for case in CASES:
        label = nnUNetDatasetBlosc2(str(folder / "nnUNetPlans_2d"), [case]).load_case(case)[1]
        image = sitk.GetImageFromArray(np.asarray(label[0]).astype(np.uint8))
        image.SetSpacing(PROPERTIES["sitk_stuff"]["spacing"])
        sitk.WriteImage(image, str(target / f"{case}.nii.gz"))


def make_previous_stage(root: Path, trainer_name: str) -> None:
    """Write what the cascade's second stage takes from the first one of the same trainer."""
    model = root / "nnUNet_results" / DATASET / f"{trainer_name}__nnUNetPlans__3d_lowres"
    folder = model / "predicted_next_stage" / "3d_cascade_fullres"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(1)
    for case in CASES:
        label = generator.integers(0, 3, SHAPE).astype(np.uint8)
        nnUNetDatasetBlosc2.save_seg(label, str(folder / case))


def use_folders(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """Let nnU-Net work under `root`, single-threaded."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (root / name).mkdir(exist_ok=True)
        monkeypatch.setenv(name, str(root / name))
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    # drawing the curves takes longer than these trainings; the end-to-end tests draw them
    monkeypatch.setattr(LocalLogger, "plot_progress_png", lambda self, folder: None)


def _made_case(
    generator: np.random.Generator, channels: int, highest: int, ignore: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """A noisy image in which the labelled boxes are brighter."""
    label = np.zeros((1, *SHAPE), np.int8)
    for value in range(1, highest + 1):
        corner = [generator.integers(0, length - 6) for length in SHAPE]
        box = tuple(slice(start, start + 6) for start in corner)
        label[0][box] = value
    if ignore is not None:
        label[0, :, :4] = ignore
    image = generator.normal(size=(channels, *SHAPE)).astype(np.float32) + (label > 0)
    return image.astype(np.float32), label

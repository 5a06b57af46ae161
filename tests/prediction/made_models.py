"""Tiny untrained models as nnUNetv2_train leaves them, images for them, and what nnU-Net predicts."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from contracts.made_preprocessed import DATASET, made_dataset_json, made_plans
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_pancext.cli.main import main

INTENSITIES = {"mean": 80.0, "std": 75.0, "percentile_00_5": -96.0, "percentile_99_5": 215.0}
SPACING = (0.8, 0.8, 2.5)  # x, y, z: that of the plan, so that nothing is resampled
SHAPE = (7, 30, 34)
CHECKPOINT = "checkpoint_final.pth"


def plans_of(channels: int = 1, **changes: Any) -> dict[str, Any]:
    """Small plans whose networks have two stages only."""
    plans = made_plans(channels)
    plans["dataset_name"] = DATASET
    plans["label_manager"] = "LabelManager"
    plans["foreground_intensity_properties_per_channel"] = {
        str(channel): INTENSITIES for channel in range(channels)
    }
    for configuration in plans["configurations"].values():
        if "architecture" not in configuration:
            continue
        options = configuration["architecture"]["arch_kwargs"]
        dims = len(configuration["patch_size"])
        configuration["patch_size"] = [4, 24, 24][-dims:]
        options.update(
            n_stages=2,
            strides=[[1] * dims, [1, 2, 2][-dims:]],
            features_per_stage=[4, 8],
            kernel_sizes=[[3] * dims] * 2,
            n_conv_per_stage=[1, 1],
            n_conv_per_stage_decoder=[1],
        )
    plans["configurations"]["3d_lowres"]["spacing"] = [3.0, 1.2, 1.2]
    return {**plans, **changes}


def write_model(
    results: Path,
    configuration: str = "3d_fullres",
    *,
    folds: Sequence[str] = ("0",),
    labels: str = "two foregrounds",
    channels: int = 1,
    trainer: str = "nnUNetTrainer",
    plans: dict[str, Any] | None = None,
    **dataset: Any,
) -> Path:
    """Write a model whose folds have random weights, below nnUNet_results, and return its folder."""
    plans = plans or plans_of(channels)
    dataset_json = {**made_dataset_json(labels, channels), **dataset}
    folder = results / DATASET / f"{trainer}__nnUNetPlans__{configuration}"
    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(dataset_json), encoding="utf-8")
    for fold in folds:
        write_fold(folder, fold, configuration=configuration, plans=plans, dataset_json=dataset_json)
    return folder


def write_fold(
    folder: Path, fold: str, *, configuration: str, plans: dict[str, Any], dataset_json: dict[str, Any]
) -> Path:
    """Write the checkpoint of a fold, whose weights depend on its name, and return it."""
    manager = PlansManager(plans)
    settings = manager.get_configuration(configuration)
    torch.manual_seed(sum(map(ord, fold)))
    network = nnUNetTrainer.build_network_architecture(
        manager,
        settings,
        determine_num_input_channels(manager, settings, dataset_json),
        manager.get_label_manager(dataset_json).num_segmentation_heads,
        enable_deep_supervision=False,
    )
    with torch.no_grad():  # so that every head is the largest somewhere
        head = network.decoder.seg_layers[-1]
        head.weight -= head.weight.mean(1, keepdim=True)
        head.bias.zero_()
    path = folder / f"fold_{fold}" / CHECKPOINT
    path.parent.mkdir()
    content = {
        "network_weights": network.state_dict(),
        "trainer_name": folder.name.split("__")[0],
        "init_args": {
            "configuration": configuration,
            "plans": plans,
            "dataset_json": dataset_json,
            "fold": fold,
        },
        "inference_allowed_mirroring_axes": tuple(range(len(settings.patch_size))),
        "current_epoch": 1,
    }
    torch.save(content, path)
    return path


def voxels(seed: int = 0, shape: Sequence[int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(60, 90, shape).astype(np.int16)


def write_image(
    path: Path, *, seed: int = 0, shape: Sequence[int] = SHAPE, spacing: Sequence[float] = SPACING
) -> Path:
    """Write noise as an image that is not axis-aligned by chance: patient axes are flipped."""
    image = sitk.GetImageFromArray(voxels(seed, shape))
    image.SetSpacing(spacing[: len(shape)])
    image.SetOrigin((-11.5, 20.25, 300.0)[: len(shape)])
    if len(shape) == 3:
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def predict(*words: Any) -> int:
    """Run the command on a CPU, by default as nnU-Net does."""
    speed = () if "--speed" in words else ("--speed", "exact")
    return main(["predict", *map(str, words), *speed, "-device", "cpu"])


def stock(
    model: Path,
    images: Sequence[Sequence[Path]],
    out: Path,
    *,
    folds: Sequence[int | str] = (0,),
    previous: Path | None = None,
    probabilities: bool = False,
    mirroring: bool = True,
) -> Path:
    """Predict with nnU-Net's own predictor, in this process, and return the folder."""
    predictor = nnUNetPredictor(use_mirroring=mirroring, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(model), tuple(folds), CHECKPOINT)
    out.mkdir(parents=True, exist_ok=True)
    predictor.predict_from_files_sequential(
        [list(map(str, files)) for files in images],
        str(out),
        save_probabilities=probabilities,
        folder_with_segs_from_prev_stage=None if previous is None else str(previous),
    )
    return out


def array(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def record(out: Path, case: str = "ct") -> dict[str, Any]:
    return json.loads((out / f"{case}.json").read_text(encoding="utf-8"))

"""nnU-Net's plan for MSD pancreas, the default of `pancext trainers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Of the dataset as converted with the pancreas and its tumours as one label.
DEFAULT_DATASET_JSON: dict[str, Any] = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "pancreas": 1},
    "file_ending": ".nii.gz",
    "numTraining": 281,
}

SLICE_SPACING_MM, PIXEL_SPACING_MM = 2.5, 0.8
MEDIAN_SHAPE = [96, 512, 512]
BASE_FEATURES = 32
MOST_FEATURES = {2: 512, 3: 320}


def default_plans() -> dict[str, Any]:
    """Return a new plan with the configurations `2d` and `3d_fullres`, as the default planner writes it.

    Without intensity statistics, which need the images.
    """
    return {
        "dataset_name": "Dataset007_Pancreas",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [SLICE_SPACING_MM, PIXEL_SPACING_MM, PIXEL_SPACING_MM],
        "original_median_shape_after_transp": list(MEDIAN_SHAPE),
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {
            "2d": _configuration(
                "2d",
                batch_size=12,
                patch_size=[512, 512],
                spacing=[PIXEL_SPACING_MM] * 2,
                strides=[[1, 1], *([2, 2] for _ in range(7))],
                kernel_sizes=[[3, 3] for _ in range(8)],
                batch_dice=True,
            ),
            "3d_fullres": _configuration(
                "3d_fullres",
                batch_size=2,
                patch_size=[40, 224, 224],
                spacing=[SLICE_SPACING_MM, PIXEL_SPACING_MM, PIXEL_SPACING_MM],
                strides=[[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]],
                kernel_sizes=[[1, 3, 3], *([3, 3, 3] for _ in range(5))],
                batch_dice=False,
            ),
        },
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
    }


def _configuration(
    name: str,
    *,
    batch_size: int,
    patch_size: list[int],
    spacing: list[float],
    strides: Sequence[list[int]],
    kernel_sizes: Sequence[list[int]],
    batch_dice: bool,
) -> dict[str, Any]:
    """Return one configuration; `strides` and `kernel_sizes` have an entry for each stage."""
    dims, stages = len(patch_size), len(strides)
    resampling = "resample_data_or_seg_to_shape"
    resampling_options = {"order_z": 0, "force_separate_z": None}
    return {
        "data_identifier": f"nnUNetPlans_{name}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": batch_size,
        "patch_size": patch_size,
        "median_image_size_in_voxels": [float(length) for length in MEDIAN_SHAPE[-dims:]],
        "spacing": spacing,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": resampling,
        "resampling_fn_seg": resampling,
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **resampling_options},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **resampling_options},
        "resampling_fn_probabilities": resampling,
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, **resampling_options},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": stages,
                "features_per_stage": [
                    min(BASE_FEATURES * 2**stage, MOST_FEATURES[dims]) for stage in range(stages)
                ],
                "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
                "kernel_sizes": list(kernel_sizes),
                "strides": list(strides),
                "n_conv_per_stage": [2] * stages,
                "n_conv_per_stage_decoder": [2] * (stages - 1),
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": batch_dice,
    }

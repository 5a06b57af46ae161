"""A model that segments the organ and the lesion of `contracts.dicom_series` by their intensity, exactly.

Its network is nnU-Net's own, with weights set by hand: no norm, one channel passes through, and the heads are
lines whose upper envelope changes at -20 HU (background, lesion) and at 70 HU (lesion, organ).
"""

import json
from pathlib import Path
from typing import Any

import torch
from contracts.dicom_series import SPACING_MM
from contracts.made_preprocessed import DATASET
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from prediction.made_models import CHECKPOINT, INTENSITIES, plans_of

LABELS = {"background": 0, "pancreas": 1, "tumour": 2}
PASSED = 100.0  # added on the way, so that the activation is linear there
FIRST_BG, FIRST_ORGAN = -20.0, 70.0  # HU


def write_threshold_model(
    results: Path, *, labels: dict[str, Any] | None = None, reader: str = "SimpleITKIO", **dataset: Any
) -> Path:
    """Write the model below nnUNet_results and return its folder."""
    plans = plans_of(image_reader_writer=reader)
    settings = plans["configurations"]["3d_fullres"]
    settings["spacing"], settings["patch_size"] = list(SPACING_MM), [14, 40, 48]
    settings["architecture"]["arch_kwargs"].update(norm_op=None, norm_op_kwargs=None)
    dataset_json = {
        "channel_names": {"0": "CT"},
        "labels": labels or LABELS,
        "numTraining": 5,
        "file_ending": ".nii.gz",
        **dataset,
    }
    folder = results / DATASET / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(dataset_json), encoding="utf-8")
    content = {
        "network_weights": _network(plans, heads=len(dataset_json["labels"])).state_dict(),
        "trainer_name": "nnUNetTrainer",
        "init_args": {
            "configuration": "3d_fullres",
            "plans": plans,
            "dataset_json": dataset_json,
            "fold": 0,
        },
        "inference_allowed_mirroring_axes": (0, 1, 2),
        "current_epoch": 1,
    }
    torch.save(content, folder / "fold_0" / CHECKPOINT)
    return folder


def _network(plans: dict[str, Any], *, heads: int) -> torch.nn.Module:
    manager = PlansManager(plans)
    settings = manager.get_configuration("3d_fullres")
    network = nnUNetTrainer.build_network_architecture(
        manager, settings, 1, heads, enable_deep_supervision=False
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        first = network.encoder.stages[0][0].convs[0].conv
        first.weight[0, 0, 1, 1, 1], first.bias[0] = 1, PASSED
        last = network.decoder.stages[0].convs[0].conv
        skip = last.in_channels // 2  # after the channels from below
        last.weight[0, skip, 1, 1, 1] = 1
        head = network.decoder.seg_layers[-1]
        to_lesion, to_organ = (
            PASSED + (hu - INTENSITIES["mean"]) / INTENSITIES["std"] for hu in (FIRST_BG, FIRST_ORGAN)
        )
        # background 0, lesion x - a, organ 2x - a - b: they cross at a and b
        head.weight[1, 0], head.bias[1] = 2, -to_lesion - to_organ
        head.weight[2, 0], head.bias[2] = 1, -to_lesion
    return network

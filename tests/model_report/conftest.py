"""A trained model's folder as nnUNetv2_train leaves it, made without training."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from nnunet_pancext.dataset_conversion.msd import convert_msd
from nnunet_pancext.phantom import write_phantom_dataset

EPOCHS = 6
LOG = """\
2026-11-21 10:00:00.000000: Epoch {epoch}
2026-11-21 10:00:00.000000: Current learning rate: 0.01
2026-11-21 10:00:09.000000: Phase {phase}: organ 1.2
"""


def logged():
    """What nnU-Net's logger keeps, with columns of ours."""
    steps = range(EPOCHS)
    return {
        "train_losses": [1 / (1 + step) for step in steps],
        "val_losses": [1.2 / (1 + step) for step in steps],
        "ema_fg_dice": [0.1 * step for step in steps],
        "dice_per_class_or_region": [[0.1, 0.2] for _ in steps],
        "lrs": [0.01 - 0.001 * step for step in steps],
        "epoch_start_timestamps": [100.0 + 10 * step for step in steps],
        "epoch_end_timestamps": [109.0 + 10 * step for step in steps],
        "loss_weight_dice": [step / EPOCHS for step in steps],
        "loss_weight_ce": [1 - step / EPOCHS for step in steps],
        "cascade window": [float("nan"), *(0.5 for _ in range(EPOCHS - 1))],
    }


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """nnU-Net's folders with one model of two folds, two cases each, predicted one voxel too far."""
    root = tmp_path_factory.mktemp("made_model")
    source = write_phantom_dataset(root / "source", cases=4, size=(16, 48, 48), seed=2, show_progress=False)
    raw = convert_msd(
        source, raw_root=root / "nnUNet_raw", labels="pancreas+tumour", show_progress=False
    ).folder
    model = root / "nnUNet_results" / raw.name / "OthersTrainer__nnUNetPlans__2d"
    truths = sorted((raw / "labelsTr").iterdir())
    for fold, cases in enumerate((truths[:2], truths[2:])):
        validation = model / f"fold_{fold}" / "validation"
        validation.mkdir(parents=True)
        for shift, truth in enumerate(cases, start=1):
            image = sitk.ReadImage(str(truth))
            array = sitk.GetArrayFromImage(image)
            predicted = sitk.GetImageFromArray(np.roll(array, shift, axis=2))
            predicted.CopyInformation(image)
            sitk.WriteImage(predicted, str(validation / truth.name))
            probabilities = np.stack([np.roll(array, shift, axis=2) == value for value in range(3)])
            np.savez_compressed(
                validation / f"{truth.name.removesuffix('.nii.gz')}.npz",
                probabilities=probabilities.astype(np.float16),
            )
        (validation / "summary.json").write_text("{}")
        torch.save(
            {"logging": logged(), "network_weights": {}}, model / f"fold_{fold}" / "checkpoint_final.pth"
        )
        text = "".join(LOG.format(epoch=epoch, phase="SIJ"[epoch // 2]) for epoch in range(EPOCHS))
        (model / f"fold_{fold}" / "training_log_2026_11_21_10_00_00.txt").write_text(text)
    shutil.copy(raw / "dataset.json", model / "dataset.json")
    (model / "plans.json").write_text(json.dumps({"plans_name": "nnUNetPlans"}))
    return root


@pytest.fixture
def model(made, monkeypatch):
    """The model's folder, with nnU-Net's variables set."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(made / name))
    return next((made / "nnUNet_results").glob("*/*__*__*"))

"""A trained model's folder as nnUNetv2_train leaves it, made without training."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.cli.main import main
from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.phantom import write_phantom_dataset

EPOCHS = 6


@pytest.fixture(scope="module", autouse=True)
def _coarse(coarse_figures):
    """These tests look at pages."""


LOG = """\
2026-11-21 10:00:00.000000: Epoch {epoch}{blank}
2026-11-21 10:00:00.000000: Current learning rate: {lrs}{blank}
2026-11-21 10:00:00.000000: Loss weights: Dice {dice_weight:.4f}, CE {ce_weight:.4f}{blank}
2026-11-21 10:00:09.000000: Phase {phase}: organ 1.2, window {window:.4g}{blank}
2026-11-21 10:00:09.000000: train_loss {train_losses}{blank}
2026-11-21 10:00:09.000000: val_loss {val_losses}{blank}
2026-11-21 10:00:09.000000: Pseudo dice [np.float32({dice}), np.float32(nan)]{blank}
2026-11-21 10:00:09.000000: Epoch time: 9.0 s{blank}
"""


def log_text():
    """What nnU-Net logs as text, with lines of ours."""
    return "".join(
        LOG.format(
            blank=" ",
            epoch=step,
            lrs=round(0.01 - 0.001 * step, 5),
            dice_weight=step / EPOCHS,
            ce_weight=1 - step / EPOCHS,
            phase="SIJ"[step // 2],
            window=0.5 if step else float("nan"),
            train_losses=round(1 / (1 + step), 4),
            val_losses=round(1.2 / (1 + step), 4),
            dice=round(0.1 * step, 4),
        )
        for step in range(EPOCHS)
    )


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
        (validation / "summary.json").write_text("{}", encoding="utf-8")
        (model / f"fold_{fold}" / "checkpoint_final.pth").write_bytes(b"not opened")
        (model / f"fold_{fold}" / "training_log_2026_11_21_10_00_00.txt").write_text(
            log_text(), encoding="utf-8"
        )
    shutil.copy(raw / "dataset.json", model / "dataset.json")
    (model / "plans.json").write_text(json.dumps({"plans_name": "nnUNetPlans"}), encoding="utf-8")
    return root


def model_in(made, monkeypatch):
    """Return the folder of the model that was made, and set nnU-Net's variables."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(made / name))
    return next((made / "nnUNet_results").glob("*/*__*__*"))


@pytest.fixture
def model(made, monkeypatch):
    """The model's folder, with nnU-Net's variables set."""
    return model_in(made, monkeypatch)


@pytest.fixture(scope="module")
def page_file(made, tmp_path_factory):
    """The page about the model, for tests that only look at it."""
    folder = tmp_path_factory.mktemp("page")
    target = folder / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        model = model_in(made, patch)
        assert main(["report", str(model), "-o", str(target)]) == 0
    assert list(folder.iterdir()) == [target]
    return target

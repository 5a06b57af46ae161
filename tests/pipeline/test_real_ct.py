"""Two real CTs of one patient through nnU-Net: convert, plan, train, predict."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from contracts.host_commands import Project

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd

pytestmark = pytest.mark.exhaustive

TRAINER = "SegResNetNLTrainer_1epochs_2iterations"
PANCREAS = 7
VOLUMES = {"pancreas_001": "ts_example_ct_sm", "pancreas_002": "ts_example_ct"}


def make_msd_folder(real_ct: Path, folder: Path) -> Path:
    """Write the two volumes in the layout of MSD Task07, with the pancreas as the only label."""
    for name in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / name).mkdir(parents=True)
    for case, source in VOLUMES.items():
        (folder / "imagesTr" / f"{case}.nii.gz").symlink_to(real_ct / source / "image.nii.gz")
        label = sitk.ReadImage(str(real_ct / source / "label.nii.gz"))
        pancreas = sitk.Cast(label == PANCREAS, sitk.sitkUInt8)
        sitk.WriteImage(pancreas, str(folder / "labelsTr" / f"{case}.nii.gz"))
    training = [{"image": f"./imagesTr/{c}.nii.gz", "label": f"./labelsTr/{c}.nii.gz"} for c in VOLUMES]
    declared = {
        "name": "Pancreas",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "pancreas"},
        "numTraining": 2,
        "training": training,
        "test": [],
    }
    (folder / "dataset.json").write_text(json.dumps(declared), encoding="utf-8")
    return folder


def test_real_ct_all_the_way(shared_data, tmp_path):
    source = make_msd_folder(shared_data / "real_ct", tmp_path / "source" / "Task07_Pancreas")
    project = Project(tmp_path, tmp_path / "results")
    result = convert_msd(source, raw_root=tmp_path / "raw", show_progress=False)
    assert result.training == tuple(VOLUMES)
    project.run(
        *("nnUNetv2_plan_and_preprocess", "-d", 7, "-c", "2d"),
        *("--verify_dataset_integrity", "-npfp", 1, "-np", 1),
    )
    # One patient: train on both. The smaller volume is enough for nnU-Net's validation.
    split = [{"train": list(VOLUMES), "val": ["pancreas_001"]}]
    (tmp_path / "preprocessed" / project.raw.name / "splits_final.json").write_text(
        json.dumps(split), encoding="utf-8"
    )
    project.run("nnUNetv2_train", 7, "2d", 0, "-tr", TRAINER, "-device", "cpu")
    out = tmp_path / "predicted"
    project.run(
        *("nnUNetv2_predict", "-i", project.raw / "imagesTr", "-o", out, "-d", 7, "-c", "2d", "-f", 0),
        *("-tr", TRAINER, "-device", "cpu", "--disable_tta", "-npp", 0, "-nps", 0),
    )
    for case in VOLUMES:
        image = sitk.ReadImage(str(project.raw / "imagesTr" / f"{case}_0000.nii.gz"))
        found = sitk.ReadImage(str(out / f"{case}.nii.gz"))
        assert found.GetSize() == image.GetSize()
        np.testing.assert_allclose(found.GetSpacing(), image.GetSpacing(), rtol=1e-6)
        np.testing.assert_allclose(found.GetOrigin(), image.GetOrigin(), atol=1e-4)
        np.testing.assert_allclose(found.GetDirection(), image.GetDirection(), atol=1e-6)

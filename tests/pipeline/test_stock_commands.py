"""Train, kill, continue, validate, predict, select, export and import with nnU-Net's commands."""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

pytestmark = pytest.mark.slow

TRAINER = "SegResNetNLTrainer_4epochs_2iterations"
CPU = ("-device", "cpu")


@pytest.fixture(scope="module")
def trained(phantom_project):
    phantom_project.run_script("nnUNetv2_train", 7, "2d", 0, "-tr", TRAINER, "--npz", *CPU)
    return phantom_project


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "fold_0" / "checkpoint_final.pth", weights_only=False)["network_weights"]


def test_training_leaves_what_nnunet_leaves(trained):
    fold = trained.model(TRAINER, "2d") / "fold_0"
    for name in ("checkpoint_final.pth", "checkpoint_best.pth", "progress.png", "validation/summary.json"):
        assert (fold / name).is_file()
    assert not list(fold.glob(".partial*"))


def test_a_killed_and_continued_training_ends_with_the_same_weights(trained):
    project = trained.with_results("results_killed")
    folder = project.model(TRAINER, "2d")
    process = project.start("nnUNetv2_train", 7, "2d", 0, "-tr", TRAINER, *CPU)
    deadline = time.monotonic() + 300
    while not (folder / "fold_0" / "checkpoint_latest.pth").is_file() and time.monotonic() < deadline:
        assert process.is_alive(), "the training ended before it could be killed"
        time.sleep(0.02)
    process.kill()
    process.join()
    assert not (folder / "fold_0" / "checkpoint_final.pth").exists()

    output = project.run("nnUNetv2_train", 7, "2d", 0, "-tr", TRAINER, "--c", *CPU)
    assert "Epoch 0" not in output
    found, expected = weights(folder), weights(trained.model(TRAINER, "2d"))
    assert found.keys() == expected.keys()
    assert not [name for name in expected if not torch.equal(found[name], expected[name])]


def test_validation_only(trained):
    summary = trained.model(TRAINER, "2d") / "fold_0" / "validation" / "summary.json"
    before = summary.read_text(encoding="utf-8")
    summary.unlink()
    trained.run("nnUNetv2_train", 7, "2d", 0, "-tr", TRAINER, "--val", "--npz", *CPU)
    assert summary.read_text(encoding="utf-8") == before


def test_best_configuration(trained):
    trained.run("nnUNetv2_find_best_configuration", 7, "-c", "2d", "-tr", TRAINER, "-f", 0, "-np", 1)
    information = trained.results / trained.raw.name / "inference_information.json"
    assert TRAINER in information.read_text(encoding="utf-8")


def test_an_exported_model_predicts_after_import_with_the_geometry_of_the_images(trained, tmp_path):
    archive = tmp_path / "model.zip"
    chosen = ("-d", 7, "-o", archive, "-c", "2d", "-f", 0, "-tr", TRAINER)
    trained.run("nnUNetv2_export_model_to_zip", *chosen)
    elsewhere = trained.with_results("results_imported")
    elsewhere.run("nnUNetv2_install_pretrained_model_from_zip", archive)
    found, expected = weights(elsewhere.model(TRAINER, "2d")), weights(trained.model(TRAINER, "2d"))
    assert not [name for name in expected if not torch.equal(found[name], expected[name])]

    out = tmp_path / "predicted"
    where = ("-i", trained.raw / "imagesTs", "-o", out, "-d", 7, "-c", "2d", "-f", 0)
    elsewhere.run("nnUNetv2_predict", *where, "-tr", TRAINER, "-npp", 1, "-nps", 1, *CPU)
    images = sorted((trained.raw / "imagesTs").glob("*.nii.gz"))
    assert len(images) == 2
    for image in images:
        expected = sitk.ReadImage(str(image))
        found = sitk.ReadImage(str(out / image.name.replace("_0000", "")))
        assert found.GetSize() == expected.GetSize()
        np.testing.assert_allclose(found.GetSpacing(), expected.GetSpacing(), rtol=1e-6)
        np.testing.assert_allclose(found.GetOrigin(), expected.GetOrigin(), atol=1e-4)
        np.testing.assert_allclose(found.GetDirection(), expected.GetDirection(), atol=1e-6)
        assert set(np.unique(sitk.GetArrayFromImage(found))) <= {0, 1, 2}


def test_a_broken_batch_stops_the_command_with_a_message_and_no_traceback(trained, monkeypatch):
    """A preprocessed case with NaN, as a faulty disk or a bad resampling would leave it."""
    broken = trained.with_results("results_nan")
    source, copy = trained.root / "preprocessed", trained.root / "preprocessed_sound"
    shutil.copytree(source, copy)
    try:
        _fill_with_nan(source / trained.raw.name / "nnUNetPlans_2d")
        output = broken.run_script("nnUNetv2_train", 7, "2d", 0, "-tr", TRAINER, *CPU, exit_code=1)
    finally:
        shutil.rmtree(source)
        copy.rename(source)
    assert "The training loss is nan at epoch 0, iteration 0" in output
    assert "There is no checkpoint yet" in output
    assert "Traceback" not in output


def _fill_with_nan(folder: Path) -> None:
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

    for case in nnUNetDatasetBlosc2.get_identifiers(str(folder)):
        data, label, _, properties = nnUNetDatasetBlosc2(str(folder)).load_case(case)
        data, label = np.full(data.shape, np.nan, np.float32), label[:]
        for name in (f"{case}.b2nd", f"{case}_seg.b2nd"):
            (folder / name).unlink()
        shape = {
            "chunks": data.shape,
            "blocks": data.shape,
            "chunks_seg": label.shape,
            "blocks_seg": label.shape,
        }
        nnUNetDatasetBlosc2.save_case(data, label, properties, str(folder / case), **shape)

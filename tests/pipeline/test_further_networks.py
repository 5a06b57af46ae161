"""Trainers of further networks through nnU-Net's own commands: two stages in one, and one after the other."""

import json
import shutil
import time
from pathlib import Path

import pytest
import SimpleITK as sitk

from nnunet_pancext.trainers import list_trainers

pytestmark = pytest.mark.slow

CPU = ("-device", "cpu")


def train_until_killed(project, trainer: str, configuration: str) -> None:
    checkpoint = project.model(trainer, configuration) / "fold_0" / "checkpoint_latest.pth"
    process = project.start("nnUNetv2_train", 7, configuration, 0, "-tr", trainer, *CPU)
    deadline = time.monotonic() + 300
    while not checkpoint.is_file() and time.monotonic() < deadline:
        assert process.is_alive(), "the training ended before it could be killed"
        time.sleep(0.01)
    process.kill()
    process.join()


def predict(project, out: Path, trainer: str, configuration: str, fold: object = 0, *more: object) -> None:
    where = ("-i", project.raw / "imagesTs", "-o", out, "-d", 7, "-c", configuration, "-f", fold)
    project.run(
        "nnUNetv2_predict", *where, "-tr", trainer, "--disable_tta", "-npp", 0, "-nps", 0, *CPU, *more
    )


def check_predictions(project, out: Path) -> None:
    images = sorted((project.raw / "imagesTs").glob("*.nii.gz"))
    assert len(images) == len(list(out.glob("*.nii.gz"))) == 2
    for image in images:
        found = sitk.ReadImage(str(out / image.name.replace("_0000", "")))
        assert found.GetSize() == sitk.ReadImage(str(image)).GetSize()


def test_two_stages_in_one_network(phantom_project, tmp_path):
    trainer, configuration = "PancreasTumorCascadeTrainer_PaperRecipe_2epochs_1iterations", "2d"
    output = phantom_project.run("nnUNetv2_train", 7, configuration, 0, "-tr", trainer, *CPU)
    for phase in "SJ":
        assert f"Phase {phase}: stage 1" in output
    predict(phantom_project, tmp_path / "predicted", trainer, configuration)
    check_predictions(phantom_project, tmp_path / "predicted")


@pytest.mark.exhaustive
@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
@pytest.mark.parametrize("name", list_trainers())
def test_killed_continued_predicted_exported_imported(phantom_project, tmp_path, name, configuration):
    trainer = f"{name}_3epochs_1iterations"
    project = phantom_project.with_results("results_every")
    train_until_killed(project, trainer, configuration)
    output = project.run("nnUNetv2_train", 7, configuration, 0, "-tr", trainer, "--c", *CPU)
    assert "Epoch 0" not in output
    predict(project, tmp_path / "predicted", trainer, configuration)
    check_predictions(project, tmp_path / "predicted")

    archive = tmp_path / "model.zip"
    chosen = ("-d", 7, "-o", archive, "-c", configuration, "-f", 0, "-tr", trainer)
    project.run("nnUNetv2_export_model_to_zip", *chosen)
    elsewhere = phantom_project.with_results("results_every_imported")
    elsewhere.run("nnUNetv2_install_pretrained_model_from_zip", archive)
    checkpoint = Path("fold_0") / "checkpoint_final.pth"
    found, expected = (where.model(trainer, configuration) / checkpoint for where in (elsewhere, project))
    assert found.read_bytes() == expected.read_bytes()
    shutil.rmtree(project.results)
    shutil.rmtree(elsewhere.results)


def test_from_lowres_to_the_cascade(phantom_project, tmp_path):
    trainer = "AttentionUNetTrainer_PaperRecipe_1epochs_1iterations"
    project = phantom_project.with_results("results_cascade")
    plans_file = project.root / "preprocessed" / project.raw.name / "nnUNetPlans.json"
    before = plans_file.read_text(encoding="utf-8")
    plans = json.loads(before)
    configurations = plans["configurations"]
    # The phantoms are too small for nnU-Net to plan a cascade by itself.
    configurations["3d_lowres"] = {
        **configurations["3d_fullres"],
        "spacing": [1.5 * step for step in configurations["3d_fullres"]["spacing"]],
        "data_identifier": "nnUNetPlans_3d_lowres",
        "next_stage": "3d_cascade_fullres",
    }
    configurations["3d_cascade_fullres"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    plans_file.write_text(json.dumps(plans), encoding="utf-8")
    try:
        project.run("nnUNetv2_preprocess", "-d", 7, "-c", "3d_lowres", "-np", 1)
        for configuration in ("3d_lowres", "3d_cascade_fullres"):
            output = project.run("nnUNetv2_train", 7, configuration, "all", "-tr", trainer, *CPU)
            assert "Loss weights: Dice 1.0000, CE 0.0000" in output
        predict(project, tmp_path / "lowres", trainer, "3d_lowres", "all")
        previous = ("-prev_stage_predictions", tmp_path / "lowres")
        predict(project, tmp_path / "cascade", trainer, "3d_cascade_fullres", "all", *previous)
    finally:
        plans_file.write_text(before, encoding="utf-8")
    check_predictions(project, tmp_path / "cascade")

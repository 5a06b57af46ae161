"""Plausible volumes come from the label maps of the training cases, and are kept beside the model."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.prediction import training_volumes
from nnunet_pancext.prediction.training_volumes import KEPT, plausible_volumes_ml

DATASET = "Dataset007_Pancreas"
LABELS = {"background": 0, "pancreas": 1, "cancer": 2, "ignore": 3}
SPACING_MM = (2.0, 5.0, 10.0)  # x, y, z: a voxel is a tenth of a millilitre


def write_label_map(path, *, pancreas, cancer=0, ignored=0):
    """Write a label map with so many voxels of each label."""
    values = np.repeat([1, 2, 3, 0], [pancreas, cancer, ignored, 1000 - pancreas - cancer - ignored])
    image = sitk.GetImageFromArray(values.astype(np.uint8).reshape(10, 10, 10))
    image.SetSpacing(SPACING_MM)
    sitk.WriteImage(image, str(path))


@pytest.fixture
def truth(tmp_path, monkeypatch):
    """Label maps of 2, 5 and 10 mL in nnUNet_preprocessed."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setenv(name, str(tmp_path / name))
    folder = tmp_path / "nnUNet_preprocessed" / DATASET / "gt_segmentations"
    folder.mkdir(parents=True)
    write_label_map(folder / "a.nii.gz", pancreas=20)
    write_label_map(folder / "b.nii.gz", pancreas=40, cancer=10)
    write_label_map(folder / "c.nii.gz", pancreas=100, ignored=300)
    return folder


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "nnUNet_results" / DATASET / "nnUNetTrainer__nnUNetPlans__2d"
    folder.mkdir(parents=True)
    content = {"labels": LABELS, "numTraining": 3, "file_ending": ".nii.gz", "channel_names": {"0": "CT"}}
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture
def read(monkeypatch):
    """The names of the label maps that are read."""
    names = []
    original = training_volumes.read_label_map

    def reading(path):
        names.append(path.name)
        return original(path)

    monkeypatch.setattr(training_volumes, "read_label_map", reading)
    return names


def test_a_fifth_of_the_smallest_and_five_times_the_largest(model, truth):
    assert plausible_volumes_ml(model) == pytest.approx((0.4, 50.0))


def test_a_case_without_foreground_has_volume_0(model, truth):
    write_label_map(truth / "a.nii.gz", pancreas=0)
    assert plausible_volumes_ml(model) == pytest.approx((0.0, 50.0))


def test_nothing_is_plausible_or_not_where_no_case_has_foreground(model, truth):
    for case in "abc":
        write_label_map(truth / f"{case}.nii.gz", pancreas=0)
    assert plausible_volumes_ml(model) is None


def test_label_maps_are_read_once(model, truth, read):
    first = plausible_volumes_ml(model)
    assert sorted(read) == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    assert plausible_volumes_ml(model) == first
    assert len(read) == 3
    assert json.loads((model / KEPT).read_text(encoding="utf-8"))["cases"] == 3


def test_a_copied_model_keeps_its_volumes(model, truth, read):
    first = plausible_volumes_ml(model)
    shutil.rmtree(truth)
    assert plausible_volumes_ml(model) == first
    assert len(read) == 3


def test_changed_label_maps_are_read_again(model, truth):
    plausible_volumes_ml(model)
    write_label_map(truth / "c.nii.gz", pancreas=500, cancer=1, ignored=7)
    assert plausible_volumes_ml(model) == pytest.approx((0.4, 5 * 50.1))


def test_volumes_of_a_model_that_was_trained_anew_are_read_again(model, truth, read):
    plausible_volumes_ml(model)
    content = json.loads((model / "dataset.json").read_text(encoding="utf-8"))
    (model / "dataset.json").write_text(json.dumps({**content, "name": "another"}), encoding="utf-8")
    plausible_volumes_ml(model)
    assert len(read) == 6


@pytest.mark.parametrize("damage", ["", "[]", '{"schema_version": 1, "smallest_ml": "2"}'])
def test_a_damaged_file_beside_the_model_is_replaced(model, truth, damage):
    (model / KEPT).write_text(damage, encoding="utf-8")
    assert plausible_volumes_ml(model) == pytest.approx((0.4, 50.0))
    assert json.loads((model / KEPT).read_text(encoding="utf-8"))["largest_ml"] == pytest.approx(10)


def test_another_dataset_of_this_name_is_not_taken_for_the_models_own(model, truth):
    write_label_map(truth / "d.nii.gz", pancreas=1)
    assert plausible_volumes_ml(model) is None


@pytest.mark.parametrize(("spacing", "expected"), [(1.0, pytest.approx((0.4, 50.0))), (2.0, None)])
def test_the_fingerprint_tells_datasets_of_as_many_cases_apart(model, truth, spacing, expected):
    (model / "dataset_fingerprint.json").write_text(
        json.dumps({"spacings": [[1.0] * 3] * 3}), encoding="utf-8"
    )
    content = {"spacings": [[1.0] * 3, [1.0] * 3, [spacing] * 3]}
    (truth.parent / "dataset_fingerprint.json").write_text(json.dumps(content), encoding="utf-8")
    assert plausible_volumes_ml(model) == expected


def test_a_label_map_that_cannot_be_read_is_skipped(model, truth):
    (truth / "a.nii.gz").write_bytes(b"cut short")
    assert plausible_volumes_ml(model) == pytest.approx((1.0, 50.0))


def test_an_imported_model_has_no_plausible_volumes(model, monkeypatch):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    assert plausible_volumes_ml(model) is None
    assert not (model / KEPT).exists()


def test_a_folder_that_cannot_be_written_is_no_obstacle(model, truth, monkeypatch):
    def refuse(target, content):
        raise PermissionError(13, "Permission denied", str(target))

    monkeypatch.setattr(training_volumes, "write_json", refuse)
    assert plausible_volumes_ml(model) == pytest.approx((0.4, 50.0))


def test_reading_many_label_maps_is_announced_once(model, truth, monkeypatch):
    monkeypatch.setattr(training_volumes, "MANY", 3)
    said = []
    for _ in range(2):
        plausible_volumes_ml(model, announce=said.append)
    assert said == ["reading 3 label maps of the training cases once, to learn plausible volumes"]

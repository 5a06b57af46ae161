"""Paths, models, values and surroundings that no one should have, and what is left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from prediction.made_models import CHECKPOINT, predict, record, voxels, write_image

from nnunet_pancext.model_sharing.unpack import sha256_of


def edit(file: Path, **changes) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def edit_configuration(folder: Path, name: str, **changes) -> None:
    file = folder / "plans.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["configurations"][name].update(changes)
    file.write_text(json.dumps(content), encoding="utf-8")


class TestOutputsThatAreKept:
    """Nothing is replaced that is not a prediction."""

    def test_ground_truth(self, refused, model, tmp_path):
        write_image(tmp_path / "labelsTr" / "ct.nii.gz")
        before = (tmp_path / "labelsTr" / "ct.nii.gz").read_bytes()
        refused(
            "ct.nii.gz already exists in a folder of ground truth and is not from an earlier prediction",
            *("-m", model),
            out=tmp_path / "labelsTr",
        )
        assert (tmp_path / "labelsTr" / "ct.nii.gz").read_bytes() == before

    def test_the_reference(self, refused, model, tmp_path):
        write_image(tmp_path / "truth" / "ct.nii.gz")
        (tmp_path / "link").symlink_to("truth")
        before = (tmp_path / "truth" / "ct.nii.gz").read_bytes()
        refused(
            "--reference and -o are both .*the ground truth would be replaced",
            *("-m", model, "--reference", tmp_path / "link"),
            out=tmp_path / "truth",
        )
        assert (tmp_path / "truth" / "ct.nii.gz").read_bytes() == before

    @pytest.mark.parametrize("name", ["dataset.json", "plans.json"])
    def test_a_document_beside_the_images(self, refused, model, image, name):
        (image.parent / name).write_text('{"of": "somebody"}', encoding="utf-8")
        refused(f"{name} already exists beside the images", "-m", model, out=image.parent)
        assert (image.parent / name).read_text(encoding="utf-8") == '{"of": "somebody"}'

    @pytest.mark.parametrize("inside", ["fold_0", "fold_0/validation"])
    def test_a_fold(self, refused, model, copy, inside):
        (copy / inside).mkdir(exist_ok=True)
        refused("is a raw dataset or a trained model, whose files", "-m", model, out=copy / inside)

    def test_a_preprocessed_dataset(self, refused, model, tmp_path):
        (tmp_path / "dataset_fingerprint.json").write_text("{}", encoding="utf-8")
        refused("is a raw dataset or a trained model, whose files", "-m", model, out=tmp_path)

    def test_images_and_predictions_of_a_second_run(self, model, image):
        for _ in range(2):
            assert predict(image, "-o", image.parent, "-m", model) == 0


class TestPaths:
    def test_an_output_folder_that_is_not_utf8(self, refused, model, tmp_path):
        refused(r"out\\xff is not UTF-8, which SimpleITK needs", "-m", model, out=tmp_path / "out\udcff")

    @pytest.mark.parametrize("option", ["-m", "-o", "--reference", "-chk"])
    def test_a_name_that_is_too_long(self, model, image, tmp_path, capsys, option):
        words = {"-o": tmp_path / "out", "-m": model, option: "x" * 300}
        assert predict(image, *(word for pair in words.items() for word in pair)) == 1
        errors = capsys.readouterr().err
        assert "File name too long. Check the path" in errors
        assert "Traceback" not in errors
        assert not (tmp_path / "out").exists()

    def test_a_link_to_itself(self, model, tmp_path, capsys):
        link = tmp_path / "a.nii.gz"
        link.symlink_to(link.name)
        assert predict(link, "-o", tmp_path / "out", "-m", model) == 1
        assert "a.nii.gz is a link to a.nii.gz, which is not there" in capsys.readouterr().err

    def test_a_folder_in_place_of_the_record(self, model, image, tmp_path, capsys):
        (tmp_path / "out" / "ct.json").mkdir(parents=True)
        assert predict(image, "-o", tmp_path / "out", "-m", model) == 1
        errors = capsys.readouterr().err
        assert "ct.json: [Errno 21] Is a directory" in errors
        assert "Traceback" not in errors
        assert not (tmp_path / "out" / "ct.nii.gz").exists()

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
    def test_a_pipe_in_place_of_the_record(self, model, image, tmp_path):
        (tmp_path / "out").mkdir()
        os.mkfifo(tmp_path / "out" / "ct.json")
        assert predict(image, "-o", tmp_path / "out", "-m", model) == 0
        assert record(tmp_path / "out")["case"] == "ct"

    @pytest.mark.parametrize("ending", [".x/../../evil.nii.gz", ".nii.gz\0"])
    def test_an_ending_that_leads_elsewhere(self, refused, copy, ending):
        edit(copy / "dataset.json", file_ending=ending)
        refused("has the file_ending .*; expected one like .nii.gz", "-m", copy)

    def test_temporary_files_of_a_fold_are_removed(self, model, image, tmp_path):
        partial = tmp_path / "out" / "fold_0" / ".partial-999999999-ct.nii.gz"
        partial.parent.mkdir(parents=True)
        partial.touch()
        os.utime(partial, (0, 0))
        assert predict(image, "-o", tmp_path / "out", "-m", model) == 0
        assert not partial.exists()


class TestOptions:
    @pytest.mark.parametrize("name", ["", ".."])
    def test_a_checkpoint_that_is_a_folder(self, refused, model, name):
        refused(f"-chk {name} is not the name of a file", "-m", model, "-chk", name)

    def test_a_checkpoint_that_is_a_pattern(self, refused, model):
        refused(f"has no trained fold.*Other checkpoints: {CHECKPOINT}", "-m", model, "-chk", "*")

    def test_a_fold_of_many_digits(self, refused, model):
        refused("-f 9+ is not a fold", "-m", model, "-f", "9" * 5000)

    def test_many_threads(self, refused, model):
        refused("--threads 10{13}: give a number of at most 1024", "-m", model, "--threads", 10**13)

    @pytest.mark.parametrize("value", ["", "many", "-1"])
    def test_a_number_of_processes_that_is_none(self, refused, model, monkeypatch, value):
        monkeypatch.setenv("nnUNet_def_n_proc", value)
        refused(f"nnUNet_def_n_proc is '{value}'. Set it to a number", "-m", model)


class TestPlans:
    def test_stages_in_a_circle(self, refused, copy):
        edit_configuration(copy, "2d", previous_stage="2d")
        refused("has stages of nnU-Net's cascade that follow each other in a circle: 2d", "-m", copy)

    @pytest.mark.parametrize(
        "changes",
        [
            {"transpose_forward": [0, 0, 1]},
            {"transpose_forward": "012"},
            {"transpose_backward": [9, 9, 9]},
            {"transpose_forward": [1, 2, 0], "transpose_backward": [1, 2, 0]},
        ],
    )
    def test_axes_without_an_order(self, refused, copy, changes):
        edit(copy / "plans.json", **changes)
        refused("plans.json has no order of the axes, or no way back: transpose_forward", "-m", copy)

    @pytest.mark.parametrize("key", ["normalization_schemes", "use_mask_for_norm"])
    def test_channels_without_a_normalization(self, refused, copy, key):
        edit_configuration(copy, "2d", **{key: []})
        refused("has no normalization_schemes and use_mask_for_norm for each channel", "-m", copy)

    def test_channels_without_intensities(self, refused, copy):
        edit(copy / "plans.json", foreground_intensity_properties_per_channel={})
        refused("has no foreground_intensity_properties_per_channel for each channel", "-m", copy)

    def test_intensities_under_their_former_name(self, copy, image, tmp_path):
        plans = json.loads((copy / "plans.json").read_text(encoding="utf-8"))
        found = plans.pop("foreground_intensity_properties_per_channel")
        plans["foreground_intensity_properties_by_modality"] = found
        (copy / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
        assert predict(image, "-o", tmp_path / "out", "-m", copy) == 0


def test_values_beyond_single_precision(model, tmp_path, capsys):
    values = voxels().T.astype(np.float64)
    values[3, 4, 5] = 1e39
    nib.save(nib.Nifti1Image(values, np.diag([0.8, 0.8, 2.5, 1])), tmp_path / "a.nii.gz")
    assert predict(tmp_path / "a.nii.gz", "-o", tmp_path / "out", "-m", model) == 1
    assert "the case has values beyond the range of single precision" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dataset.json", "plans.json"]


def test_closed_streams(model, image, tmp_path):
    words = [*("predict", image, "-o", tmp_path / "out", "-m", model), "-device", "cpu"]
    code = f"import sys; from nnunet_pancext.cli.main import main; sys.exit(main({list(map(str, words))}))"
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", sys.executable, "-c", code], check=False
    )
    assert done.returncode == 0
    assert nib.load(tmp_path / "out" / "ct.nii.gz").shape == nib.load(image).shape


@pytest.mark.parametrize("key", ["case", "label_map", "speed", "volumes_ml", "windows", "seconds", "lesions"])
def test_a_record_without_what_the_page_shows(model, image, tmp_path, capsys, key):
    words = (image, "-o", tmp_path / "out", "-m", model)
    assert predict(*words) == 0
    edit(tmp_path / "out" / "ct.json", **{key: 5})
    capsys.readouterr()
    assert predict(*words) == 0
    assert "ct: kept" not in capsys.readouterr().out
    assert record(tmp_path / "out")[key] != 5


@pytest.mark.parametrize("labels", [{"organ": 3}, {"organ": {"dice_change": {"mean": "a"}}}, [1]])
def test_a_self_test_of_another_hand(copy, image, tmp_path, labels):
    content = {
        "schema_version": 1,
        "cases": 1,
        "folds": ["0"],
        "ways": {"exact": {"labels": labels}, "exact, shifted grid": {"labels": labels}},
        "sha256": {"plans.json": sha256_of(copy / "plans.json")},
    }
    (copy / "self_test.json").write_text(json.dumps(content), encoding="utf-8")
    assert predict(image, "-o", tmp_path / "out", "-m", copy) == 0
    assert record(tmp_path / "out")["self_test"] == "not measured"


def test_a_training_label_map_whose_name_is_not_utf8(copy, image, tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    labels = tmp_path / "raw" / copy.parent.name / "labelsTr"
    write_image(labels / "a.nii.gz").rename(labels / "\udcff.nii.gz")
    edit(copy / "dataset.json", numTraining=1)
    (labels.parent / "dataset.json").write_bytes((copy / "dataset.json").read_bytes())
    assert predict(image, "-o", tmp_path / "out", "-m", copy, "--speed", "balanced") == 0

"""What `pancext predict` writes and prints, and what it does when something fails on the way."""

import errno
import gc
import json
import os
import re
import resource
import subprocess
import sys
import types
import weakref
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from prediction.made_models import (
    CHECKPOINT,
    SHAPE,
    array,
    plans_of,
    predict,
    record,
    stock,
    voxels,
    write_image,
    write_model,
)

from nnunet_pancext.cli.main import main
from nnunet_pancext.inference import trained_folds
from nnunet_pancext.prediction import case_result, outputs
from nnunet_pancext.prediction.case_result import entropy_of

VOXEL_ML = 0.8 * 0.8 * 2.5 / 1000


def test_the_record_says_what_was_done(model, image, tmp_path):
    out = tmp_path / "out"
    assert predict(image, "-o", out, "-m", model) == 0
    content, labels = record(out), array(out / "ct.nii.gz")
    assert content["schema_version"] == 1
    assert (content["case"], content["label_map"], content["speed"]) == ("ct", "ct.nii.gz", "exact")
    for name, value in (("pancreas", 1), ("cancer", 2)):
        volume = np.count_nonzero(labels == value) * VOXEL_ML
        assert content["volumes_ml"][name] == pytest.approx(volume, rel=1e-5)
    assert content["lesions"][0]["label"] == "cancer"
    assert content["lesions"][0]["peak_probability"] > 0.33
    # 7 slices, 2 x 2 windows of 24 x 24 in each of 30 x 34, 2 x 2 mirrorings, 2 folds
    windows = {"run": 28, "left_out": 0, "coarse": 0, "forwards": 224, "whole_image_forwards": 224}
    assert content["windows"] == windows
    (stage,) = content["stages"]
    assert stage["windows"] == windows
    assert stage["boxes"] == [[[0, length] for length in SHAPE]]
    assert set(content["seconds"]) == {
        *("read", "preprocess", "coarse pass", "full pass", "export", "write", "total")
    }
    assert 0 < content["seconds"]["full pass"] <= content["seconds"]["total"]
    assert content["peak_memory_mb"] > 10
    assert content["self_test"] == "not measured"
    assert content["model"][0] | {"sha256": ""} == {
        "folder": "nnUNetTrainer__nnUNetPlans__2d",
        "trainer": "nnUNetTrainer",
        "plans": "nnUNetPlans",
        "configuration": "2d",
        "folds": ["0", "1"],
        "checkpoint": CHECKPOINT,
        "sha256": "",
    }
    digest = subprocess.run(["sha256sum", image], capture_output=True, text=True, check=True).stdout.split()[
        0
    ]
    assert content["inputs"] == [{"file": "ct_0000.nii.gz", "sha256": digest}]
    assert set(content["versions"]) == {"nnunet_pancext", "nnunetv2", "torch", "python"}
    assert content["notice"] == "For research. Not a medical device."
    assert not re.search(r"/tmp|/home|" + re.escape(str(tmp_path)), json.dumps(content))


def test_the_console_names_folds_volumes_and_failures(model, image, tmp_path, capsys):
    assert predict(image, tmp_path / "gone.nii.gz", "-o", tmp_path / "out", "-m", model) == 1
    printed = capsys.readouterr()
    assert f"model     nnUNetTrainer__nnUNetPlans__2d, folds 0 1 ({CHECKPOINT})\n" in printed.out
    assert re.search(r"ct \(1 of 2\): the whole image, 224 forward passes\n", printed.out)
    assert re.search(
        r"ct \(1 of 2\): pancreas [\d.]+ mL, cancer [\d.]+ mL; \d+ lesions?; 28 of 28 windows, [\d.]+ s\n",
        printed.out,
    )
    assert printed.out.endswith("For research. Not a medical device.\n")
    assert printed.err.splitlines()[-1] == "pancext predict: 1 of 2 cases failed"


@pytest.mark.parametrize(
    ("trained", "given", "expected"),
    [(["0", "2", "all"], (), "folds 0 2"), (["all"], (), "fold all"), (["0", "1"], ("-f", 1), "fold 1")],
)
def test_folds_by_default_are_the_numbered_ones(results, image, tmp_path, capsys, trained, given, expected):
    model = write_model(results, "2d", folds=trained)
    assert predict(image, "-o", tmp_path / "out", "-m", model, *given) == 0
    assert f"nnUNetPlans__2d, {expected} (" in capsys.readouterr().out


def test_models_are_loaded_once_and_images_read_once(model, image, tmp_path, monkeypatch):
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    calls = []
    for owner, name in ((trained_folds, "read_checkpoint"), (SimpleITKIO, "read_images")):
        original = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda *args, original=original, name=name: calls.append(name) or original(*args)
        )
    other = write_image(tmp_path / "other_0000.nii.gz", seed=1)
    assert predict(image, other, "-o", tmp_path / "out", "-m", model) == 0
    assert calls.count("read_images") == 2
    assert calls.count("read_checkpoint") == 1  # of fold 1; that of fold 0 goes through initialize_predictor


def test_a_case_that_is_done_leaves_no_memory_behind(results, image, tmp_path, monkeypatch):
    """Logits are freed at once: they may be larger than what is left for those of the next case."""
    left = []
    original = case_result.predict_logits

    def predict_logits(*arguments, **options):
        left.append(sum(reference() is not None for reference in known))
        logits = original(*arguments, **options)
        known.append(weakref.ref(logits))
        return logits

    known: list[weakref.ref] = []
    monkeypatch.setattr(case_result, "predict_logits", predict_logits)
    other = write_image(tmp_path / "other_0000.nii.gz", seed=1)
    write_model(results, "3d_lowres")
    words = ("-m", write_model(results, "3d_cascade_fullres"), "--entropy", "--speed", "balanced")
    gc.disable()
    try:
        assert predict(image, other, "-o", tmp_path / "out", *words) == 0
    finally:
        gc.enable()
    assert left == [0, 1, 0, 1]  # of the stage before


@pytest.mark.parametrize("labels", ["two foregrounds", "regions"])
def test_entropy_in_the_geometry_of_the_image(results, image, tmp_path, labels):
    model, out = write_model(results, "2d", labels=labels), tmp_path / "out"
    assert predict(image, "-o", out, "-m", model, "--entropy", "--save_probabilities") == 0
    probabilities = np.load(out / "ct.npz")["probabilities"].astype(np.float64)
    terms = [probabilities] if labels == "two foregrounds" else [probabilities, 1 - probabilities]
    expected = sum(-(term * np.log(np.maximum(term, 1e-300))).sum(0) for term in terms)
    written, source = sitk.ReadImage(str(out / "ct_entropy.nii.gz")), sitk.ReadImage(str(image))
    assert written.GetPixelID() == sitk.sitkFloat32
    np.testing.assert_allclose(sitk.GetArrayFromImage(written), expected, atol=1e-5)
    np.testing.assert_allclose(nib.load(out / "ct_entropy.nii.gz").affine, nib.load(image).affine, atol=1e-5)
    assert written.GetSize() == source.GetSize()
    assert all(0 <= lesion["mean_entropy"] <= 2 * np.log(3) for lesion in record(out)["lesions"])


def test_entropy_by_hand():
    probabilities = np.array([[1, 0.5, 0.25], [0, 0.5, 0.75]], np.float32)[:, None, None]
    expected = [0, np.log(2), 0.25 * np.log(4) + 0.75 * np.log(4 / 3)]
    np.testing.assert_allclose(entropy_of(probabilities, has_regions=False)[0, 0], expected, rtol=1e-6)
    alone = probabilities[:1]
    np.testing.assert_allclose(entropy_of(alone, has_regions=True)[0, 0], expected, rtol=1e-6)


def test_entropy_leaves_the_labels_as_they_are(results, image, tmp_path):
    model = write_model(results)
    assert predict(image, "-o", tmp_path / "out", "-m", model, "--entropy") == 0
    theirs = stock(model, [[image]], tmp_path / "theirs")
    np.testing.assert_array_equal(array(tmp_path / "out" / "ct.nii.gz"), array(theirs / "ct.nii.gz"))


def test_a_reference_is_scored_as_by_evaluate(model, image, tmp_path, capsys):
    other = write_image(tmp_path / "images" / "ct2_0000.nii.gz", seed=4)
    truth = tmp_path / "truth"
    assert predict(image, other, "-o", truth, "-m", model, "-f", 0) == 0
    out = tmp_path / "out"
    words = ("-o", out, "-m", model, "-f", 1, "--reference", truth, "--entropy")
    assert predict(tmp_path / "images", *words) == 0
    assert "tables " in capsys.readouterr().out
    assert main(["evaluate", str(out), str(truth), "-o", str(tmp_path / "scores"), "--keep-going"]) == 1
    ours, theirs = (
        json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        for folder in (out / "evaluation", tmp_path / "scores")
    )
    assert ours["foreground_mean"] == theirs["foreground_mean"]
    assert 0 < ours["foreground_mean"]["Dice"] < 1


def test_a_case_without_reference_is_named(model, image, tmp_path, capsys):
    truth = tmp_path / "truth"
    assert predict(image, "-o", truth, "-m", model) == 0
    other = write_image(tmp_path / "other.nii.gz")
    words = ("-o", tmp_path / "out", "-m", model, "--reference", truth)
    assert predict(image, other, *words) == 1
    assert "not scored    Case 'other': No ground truth in" in capsys.readouterr().err


def test_a_reference_of_other_cases(model, image, tmp_path, capsys):
    truth = tmp_path / "truth"
    assert predict(image, "-o", truth, "-m", model) == 0
    other = write_image(tmp_path / "other.nii.gz")
    assert predict(other, "-o", tmp_path / "out", "-m", model, "--reference", truth) == 1
    errors = capsys.readouterr().err
    assert "None of the 1 label maps in" in errors
    assert "such as other.nii.gz. Give the folder of their ground truth" in errors


def test_a_report_has_all_cases(model, image, tmp_path):
    assert predict(image, tmp_path / "gone.nii.gz", "-o", tmp_path / "out", "-m", model, "--report") == 1
    page = (tmp_path / "out" / "prediction.html").read_text(encoding="utf-8")
    assert "For research. Not a medical device." in page
    assert "ct" in page
    assert "is not there" in page


def test_files_that_are_left_out_are_named(model, image, tmp_path, capsys):
    write_image(image.parent / "notes.nii.gz")
    (image.parent / "readme.txt").write_text("", encoding="utf-8")
    assert predict(image.parent, "-o", tmp_path / "out", "-m", model) == 0
    errors = capsys.readouterr().err
    assert "left out 1 file not called CASE_0000, notes.nii.gz first" in errors


@pytest.mark.parametrize("speed", ["balanced", "fast"])
def test_each_speed_writes_the_same_files(results, image, tmp_path, speed):
    model = write_model(results, folds=("0", "1"))
    out = tmp_path / "out"
    words = ("--save_probabilities", "--entropy", "--per-fold", "--report")
    assert predict(image, "-o", out, "-m", model, "--speed", speed, *words) == 0
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert names == {
        *("ct.nii.gz", "ct.json", "ct.npz", "ct.pkl", "ct_entropy.nii.gz", "plans.json", "dataset.json"),
        *("fold_0/ct.nii.gz", "fold_1/ct.nii.gz", "prediction.html"),
    }
    assert record(out)["speed"] == speed
    assert array(out / "ct.nii.gz").shape == SHAPE


def test_a_full_disk_stops_the_run(model, image, tmp_path, capsys, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(outputs.np, "savez_compressed", fail)
    other = write_image(tmp_path / "other_0000.nii.gz")
    out = tmp_path / "out"
    assert predict(image, other, "-o", out, "-m", model, "--save_probabilities") == 1
    errors = capsys.readouterr().err
    assert re.search(
        "disk full: could not write .*ct.npz: .* Free some space .* another disk with -o", errors
    )
    assert "_other" not in errors
    assert "2 cases failed" not in errors
    assert {path.name for path in out.iterdir()} == {"plans.json", "dataset.json"}


def test_a_file_that_is_not_written_whole_is_no_result(model, image, tmp_path, capsys, monkeypatch):
    """As on a full disk, of which ITK says nothing: here no file may have more than 200 bytes."""
    original = outputs.write_label_map

    def limited(*arguments, **options):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
        try:
            return original(*arguments, **options)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(outputs, "write_label_map", limited)
    out = tmp_path / "out"
    assert predict(image, "-o", out, "-m", model) == 1
    errors = capsys.readouterr().err
    assert re.search(r"ct: .*ct.nii.gz was not written completely: it .* run the same command again", errors)
    assert {path.name for path in out.iterdir()} == {"plans.json", "dataset.json"}


def test_a_file_that_cannot_be_written_is_named(model, image, tmp_path, capsys, monkeypatch):
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    def fail(*arguments):
        raise RuntimeError("Exception thrown in SimpleITK\nITK ERROR: cannot open the file")

    monkeypatch.setattr(SimpleITKIO, "write_seg", fail)
    assert predict(image, "-o", tmp_path / "out", "-m", model) == 1
    assert re.search(
        r"ct: cannot write .*ct.nii.gz \(ITK ERROR: cannot open the file\)", capsys.readouterr().err
    )


def test_an_interrupted_run_leaves_no_part_of_a_file(model, image, tmp_path, capsys, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(outputs, "write_compressed", interrupt)
    out = tmp_path / "out"
    assert predict(image, "-o", out, "-m", model, "--entropy") == 130
    assert "interrupted" in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == {"plans.json", "dataset.json"}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "ct: ran out of memory. Close other programs"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "ct: ran out of memory"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8 GiB)"), "ct: ran out of memory"),
        (torch.OutOfMemoryError("CUDA out of memory."), "ct: ran out of memory"),
        (KeyError("x"), r"ct: failed unexpectedly \(KeyError: 'x'\). Please report this:"),
    ],
)
def test_a_case_that_fails_while_it_is_run(model, image, tmp_path, capsys, monkeypatch, error, message):
    other, calls = write_image(tmp_path / "other_0000.nii.gz"), []
    original = case_result.predict_logits

    def fail_first(*arguments, **options):
        calls.append(1)
        if len(calls) == 1:
            raise error
        return original(*arguments, **options)

    monkeypatch.setattr(case_result, "predict_logits", fail_first)
    assert predict(image, other, "-o", tmp_path / "out", "-m", model) == 1
    assert re.search(message, capsys.readouterr().err)
    assert (tmp_path / "out" / "other.json").is_file()


def test_abandoned_files_of_killed_runs_are_removed(model, image, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "fold_0").mkdir()
    ours, old, new = (out / f".partial-{number}-ct.nii.gz" for number in (os.getpid(), 2**22 + 1, 2**22 + 2))
    of_fold = out / "fold_0" / old.name
    for path in (ours, old, new, of_fold):
        path.write_text("", encoding="utf-8")
    for path in (ours, old, of_fold):
        os.utime(path, (0, 0))
    outputs.remove_abandoned(out)
    assert [path.exists() for path in (ours, old, new, of_fold)] == [True, False, True, False]


def test_a_tiff_keeps_its_spacing_beside_the_record(results, tmp_path):
    import tifffile

    plans = plans_of(image_reader_writer="Tiff3DIO")
    model = write_model(results, "2d", plans=plans, file_ending=".tif")
    image = tmp_path / "in" / "ct_0000.tif"
    image.parent.mkdir()
    tifffile.imwrite(image, voxels())
    (image.parent / "ct.json").write_text(json.dumps({"spacing": [2.5, 0.8, 0.8]}), encoding="utf-8")
    out = tmp_path / "out"
    assert predict(image, "-o", out, "-m", model) == 0
    content = record(out)
    assert content["spacing"] == [2.5, 0.8, 0.8]
    values = tifffile.imread(out / "ct.tif")
    volume = np.count_nonzero(values == 1) * VOXEL_ML
    assert content["volumes_ml"]["pancreas"] == pytest.approx(volume, rel=1e-4)


class OwnNetwork(PlainConvUNet):
    """A network that the allowlist does not know."""


def test_a_network_of_another_package_is_allowed_by_name(results, image, tmp_path, capsys, monkeypatch):
    module = types.ModuleType("mypackage")
    module.OwnNetwork = OwnNetwork
    monkeypatch.setitem(sys.modules, "mypackage", module)
    plans = plans_of()
    plans["configurations"]["2d"]["architecture"]["network_class_name"] = "mypackage.OwnNetwork"
    words = (image, "-o", tmp_path / "out", "-m", write_model(results, "2d", plans=plans))
    assert predict(*words) == 1
    errors = capsys.readouterr().err
    assert "builds mypackage.OwnNetwork, which is not on the allowlist" in errors
    assert "`--allow NAME` of pancext predict" in errors
    assert predict(*words, "--allow", "mypackage.OwnNetwork") == 0


def test_help_says_what_the_speeds_are(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    text = capsys.readouterr().out
    assert all(f"  {speed} " in text for speed in ("exact", "balanced", "fast"))


def test_nothing_is_written_outside_the_folder(model, image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(Path(".").rglob("*"))
    assert predict(image, "-o", "out", "-m", model) == 0
    new = set(Path(".").rglob("*")) - before
    assert all(path.parts[0] == "out" for path in new)


def test_the_option_of_nnunets_command_names_the_input_too(model, image, tmp_path):
    assert predict("-i", image, "-o", tmp_path / "out", "-m", model) == 0
    assert (tmp_path / "out" / "ct.nii.gz").is_file()


def test_the_console_says_what_the_speed_changes_or_that_it_is_unknown(model, image, tmp_path, capsys):
    assert predict(image, "-o", tmp_path / "out", "-m", model, "--speed", "balanced") == 0
    assert (
        "change by balanced: not measured for this model; --self-test measures it\n"
        in capsys.readouterr().out
    )


def test_nothing_is_said_to_be_written_where_every_case_failed(model, tmp_path, capsys):
    assert predict(tmp_path / "gone.nii.gz", "-o", tmp_path / "out", "-m", model) == 1
    assert "written" not in capsys.readouterr().out

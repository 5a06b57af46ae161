"""Slices as pictures: masks of 0 and 255 or of classes, and patients that stay together."""

import json
import re
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_msd_task import read_voxels
from synthetic_slices import make, mask, write

from nnunet_pancext.cli.main import main
from nnunet_pancext.dataset_conversion.layouts.png_slices import convert_slices
from nnunet_pancext.errors import PancextError


def convert(source, raw_root, **options):
    return convert_slices(source, raw_root=raw_root, show_progress=False, **options)


@pytest.mark.parametrize(("value", "how"), [(255, {"linked": 18, "re-encoded": 18}), (1, {"linked": 36})])
def test_masks_are_white_or_numbered(tmp_path, raw_root, value, how):
    result = convert(make(tmp_path / "pngs", value=value), raw_root)
    assert result.file_counts == how
    assert not result.left_out
    declared = json.loads((result.folder / "dataset.json").read_text(encoding="utf-8"))
    assert declared["file_ending"] == ".png"
    assert declared["labels"] == {"background": 0, "pancreas": 1}
    np.testing.assert_array_equal(read_voxels(result.folder / "labelsTr" / "pancreas_002_1.png"), mask(1))
    source = tmp_path / "pngs" / "image" / "pancreas_002_1.png"
    assert (result.folder / "imagesTr" / "pancreas_002_1_0000.png").read_bytes() == source.read_bytes()


def test_classes_by_name(tmp_path, raw_root):
    folder = make(tmp_path / "pngs", value=2, label="labels_all")
    result = convert(folder, raw_root, classes=("pancreas", "tumour"))
    declared = json.loads((result.folder / "dataset.json").read_text(encoding="utf-8"))
    assert declared["labels"] == {"background": 0, "pancreas": 1, "tumour": 2}
    assert not result.left_out


@pytest.mark.parametrize(
    "pattern", ["pancreas_{:03d}_{:d}", "pancreas_{:03d}_slice{:03d}", "PANC-{:d}-z{:d}", "p{:d}_s_{:d}"]
)
def test_slices_of_a_patient_stay_together(tmp_path, raw_root, pattern):
    result = convert(make(tmp_path / "pngs", pattern=pattern), raw_root, split="4/2")
    assert (len(result.training), len(result.test)) == (12, 6)
    document = json.loads((result.folder / "split.json").read_text(encoding="utf-8"))
    patients = document["patients"]
    assert len(set(patients.values())) == 6
    assert not {patients[case] for case in result.training} & {patients[case] for case in result.test}


def test_folds_are_by_patient(tmp_path, raw_root):
    result = convert(make(tmp_path / "pngs"), raw_root)
    document = json.loads((result.folder / "split.json").read_text(encoding="utf-8"))
    assert len(document["folds"]) == 5
    for fold in document["folds"]:
        assert not {case[:12] for case in fold["train"]} & {case[:12] for case in fold["val"]}


def test_cases_of_one_patient_have_no_folds(tmp_path, raw_root):
    result = convert(make(tmp_path / "pngs", pattern="slice_{:d}{:03d}"), raw_root)
    document = json.loads((result.folder / "split.json").read_text(encoding="utf-8"))
    assert "folds" not in document
    assert (
        "all 18 training cases are of one patient, slice, and cannot be split into folds"
        in document["folds_note"]
    )
    assert document["folds_note"] in result.notes


def test_blank_slices_of_two_patients_are_not_duplicates(tmp_path, raw_root):
    folder = make(tmp_path / "pngs")
    for stem in ("pancreas_001_0", "pancreas_002_0"):
        write(folder / "image" / f"{stem}.png", np.zeros((16, 20)))
    assert not convert(folder, raw_root).left_out


def test_a_regular_expression_finds_the_patient(tmp_path, raw_root):
    folder = make(tmp_path / "pngs", pattern="img{:d}of{:d}")
    with pytest.raises(PancextError, match=r"--patient-regex finds no patient in img1of0.png. Give one with"):
        convert(folder, raw_root)
    result = convert(folder, raw_root, patient_regex=r"(img\d+)of")
    assert (
        len(set(json.loads((result.folder / "split.json").read_text(encoding="utf-8"))["patients"].values()))
        == 6
    )


def label_missing(folder):
    (folder / "label" / "pancreas_002_1.png").unlink()


def image_missing(folder):
    (folder / "image" / "pancreas_002_1.png").unlink()


def other_size(folder):
    write(folder / "label" / "pancreas_002_1.png", 255 * mask(1)[:-2])


def grey_mask(folder):
    write(folder / "label" / "pancreas_002_1.png", 128 * mask(1))


def colours(folder):
    picture = sitk.GetImageFromArray(np.zeros((16, 20, 3), np.uint8), isVector=True)
    sitk.WriteImage(picture, str(folder / "image" / "pancreas_002_1.png"))


def cut(folder):
    path = folder / "image" / "pancreas_002_1.png"
    path.write_bytes(path.read_bytes()[:40])


def same_picture(folder):
    shutil.copy(folder / "image" / "pancreas_001_0.png", folder / "image" / "pancreas_002_1.png")


def twice(folder):
    (folder / "images2").mkdir()
    shutil.copy(folder / "image" / "pancreas_002_1.png", folder / "images2")


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (label_missing, "label missing", r"image pancreas_002_1.png has no label of the same name"),
        (image_missing, "image missing", r"label pancreas_002_1.png has no image of the same name"),
        (other_size, "size differs", r"has size \(20, 14\), its image \(20, 16\)"),
        (grey_mask, "label value not declared", "holds 128, declared are 0, 255"),
        (colours, "image unreadable", "has 3 values per pixel; a greyscale image has one"),
        (cut, "image unreadable", "is not a whole .png"),
        (same_picture, "duplicate image", "has the same voxels as image/pancreas_001_0.png"),
        (twice, "duplicate id", "image/pancreas_002_1.png and images2/pancreas_002_1.png have the same name"),
    ],
)
def test_a_bad_slice_is_left_out_by_name(tmp_path, raw_root, damage, kind, words):
    folder = make(tmp_path / "pngs")
    damage(folder)
    result = convert(folder, raw_root)
    assert [(p.case_id, p.kind) for p in result.left_out] == [("pancreas_002_1", kind)]
    assert re.search(words, result.left_out[0].message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ("pancreas", "pancreas")}, "--classes must be different names"),
        ({"patient_regex": "(p"}, "is not a regular expression"),
    ],
)
def test_bad_options_are_refused(tmp_path, raw_root, options, message):
    with pytest.raises(PancextError, match=message):
        convert(make(tmp_path / "pngs"), raw_root, **options)


@pytest.mark.parametrize("part", ["image", "label"])
def test_a_folder_without_images_or_labels_is_refused(tmp_path, raw_root, part):
    shutil.rmtree(make(tmp_path / "pngs") / part)
    with pytest.raises(PancextError, match=f"no folder {part}/ with .png files"):
        convert(tmp_path / "pngs", raw_root)


def test_the_command(tmp_path, raw_root, capsys):
    folder = make(tmp_path / "pngs")
    assert main(["convert", "slices", str(folder), "--out", str(raw_root), "--split", "4/2"]) == 0
    printed = capsys.readouterr().out
    assert "cases     12 training, 6 test" in printed
    assert "labelled: 4 patients for training, 2 for testing" in printed

"""`pancext evaluate --labels`: two plain folders of label maps, without a dataset.json."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.cli.main import main
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.declared_labels import find_ending, parse_labels


def write(path: Path, *values: int) -> None:
    """Write a label map of 16 voxels for each value, after as many of background."""
    path.parent.mkdir(exist_ok=True)
    array = np.repeat(np.array([0, *values], np.uint8), 16).reshape(-1, 4, 4)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))


@pytest.fixture
def folders(tmp_path):
    """Predictions of a pancreas (1) of which half is tumour (2); the ground truth has no tumour."""
    write(tmp_path / "predictions" / "a.nii.gz", 1, 2)
    write(tmp_path / "truth" / "a.nii.gz", 1, 1)
    return tmp_path / "predictions", tmp_path / "truth"


def evaluate(folders, *options):
    predictions, truth = folders
    return main(["evaluate", str(predictions), str(truth), "-o", str(truth.parent / "out"), *options])


def dice(folders):
    totals = json.loads((folders[1].parent / "out" / "summary.json").read_text(encoding="utf-8"))["pancext"][
        "labels"
    ]
    return {name: label["per_volume"]["dice"]["mean"] for name, label in totals.items()}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["pancreas=1", "tumour=2"], {"foreground": 1, "pancreas": 2 / 3, "tumour": 0}),
        (["background=0", "tumour=2", "pancreas=1"], {"foreground": 1, "pancreas": 2 / 3, "tumour": 0}),
        (["whole=1,2", "tumour=2"], {"whole": 1, "tumour": 0}),
        (["a=b=1", "tumour=2"], {"foreground": 1, "a=b": 2 / 3, "tumour": 0}),
    ],
)
def test_labels_are_scored_as_named(folders, words, expected):
    assert evaluate(folders, "--labels", *words) == 0
    assert dice(folders) == pytest.approx(expected)


def test_an_ignored_value_is_not_scored(folders):
    assert evaluate(folders, "--labels", "pancreas=1", "ignore=2") == 0
    assert dice(folders) == pytest.approx({"pancreas": 2 / 3})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["pancreas"],
            "--labels 'pancreas' is not a name with whole numbers above 0. Write it as tumour=2",
        ),
        (["=1"], "--labels '=1' is not a name"),
        (["pancreas=one"], "--labels 'pancreas=one' is not a name with whole numbers"),
        (["pancreas=1.5"], "--labels 'pancreas=1.5' is not a name with whole numbers"),
        (["pancreas=-1"], "--labels 'pancreas=-1' is not a name with whole numbers"),
        (["pancreas=1,"], "as whole=1,2 for a region"),
        (["pancreas=0"], "--labels 'pancreas=0': the value 0 is the background. Give values above 0"),
        (["whole=0,1"], "--labels 'whole=0,1': the value 0 is the background"),
        (["pancreas=1", "pancreas=2"], "--labels names 'pancreas' twice. Name each label once"),
        (["pancreas=1", "tumour=1"], "--labels 'tumour=1' gives a value twice"),
        (["whole=1,1"], "--labels 'whole=1,1' gives a value twice. Give each label values of its own"),
    ],
)
def test_malformed_labels_are_refused(words, message):
    with pytest.raises(PancextError, match=re.escape(message)):
        parse_labels(words)


def test_both_declarations_at_once_are_refused(folders, capsys):
    assert evaluate(folders, "--labels", "a=1", "--dataset-json", "dataset.json") == 1
    assert "--labels and --dataset-json both declare the labels. Give one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "offered"),
    [
        ((1, 2), "--labels label_1=1 label_2=2"),
        ((1, 7), "--labels label_1=1 label_2=2 label_7=7"),  # 2 is in the prediction alone
        (tuple(range(1, 32)), "--labels pancreas=1 tumour=2"),  # an image rather than a label map
    ],
)
def test_without_any_declaration_the_labels_in_the_files_are_offered(folders, capsys, values, offered):
    write(folders[1] / "b.nii.gz", *values)
    assert evaluate(folders) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "No dataset.json names the labels; tried" in error
    assert f"Give it with --dataset-json, or name the labels: {offered}" in error
    assert not (folders[1].parent / "out").exists()


def test_the_offer_can_be_used_as_it_stands(folders, capsys):
    assert evaluate(folders) == 1
    offered = re.search(r"(--labels( label_\d=\d)+)", capsys.readouterr().err)[1]
    assert evaluate(folders, *offered.split()) == 0
    assert dice(folders)["label_1"] == pytest.approx(2 / 3)


def test_a_damaged_file_does_not_hide_the_offer(folders, capsys):
    (folders[1] / "b.nii.gz").write_bytes(b"no image")
    assert evaluate(folders) == 1
    assert "--labels label_1=1 label_2=2" in capsys.readouterr().err


def test_labels_take_precedence_over_a_dataset_json_beside(folders):
    (folders[0] / "dataset.json").write_text("{}", encoding="utf-8")
    assert evaluate(folders, "--labels", "pancreas=1", "tumour=2") == 0


@pytest.mark.parametrize("ending", [".nii", ".nrrd", ".mha", ".tif"])
def test_the_format_is_that_of_the_files(tmp_path, ending):
    for folder in ("predictions", "truth"):
        write(tmp_path / folder / f"a{ending}", 1)
    assert find_ending(tmp_path / "predictions", tmp_path / "truth") == ending


def test_another_format_in_one_of_the_folders_does_not_count(folders):
    write(folders[1] / "a.nrrd", 1)
    assert find_ending(*folders) == ".nii.gz"


def test_formats_that_leave_a_choice_are_refused(folders):
    for folder in folders:
        write(folder / "a.nrrd", 1)
    with pytest.raises(PancextError, match=r"end in \.nii\.gz and in \.nrrd\. Keep one format in a folder"):
        find_ending(*folders)


def test_a_folder_without_label_maps_is_refused(tmp_path):
    with pytest.raises(PancextError, match=r"No label map in .*; nnU-Net's formats are \.nii\.gz"):
        find_ending(tmp_path, tmp_path)

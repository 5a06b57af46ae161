"""`pancext check` refuses the dataset.json that nnU-Net refuses, says what it expects, and no other."""

import json
import re
import shutil

import numpy as np
import pytest
from made_dataset import CASES, volume_of, write_dataset, write_itk, write_json
from nnunetv2.experiment_planning import verify_dataset_integrity as nnunet

from nnunet_pancext.cli.main import main
from nnunet_pancext.dataset_check.check import inspect_dataset, summary
from nnunet_pancext.dataset_check.dataset_rules import judge_dataset_json
from nnunet_pancext.nnunet_files.dataset_json import DatasetJson


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("made") / "Dataset301_Made")


def nnunet_accepts(folder):
    try:
        nnunet.verify_dataset_integrity(str(folder), num_processes=1)
    except Exception:
        return False
    return True


REGIONS = {"background": 0, "organ": [1, 2], "x": 2}
VARIANTS = {
    "sound": ({}, None),
    "wrong count": ({"numTraining": 7}, f'has "numTraining": 7; nnU-Net expects .* cases, {CASES}. Write'),
    "count in quotes": ({"numTraining": "3"}, 'has "numTraining": "3"; nnU-Net expects the number'),
    "fractional count": ({"numTraining": 3.0}, 'has "numTraining": 3.0; nnU-Net expects the number'),
    "no count": ({"numTraining": None}, f'has no "numTraining"; .* Write "numTraining": {CASES}'),
    "no ending": ({"file_ending": None}, 'has no "file_ending"; nnU-Net expects the ending'),
    "no channels": ({"channel_names": None}, 'has no "channel_names"; nnU-Net expects the name of each'),
    "v1": ({"channel_names": None, "modality": {"0": "CT"}}, 'Rename v1\'s "modality" to "channel_names"'),
    "list of channels": ({"channel_names": ["CT"]}, r'has "channel_names": \["CT"\]; nnU-Net expects'),
    "empty channels": ({"channel_names": {}}, 'has "channel_names": {}; nnU-Net expects'),
    "no labels": ({"labels": None}, 'has no "labels"; nnU-Net expects names with their values'),
    "list of labels": ({"labels": ["background", "organ"]}, 'has "labels": .* expects names with'),
    "gap": ({"labels": {"background": 0, "organ": 1, "x": 3}}, "the values 0, 1, 3; nnU-Net expects 0, 1, 2"),
    "no background": ({"labels": {"organ": 1, "rest": 0}}, "'organ', 'rest' without background; nnU-Net"),
    "background 1": ({"labels": {"background": 1, "organ": 0}}, 'has "background": 1; nnU-Net expects'),
    "background a list": ({"labels": {"background": [0], "organ": 1}}, r'has "background": \[0\]; nnU-Net'),
    "a word": ({"labels": {"background": 0, "organ": "one"}}, "'organ' as \"one\"; expected a whole number"),
    "numbers in quotes": ({"labels": {"background": "0", "organ": "1"}}, None),
    "one value, two names": ({"labels": {"background": 0, "organ": 1, "x": 1}}, None),
    "regions without order": ({"labels": REGIONS}, 'no "regions_class_order"; .* 2 values'),
    "order too short": ({"labels": REGIONS, "regions_class_order": [1]}, r"_order\": \[1\]; .* 'organ', 'x'"),
    "order too long": ({"labels": REGIONS, "regions_class_order": [1, 2, 3]}, "a list of 2 values"),
    "regions": ({"labels": REGIONS, "regions_class_order": [1, 2]}, None),
    "regions and ignore": ({"labels": {**REGIONS, "ignore": 3}, "regions_class_order": [1, 2]}, None),
    "order without regions": ({"regions_class_order": [1]}, None),
    "ignore": ({"labels": {"background": 0, "organ": 1, "ignore": 2}}, None),
    "ignore null": ({"labels": {"background": 0, "organ": 1, "ignore": None}}, None),
    "ignore low": (
        {"labels": {"background": 0, "ignore": 1, "x": 2}},
        'has "ignore": 1 beside .* the highest',
    ),
    "ignore far": ({"labels": {"background": 0, "organ": 1, "ignore": 9}}, 'has "ignore": 9 .* "ignore": 2,'),
    "ignore a list": ({"labels": {"background": 0, "organ": 1, "ignore": [2]}}, r"\[2\] .* one whole number"),
    "no such reader": ({"overwrite_image_reader_writer": "MyIO"}, None),
    "reader 5": ({"overwrite_image_reader_writer": 5}, '"overwrite_image_reader_writer": 5; nnU-Net'),
}


@pytest.mark.parametrize(("changes", "message"), VARIANTS.values(), ids=VARIANTS)
def test_the_verdict_is_that_of_nnunet(made, tmp_path, nnunet_in_process, changes, message):
    folder = shutil.copytree(made, tmp_path / made.name)
    write_json(folder, **changes)
    result = inspect_dataset(folder, show_progress=False)
    shown = "\n".join(str(finding) for finding in result.dataset_findings if finding.level == "error")
    assert result.is_sound == nnunet_accepts(folder) == (message is None)
    if message is not None:
        assert re.search(message, shown)


@pytest.mark.parametrize("labels", [None, [], {"organ": "x"}, {"0": "background", "1": "organ"}])
def test_cases_are_checked_even_if_the_labels_are_malformed(made, tmp_path, labels):
    folder = shutil.copytree(made, tmp_path / made.name)
    write_json(folder, labels=labels, channel_names=None)
    write_itk(folder / "labelsTr" / "case_1.nii.gz", volume_of(1)[1] * np.float32(0.5))
    result = inspect_dataset(folder, show_progress=False)
    assert {finding.kind for finding in result.dataset_findings} == {"labels", "channel_names"}
    assert [finding.kind for finding in result.findings["case_1"]] == ["label value not an integer"]
    assert not result.findings["case_0"]
    assert result.measures["case_0"].labels["label 1"].voxels == volume_of(0)[1].sum()


def findings_of(content):
    return [str(finding) for finding in judge_dataset_json(DatasetJson(None, content))]


def test_all_errors_come_at_once_and_first(made, tmp_path, capsys):
    folder = shutil.copytree(made, tmp_path / made.name)
    labels = {"organ": 1, "x": 3, "ignore": [4]}
    write_json(folder, numTraining=9, channel_names=None, labels=labels)
    mask = volume_of(1)[1]
    write_itk(folder / "labelsTr" / "case_1.nii.gz", mask * 5)
    assert main(["check", str(folder), "-o", str(tmp_path / "check")]) == 1
    lines = capsys.readouterr().out.splitlines()
    kinds = [line.split(": ")[2] for line in lines if line.startswith("dataset: error: ")]
    assert sorted(kinds) == ["channel_names", "labels", "labels", "labels", "numTraining"]
    assert lines[5].startswith(
        "case_1: error: label value not declared: labelsTr/case_1.nii.gz holds 5, declared"
    )
    assert lines[6] == "5 errors of the dataset as a whole; 3 cases, 1 with errors, 0 with warnings"
    report = json.loads((tmp_path / "check" / "report.json").read_text(encoding="utf-8"))
    assert [finding["kind"] for finding in report["findings"]] == kinds
    page = (tmp_path / "check" / "report.html").read_text(encoding="utf-8")
    assert page.index("numTraining") < page.index("label value not declared")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": {"background": 0, "a": 1, "b": 1}}, "'b' as 1, like 'a'; nnU-Net learns one label"),
        (
            {"labels": {"background": 0, "a": 1.0}},
            "'a' as 1.0, which nnU-Net takes for 1. Write whole numbers",
        ),
        ({"labels": {"background": 0, "a": []}}, "'a' as [], a region without any value"),
        ({"regions_class_order": [1]}, '"regions_class_order": [1]; nnU-Net expects none without regions'),
        ({"labels": REGIONS, "regions_class_order": [1, 7]}, "no label has the value 7"),
        ({"channel_names": {"1": "CT", "0": "PET"}}, "entries in the order of the channels, whatever"),
        ({"channel_names": {"CT": "CT"}}, "Number them 0, 1, 2, … in this order"),
        ({"overwrite_image_reader_writer": "MyIO"}, "It has no such reader and goes by file_ending"),
    ],
)
def test_what_nnunet_takes_otherwise_than_meant_is_a_warning(content, message):
    sound = {"labels": {"background": 0, "a": 1}, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
    (finding,) = findings_of({**sound, **content})
    assert finding.startswith("warning: ")
    assert message in finding


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": {"background": 0}}, "declares no label but background. Declare what is to be segmented"),
        ({"labels": {"background": 0, "a": -1}}, "declares the values -1, 0; nnU-Net expects 0, 1, 2"),
        ({"labels": {"background": 0, "a": 10**400}}, "the values 0, 100000000000… (401 digits); nnU-Net"),
        ({"modality": {"0": "CT", "1": "PET"}}, 'the 1 channels of "channel_names", but goes by this key'),
        ({"channel_names": {"0": 5}}, 'has "channel_names": {"0": 5}; nnU-Net expects the name of each'),
    ],
)
def test_what_fails_after_the_first_step_is_an_error(content, message):
    sound = {"labels": {"background": 0, "a": 1}, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
    (finding,) = findings_of({**sound, **content})
    assert finding.startswith("error: ")
    assert message in finding


@pytest.mark.parametrize("name", ["case_7.nii.gz", "._case_0_0000.nii.gz", "case_1_00.nii.gz"])
def test_files_that_nnunet_takes_for_images(made, tmp_path, nnunet_in_process, name):
    folder = shutil.copytree(made, tmp_path / made.name)
    shutil.copy(folder / "imagesTr" / "case_0_0000.nii.gz", folder / "imagesTr" / name)
    (finding,) = inspect_dataset(folder, show_progress=False).dataset_findings
    assert f"imagesTr holds {name}; nnU-Net takes each for an image" in finding.message
    assert "Rename or remove it" in finding.message
    assert not nnunet_accepts(folder)


def test_a_number_that_two_datasets_have(made, tmp_path, monkeypatch):
    folder = shutil.copytree(made, tmp_path / "raw" / made.name)
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    assert inspect_dataset(folder, show_progress=False).dataset_findings == []
    (tmp_path / "results" / "Dataset301_Other").mkdir(parents=True)
    (finding,) = inspect_dataset(folder, show_progress=False).dataset_findings
    assert finding.message.startswith("Dataset301_Made and Dataset301_Other have one number; nnU-Net refuses")


@pytest.mark.parametrize(
    ("name", "prepare", "words"),
    [
        ("MR", lambda hu: hu, 'is called "MR", but 3 of 3 images look like HU; values range from -1000 to'),
        ("CT scan", lambda hu: hu, "normalise each image by itself (z-score) and lose the HU"),
        ("", lambda hu: hu, 'Call the channel "CT" if it is one'),
        ("noNorm", lambda hu: hu, "trains on the values as they are"),
        ("ct", lambda hu: hu.clip(0, 255), "only 0 of 3 images look like HU; values range from 0 to"),
        ("CT", lambda hu: hu + 1024, "Convert the values to HU, or give the channel another name"),
    ],
)
def test_values_that_do_not_suit_the_normalisation(tmp_path, name, prepare, words):
    folder = write_dataset(
        tmp_path / "Dataset302_Named",
        prepare=lambda hu, mask: (prepare(hu), mask),
        channel_names={"0": name},
    )
    result = inspect_dataset(folder, show_progress=False)
    (finding,) = result.dataset_findings
    assert (finding.level, finding.kind) == ("warning", "channel_names")
    assert words in finding.message
    assert result.is_sound
    assert "0 with warnings" not in summary(result)


@pytest.mark.parametrize("name", ["CT", "Ct", "zscore"])
def test_values_that_suit_the_normalisation(tmp_path, name):
    folder = write_dataset(tmp_path / "Dataset302_Named", channel_names={"0": name})
    assert inspect_dataset(folder, show_progress=False).dataset_findings == []


def test_colours_beyond_their_range_are_an_error(tmp_path):
    def float_colours(hu, mask):
        return hu.astype(np.float32), mask

    names = {"0": "rgb_to_0_1"}
    folder = write_dataset(tmp_path / "Dataset303_Rgb", prepare=float_colours, channel_names=names)
    (finding,) = inspect_dataset(folder, show_progress=False).dataset_findings
    assert (finding.level, finding.kind) == ("error", "channel_names")
    assert "nnU-Net expects 0 to 255. Convert the images, or rename the channel" in finding.message


def test_a_dataset_given_by_its_path_needs_no_variable(made, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", '"~/raw"')
    assert inspect_dataset(made, show_progress=False).dataset_findings == []

"""The steps that convert a download and place the folds of a dataset."""

import json
from dataclasses import replace

import pytest

from nnunet_pancext.campaign.kinds.convert import Convert
from nnunet_pancext.campaign.kinds.splits import Splits
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.folders import DUTIES

DATASET = "Dataset900_PancreasOrgan"
CONVERT = Convert(
    name="convert-900",
    layout="msd",
    sources=("Task07_Pancreas.tar",),
    dataset=DATASET,
    split="257/24",
    labels="pancreas",
    arguments=("--labels", "pancreas"),
)
SPLITS = Splits(name="splits-900", dataset=DATASET)
FOLDS = [{"train": ["a"], "val": ["b"]}]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in DUTIES:
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def report(folder, **content):
    put(folder / "nnUNet_raw" / DATASET / "conversion_report.json", content)


OPTIONS = {"split": "257/24", "labels": "pancreas"}


def test_a_conversion_is_a_command_with_the_download_below_the_campaign(folder):
    assert CONVERT.command(folder) == [
        *("pancext", "convert", "msd", str(folder / "Task07_Pancreas.tar"), "--labels", "pancreas"),
        *("--split", "257/24", "--id", "900", "--name", "PancreasOrgan"),
    ]
    absolute = str(folder / "elsewhere" / "a.zip")
    assert replace(CONVERT, sources=(absolute,)).command(folder)[3] == absolute


def test_a_conversion_is_done_when_its_report_is_there(folder):
    assert not CONVERT.is_done(folder)
    report(folder, options=OPTIONS)
    assert CONVERT.is_done(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"options": {**OPTIONS, "split": "nnunet"}},
            "was converted with split nnunet and labels pancreas, but",
        ),
        (
            {"options": {**OPTIONS, "labels": "pancreas+tumour"}},
            r"labels pancreas\+tumour, but the campaign's",
        ),
        ("{", "conversion_report.json is not JSON"),
    ],
)
def test_another_conversion_or_a_broken_report_is_refused(folder, content, message):
    put(folder / "nnUNet_raw" / DATASET / "conversion_report.json", content)
    with pytest.raises(PancextError, match=message):
        CONVERT.is_done(folder)


def test_a_missing_download_is_refused(folder):
    with pytest.raises(PancextError, match=r"its download is missing: .*Task07_Pancreas\.tar\. Give it"):
        CONVERT.prepare(folder)
    (folder / "Task07_Pancreas.tar").touch()
    assert CONVERT.prepare(folder) == []


@pytest.mark.parametrize("dataset", ["Pancreas", "Dataset7_Pancreas", "Dataset007", "Dataset007_a/b"])
def test_a_dataset_must_be_named_as_nnunet_names_it(folder, dataset):
    with pytest.raises(PancextError, match="a new dataset's name is like Dataset007_Pancreas"):
        replace(CONVERT, dataset=dataset).command(folder)


def test_what_a_conversion_left_out_is_remarked_on(folder):
    report(
        folder,
        options=OPTIONS,
        left_out=[{"case": "pancreas_7", "kind": "size", "message": "label and image differ"}],
        warnings=[{"case": "pancreas_9", "kind": "label", "message": "no label"}],
        notes=["1 patient of the list is not there: 0012"],
    )
    assert CONVERT.remarks(folder) == [
        "left out: pancreas_7: label and image differ",
        "warning: pancreas_9: no label",
        "note: 1 patient of the list is not there: 0012",
    ]


def test_of_many_remarks_the_first_are_shown(folder):
    report(folder, options=OPTIONS, warnings=[{"case": str(n), "message": "no"} for n in range(23)])
    remarks = CONVERT.remarks(folder)
    assert len(remarks) == 21
    assert remarks[-1].startswith("and 3 more, all in ")


def test_folds_are_placed_when_they_are_the_datasets_own(folder):
    assert SPLITS.command(folder) == ["pancext", "splits", "apply", DATASET]
    assert not SPLITS.is_done(folder)
    put(folder / "nnUNet_raw" / DATASET / "split.json", {"folds": FOLDS})
    assert not SPLITS.is_done(folder)
    put(SPLITS.result(folder), FOLDS)
    assert SPLITS.is_done(folder)


def test_other_folds_are_refused(folder):
    put(folder / "nnUNet_raw" / DATASET / "split.json", {"folds": FOLDS})
    put(SPLITS.result(folder), [{"train": ["b"], "val": ["a"]}])
    with pytest.raises(PancextError, match=r"splits_final\.json holds other folds than .*split\.json, the"):
        SPLITS.is_done(folder)

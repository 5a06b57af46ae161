"""Synapse's multi-organ CT: organs by name, eight or thirteen of them."""

import json

import numpy as np
import pytest
from synthetic_msd_task import read_voxels, write_volume
from synthetic_synapse import TRAINING, VALUES, add

from nnunet_pancext.cli.main import main
from nnunet_pancext.dataset_conversion.layouts.synapse import convert_synapse
from nnunet_pancext.errors import PancextError


@pytest.fixture
def raw_data(tmp_path):
    folder = tmp_path / "RawData"
    for number in TRAINING:
        add(folder, number)
    for number in (61, 62):
        add(folder, number, test="Testing")
    return folder


def convert(source, raw_root, **options):
    return convert_synapse(source, raw_root=raw_root, show_progress=False, **options)


def labels_of(result):
    return json.loads((result.folder / "dataset.json").read_text(encoding="utf-8"))["labels"]


def test_eight_organs_are_numbered_anew_by_name(raw_data, raw_root):
    result = convert(raw_data, raw_root)
    labels = labels_of(result)
    assert list(labels.values()) == list(range(9))
    assert labels["pancreas"] == 8
    written = read_voxels(result.folder / "labelsTr" / "synapse_0001.nii.gz")
    original = {"spleen": 1, "right kidney": 2, "left kidney": 3, "gallbladder": 4, "liver": 6, "stomach": 7}
    original |= {"aorta": 8, "pancreas": 11}
    assert set(original) | {"background"} == set(labels)
    for name, value in original.items():
        np.testing.assert_array_equal(written == labels[name], value == VALUES)
    assert (written[np.isin(VALUES, (5, 9, 10, 12, 13))] == 0).all()
    assert result.file_counts == {"linked": 32, "re-encoded": 30}


def test_thirteen_organs_stay_as_they_are(raw_data, raw_root):
    result = convert(raw_data, raw_root, organs=13)
    labels = labels_of(result)
    assert labels["oesophagus"] == 5
    assert labels["left adrenal gland"] == 13
    source = raw_data / "Training" / "label" / "label0005.nii.gz"
    assert (result.folder / "labelsTr" / "synapse_0005.nii.gz").read_bytes() == source.read_bytes()
    assert result.test == ("synapse_0061", "synapse_0062")


def test_transunets_split(raw_data, raw_root, shared_data):
    expected = json.loads((shared_data / "layout_refs" / "published_splits.json").read_text(encoding="utf-8"))
    result = convert(raw_data, raw_root, split="transunet-18/12")
    assert [case[-4:] for case in result.training] == sorted(expected["synapse_transunet_18_12"]["train"])
    assert [case[-4:] for case in result.test] == sorted(expected["synapse_transunet_18_12"]["test"])
    assert len(list((result.folder / "labelsTs").iterdir())) == 12


def test_monais_split(raw_data, raw_root, shared_data, monkeypatch, tmp_path):
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    expected = json.loads((shared_data / "layout_refs" / "published_splits.json").read_text(encoding="utf-8"))
    expected = expected["btcv_monai_24_6_20"]
    result = convert(raw_data, raw_root, organs=13, split="monai-24/6")
    splits = tmp_path / "preprocessed" / "Dataset013_Synapse" / "splits_final.json"
    (fold,) = json.loads(splits.read_text(encoding="utf-8"))
    assert [case[-4:] for case in fold["train"]] == sorted(expected["train"])
    assert [case[-4:] for case in fold["val"]] == sorted(expected["val"])
    assert result.test == ("synapse_0061", "synapse_0062")
    assert not (result.folder / "labelsTs").exists()


@pytest.mark.parametrize("test", ["Testing", "Test", "averaged/test"])
def test_layouts_that_circulate(tmp_path, raw_root, test):
    for number in (1, 2):
        add(tmp_path / "Abdomen" / "RawData", number)
    add(tmp_path / "Abdomen" / "RawData", 61, test=test)
    result = convert(tmp_path, raw_root)
    assert (len(result.training), len(result.test)) == (2, 1)


def test_the_name_of_the_download_does_not_matter(tmp_path, raw_root):
    for number in (1, 2):
        add(tmp_path / "test", number)
    add(tmp_path / "test", 61, test="Testing")
    result = convert(tmp_path / "test", raw_root)
    assert (len(result.training), len(result.test)) == (2, 1)


def test_what_is_missing_is_told_by_name(raw_data, raw_root):
    (raw_data / "Training" / "img" / "img0003.nii.gz").unlink()
    (raw_data / "Training" / "label" / "label0004.nii.gz").unlink()
    result = convert(raw_data, raw_root)
    assert [(p.case_id, p.kind) for p in result.left_out] == [
        ("synapse_0003", "image missing"),
        ("synapse_0004", "label missing"),
    ]


def test_a_value_that_is_no_organ_is_refused(raw_data, raw_root):
    write_volume(raw_data / "Training" / "label" / "label0003.nii.gz", VALUES + 10)
    result = convert(raw_data, raw_root)
    assert [(p.case_id, p.kind) for p in result.left_out] == [("synapse_0003", "label value not declared")]


def test_the_other_wrong_sources_are_told(raw_data, raw_root):
    with pytest.raises(PancextError, match=r"no labels in .*expected are Training/img"):
        convert(raw_data / "Training" / "img", raw_root)
    with pytest.raises(PancextError, match="--organs must be 8 or 13, got 5"):
        convert(raw_data, raw_root, organs=5)
    with pytest.raises(PancextError, match="'nnunet' or 'transunet-18/12' or 'monai-24/6' or two counts"):
        convert(raw_data, raw_root, split="mcnet-62/20")


def test_the_command(raw_data, raw_root, capsys):
    words = ["convert", "synapse", str(raw_data), "--out", str(raw_root), "--organs", "13"]
    assert main([*words, "--split", "transunet-18/12"]) == 0
    assert "cases     18 training, 12 test" in capsys.readouterr().out

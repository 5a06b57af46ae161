"""ACDC: frames become cases, and a patient stays on one side of every split."""

import json
import re
import shutil

import numpy as np
import pytest
from synthetic_acdc import add_patient
from synthetic_msd_task import write_volume
from synthetic_nih import synthetic_ct

from nnunet_pancext.cli.main import main
from nnunet_pancext.dataset_conversion.layouts.acdc import convert_acdc
from nnunet_pancext.errors import PancextError


@pytest.fixture
def database(tmp_path):
    folder = tmp_path / "database"
    for number in range(1, 7):
        add_patient(folder / "training", number, es=8 + number)
    for number in (101, 102):
        add_patient(folder / "testing", number)
    return folder


def convert(source, raw_root, **options):
    return convert_acdc(source, raw_root=raw_root, show_progress=False, **options)


def patients(cases):
    return {case[:10] for case in cases}


def test_both_frames_of_info_are_cases(database, raw_root):
    result = convert(database, raw_root)
    assert len(result.training) == 12
    assert result.training[:2] == ("patient001_frame01", "patient001_frame09")
    assert result.test == (
        "patient101_frame01",
        "patient101_frame09",
        "patient102_frame01",
        "patient102_frame09",
    )
    assert len(list((result.folder / "labelsTs").iterdir())) == 4
    assert not result.left_out
    declared = json.loads((result.folder / "dataset.json").read_text(encoding="utf-8"))
    assert declared["channel_names"] == {"0": "cineMRI"}
    assert declared["labels"] == {"background": 0, "right ventricle": 1, "myocardium": 2, "left ventricle": 3}
    assert result.file_counts == {"linked": 32}


def test_no_patient_is_in_two_folds(database, raw_root, monkeypatch, tmp_path):
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    result = convert(database, raw_root)
    folds = json.loads(
        (tmp_path / "preprocessed" / "Dataset027_ACDC" / "splits_final.json").read_text(encoding="utf-8")
    )
    assert len(folds) == 5
    for fold in folds:
        assert not patients(fold["train"]) & patients(fold["val"])
        assert sorted(fold["train"] + fold["val"]) == list(result.training)
    validated = [case for fold in folds for case in fold["val"]]
    assert sorted(validated) == list(result.training)
    assert any("splits_final.json" in note for note in result.notes)


def test_few_patients_get_a_fold_each(tmp_path, raw_root, monkeypatch):
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    for number in range(1, 5):
        add_patient(tmp_path / "database" / "training", number)
    result = convert(tmp_path / "database", raw_root)
    folds = json.loads(
        (tmp_path / "preprocessed" / "Dataset027_ACDC" / "splits_final.json").read_text(encoding="utf-8")
    )
    assert json.loads((result.folder / "split.json").read_text(encoding="utf-8"))["folds"] == folds
    validated = [patients(fold["val"]) for fold in folds]
    assert sorted(map(sorted, validated)) == [[f"patient00{number}"] for number in range(1, 5)]
    for fold, tested in zip(folds, validated, strict=True):
        assert sorted(fold["train"] + fold["val"]) == list(result.training)
        assert not patients(fold["train"]) & tested
    assert any("4 folds by patient" in note for note in result.notes)
    monkeypatch.setenv("nnUNet_raw", str(raw_root))
    assert main(["splits", "check", "27"]) == 0


def test_one_patient_gets_no_folds(tmp_path, raw_root):
    add_patient(tmp_path / "database" / "training", 1)
    result = convert(tmp_path / "database", raw_root)
    document = json.loads((result.folder / "split.json").read_text(encoding="utf-8"))
    assert "folds" not in document
    (note,) = [note for note in result.notes if "train with fold 'all'" in note]
    assert note == document["folds_note"]
    assert note.startswith("all 2 training cases are of one patient, patient001")


def test_a_published_fold_without_a_patient_is_refused_before_reading(database, raw_root):
    for path in database.rglob("*.nii.gz"):
        path.write_text("would be found bad if it were read", encoding="utf-8")
    for number in (2, 19):  # all of the list's patients to validate on that there are here
        shutil.rmtree(database / "training" / f"patient{number:03d}", ignore_errors=True)
    with pytest.raises(PancextError, match=r"Fold 0 has no case for val.*choose another"):
        convert(database, raw_root, split="ssl4mis-70/10/20")


@pytest.mark.parametrize("name", ["testing", "training"])
def test_the_name_of_the_download_does_not_matter(tmp_path, raw_root, name):
    for number, part in ((1, "training"), (2, "training"), (101, "testing"), (102, "testing/testing")):
        add_patient(tmp_path / name / part, number)
    result = convert(tmp_path / name, raw_root)
    assert (patients(result.training), patients(result.test)) == (
        {"patient001", "patient002"},
        {"patient101", "patient102"},
    )


def test_the_test_folder_alone_trains(database, raw_root):
    result = convert(database / "testing", raw_root)
    assert (len(result.training), len(result.test)) == (4, 0)


def test_without_preprocessed_the_folds_are_told(database, raw_root, monkeypatch):
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    result = convert(database, raw_root)
    assert any("pancext splits apply Dataset027_ACDC" in note for note in result.notes)
    document = json.loads((result.folder / "split.json").read_text(encoding="utf-8"))
    assert document["patients"]["patient001_frame01"] == "patient001"
    assert len(document["folds"]) == 5


def test_counts_are_of_patients(database, raw_root):
    result = convert(database, raw_root, split="5/3")
    assert len(result.training) == 10
    assert len(result.test) == 6
    assert not patients(result.training) & patients(result.test)
    with pytest.raises(PancextError, match=r"needs 16 usable patients, there are 8.*--split 2/6 fits"):
        convert(database, raw_root / "other", split="10/6")


@pytest.mark.parametrize("below", ["training", "testing/testing", "ACDC/database/training", ""])
def test_layouts_that_circulate(tmp_path, raw_root, below):
    for number in (1, 2):
        add_patient(tmp_path / "download" / below, number)
    held_out = "testing" in below
    if held_out:
        add_patient(tmp_path / "download" / "training", 3)
    result = convert(tmp_path / "download", raw_root)
    assert len(result.training) == (2 if held_out else 4)
    assert len(result.test) == (4 if held_out else 0)


@pytest.mark.parametrize("name", ["ssl4mis-70/10/20", "nnformer-70/10/20"])
def test_published_lists_are_by_patient(tmp_path, raw_root, shared_data, name):
    published = json.loads(
        (shared_data / "layout_refs" / "published_splits.json").read_text(encoding="utf-8")
    )
    expected = published[f"acdc_{name.split('-')[0]}_70_10_20"]
    for number in (*range(1, 101, 9), 101):
        add_patient(tmp_path / "database" / "training", number)
    result = convert(tmp_path / "database", raw_root, split=name)
    (fold,) = json.loads((result.folder / "split.json").read_text(encoding="utf-8"))["folds"]
    assert patients(fold["train"]) <= set(expected["train"])
    assert patients(fold["val"]) <= set(expected["val"])
    assert patients(result.test) <= set(expected["test"])
    assert len(result.training) + len(result.test) == 24
    assert any("1 labelled case " in note or "2 labelled cases " in note for note in result.notes)
    assert any("another 70/10/20 list circulates" in note for note in result.notes)


def without_info(patient):
    (patient / "Info.cfg").unlink()


def info_without_es(patient):
    (patient / "Info.cfg").write_text("ED: 1\n", encoding="utf-8")


def without_label(patient):
    next(patient.glob("*frame01_gt.nii.gz")).unlink()


def twice(patient):
    shutil.copytree(patient, patient.parent / "again" / patient.name)


@pytest.mark.parametrize(
    ("damage", "case", "kind", "words"),
    [
        (without_info, "patient002", "Info.cfg missing", "training/patient002 holds no readable Info.cfg"),
        (info_without_es, "patient002", "Info.cfg incomplete", "names no frame for ES"),
        (without_label, "patient002_frame01", "label missing", "patient002_frame01_gt.nii.gz is not there"),
        (twice, "patient002", "duplicate id", "are folders of one patient"),
    ],
)
def test_a_bad_patient_is_left_out_by_name(database, raw_root, damage, case, kind, words):
    damage(database / "training" / "patient002")
    result = convert(database, raw_root)
    assert [(p.case_id, p.kind) for p in result.left_out] == [(case, kind)]
    assert re.search(words, result.left_out[0].message)


def test_another_folder_is_told(tmp_path, raw_root):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PancextError, match=r"no patients in .*expected are folders patient001"):
        convert(tmp_path / "empty", raw_root)


def test_labels_can_be_laid_onto_their_images(tmp_path, raw_root, capsys):
    for number in (1, 2):
        add_patient(tmp_path / "database" / "training", number)
        for frame in ("01", "09"):
            stem = (
                tmp_path
                / "database"
                / "training"
                / f"patient{number:03d}"
                / f"patient{number:03d}_frame{frame}"
            )
            hu, mask = synthetic_ct(2 * number + (frame == "09"))
            write_volume(stem.with_name(f"{stem.name}.nii.gz"), hu)
            turned = mask[::-1] if (number, frame) == (2, "09") else mask
            write_volume(stem.with_name(f"{stem.name}_gt.nii.gz"), np.ascontiguousarray(turned))
    words = ["convert", "acdc", str(tmp_path / "database"), "--out", str(raw_root), "--check-orientation"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "patient002_frame09: label turned" in printed
    assert printed.count("label turned") == 1


def test_the_command(database, raw_root, capsys):
    assert main(["convert", "acdc", str(database), "--out", str(raw_root)]) == 0
    assert "cases     12 training, 4 test (32 linked files)" in capsys.readouterr().out


def test_the_help_describes_the_own_split(capsys):
    with pytest.raises(SystemExit):
        main(["convert", "acdc", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "nnunet (default): the source's own training and testing sets" in printed
    first, second = re.search(r"A/B, e.g. ([0-9]+)/([0-9]+)", printed).groups()
    assert int(first) + int(second) == 150  # all of its patients

"""nnU-Net's three folders."""

import shutil
import tempfile
from collections import namedtuple

import pytest

from nnunet_pancext.doctor.check import Status
from nnunet_pancext.doctor.machine import GIB, check_folder, check_folders
from nnunet_pancext.nnunet_files.folders import DUTIES

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def enough_room(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(100 * GIB, 50 * GIB, 50 * GIB))


def test_good_folders_are_ok_and_left_as_they_were(monkeypatch, tmp_path):
    for variable in DUTIES:
        monkeypatch.setenv(variable, str(tmp_path))
    diagnoses = list(check_folders())
    assert [diagnosis.title for diagnosis in diagnoses] == list(DUTIES)
    assert {diagnosis.status for diagnosis in diagnoses} == {Status.OK}
    assert diagnoses[0].found == f"{tmp_path}, 50 GiB free"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [None, ""])
def test_unset_variable_shows_the_export(monkeypatch, value):
    if value is None:
        monkeypatch.delenv("nnUNet_raw", raising=False)
    else:
        monkeypatch.setenv("nnUNet_raw", value)
    diagnosis = check_folder("nnUNet_raw")
    assert (diagnosis.status, diagnosis.found) == (Status.PROBLEM, "not set")
    assert 'export nnUNet_raw="$HOME/nnunet/nnUNet_raw" && mkdir -p "$nnUNet_raw"' in diagnosis.remedy


def test_missing_folder_shows_mkdir_with_a_quoted_path(monkeypatch, tmp_path):
    folder = tmp_path / "with space"
    monkeypatch.setenv("nnUNet_results", str(folder))
    diagnosis = check_folder("nnUNet_results")
    assert diagnosis.status is Status.PROBLEM
    assert diagnosis.remedy == f"mkdir -p '{folder}'"


def test_file_in_place_of_a_folder_is_a_problem(monkeypatch, tmp_path):
    file = tmp_path / "raw"
    file.write_text("", encoding="utf-8")
    monkeypatch.setenv("nnUNet_raw", str(file))
    assert check_folder("nnUNet_raw").found == f"{file} is not a folder"


def test_folder_that_refuses_a_file_is_a_problem(monkeypatch, tmp_path):
    def refuse(**options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    diagnosis = check_folder("nnUNet_raw")
    assert diagnosis.status is Status.PROBLEM
    assert diagnosis.found == f"cannot write to {tmp_path}: Permission denied"
    assert "chmod" in diagnosis.remedy


def test_little_room_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(100 * GIB, 81 * GIB, 19 * GIB))
    diagnosis = check_folder("nnUNet_preprocessed")
    assert (diagnosis.status, diagnosis.found) == (Status.WARNING, f"{tmp_path}, 19 GiB free")

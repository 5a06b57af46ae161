"""Values of nnU-Net's folder variables that only a shell would have understood, and relative paths."""

import os
from pathlib import Path

import pytest

from nnunet_pancext.cli.main import main
from nnunet_pancext.doctor.check import Status
from nnunet_pancext.doctor.machine import check_folders
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.folders import DUTIES, RAW, nnunet_folder, raw_root, relative_value

# The value, what is wrong with it, and the path that was meant; HOME is /home/me.
MISREAD = [
    ('"/data/raw"', "with quotation marks", "/data/raw"),
    ("'/data/raw'", "with quotation marks", "/data/raw"),
    ('"/data/raw', "with quotation marks", "/data/raw"),
    ("\u201c/data/raw\u201d", "with quotation marks", "/data/raw"),
    ('"/data"/raw', "with quotation marks", "/data/raw"),
    ('"/data/my raw"', "with quotation marks", "'/data/my raw'"),
    ("~/raw", "with ~ in place of the home folder", "/home/me/raw"),
    ("~", "with ~ in place of the home folder", "/home/me"),
    ("~nobody-of-this-name/raw", "with ~ in place of the home folder", "/path/to/nnUNet_raw"),
    ("$HOME/raw", "with a variable or command, as $HOME, in place of its value", "/home/me/raw"),
    ("${HOME}/raw", "with a variable or command, as $HOME, in place of its value", "/home/me/raw"),
    ("${NOT_SET_HERE}/raw", "with a variable or command, as $HOME,", "/path/to/nnUNet_raw"),
    ("$(pwd)/raw", "with a variable or command, as $HOME,", "/path/to/nnUNet_raw"),
    ("`pwd`/raw", "with a variable or command, as $HOME,", "/path/to/nnUNet_raw"),
    ("/data/raw ", "with a blank or line break at its start or end", "/data/raw"),
    (" /data/raw", "with a blank or line break at its start or end", "/data/raw"),
    ("/data/raw\n", "with a blank or line break at its start or end", "/data/raw"),
    ("/data/raw\r", "with a blank or line break at its start or end", "/data/raw"),
    ("\ufeff/data/raw", "with a blank or line break at its start or end", "/data/raw"),
    ("   ", "with a blank or line break at its start or end", "/path/to/nnUNet_raw"),
    ("/data\n/raw", "with a line break", "/path/to/nnUNet_raw"),
    ("/data/raw  # of July", "with a comment (#)", "/data/raw"),
    ("/data/my\\ raw", "with a backslash", "'/data/my raw'"),
    (' "~/raw" ', "at its start or end and quotation marks and ~ in place", "/home/me/raw"),
    ("'$HOME/raw'", "with quotation marks and a variable or command", "/home/me/raw"),
]


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Work in an empty folder, with nnU-Net's folders elsewhere."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    for variable in DUTIES:
        (tmp_path / variable).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / variable))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.mark.parametrize(("value", "fault", "meant"), MISREAD)
def test_a_value_for_a_shell_is_refused_with_the_line_to_type(
    monkeypatch: pytest.MonkeyPatch, value: str, fault: str, meant: str
) -> None:
    monkeypatch.setenv(RAW, value)
    for read in (raw_root, lambda: nnunet_folder(RAW)):
        with pytest.raises(PancextError) as refusal:
            read()
        assert f"nnUNet_raw is {value!r}, with " in str(refusal.value)
        assert fault in str(refusal.value)
        assert str(refusal.value).endswith(f"Set it to the path itself: export nnUNet_raw={meant}")
    diagnosis = next(iter(check_folders()))
    assert diagnosis.status is Status.PROBLEM
    assert fault in diagnosis.found
    assert diagnosis.remedy == f"export nnUNet_raw={meant}"


@pytest.mark.parametrize("name", ["a b ", "~", "$HOME", "'quoted'", "it's", "a #1"])
def test_a_folder_that_exists_is_meant_literally(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.setenv(RAW, str(folder))
    assert nnunet_folder(RAW) == folder
    assert next(iter(check_folders())).status is not Status.PROBLEM


def test_a_file_of_such_a_name_is_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "raw ").write_text("", encoding="utf-8")
    monkeypatch.setenv(RAW, f"{tmp_path}/raw ")
    with pytest.raises(PancextError, match=rf"blank or line break .*: export nnUNet_raw={tmp_path}/raw$"):
        nnunet_folder(RAW)


@pytest.mark.parametrize("value", ["/data/it's mine", "/data/C$/raw", "/data/a&b (1)"])
def test_unusual_but_plain_paths_are_accepted(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(RAW, value)
    assert nnunet_folder(RAW) == Path(value)


@pytest.mark.parametrize("variable", list(DUTIES))
@pytest.mark.parametrize("value", ["~/folder", "'folder'", "$HOME/folder", "folder "])
def test_no_command_creates_a_folder_of_that_name(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folders: Path,
    variable: str,
    value: str,
) -> None:
    monkeypatch.setenv(variable, value)
    source = folders.parent / "Task07_Pancreas"
    source.mkdir()
    commands = {
        "nnUNet_raw": (["convert", "msd", str(source)], ["check", "7"], ["splits", "check", "7"]),
        "nnUNet_preprocessed": (["convert", "msd", str(source)], ["splits", "apply", "7"]),
        "nnUNet_results": (["compare", "7", "-tr", "a", "b", "-o", "out"],),
    }[variable]
    raw = folders.parent / "nnUNet_raw" / "Dataset007_Pancreas"
    (raw / "imagesTr").mkdir(parents=True)
    (raw / "imagesTr" / "a_0000.nii.gz").write_text("", encoding="utf-8")
    (raw / "dataset.json").write_text("{}", encoding="utf-8")
    (raw / "split.json").write_text('{"folds": [{"train": ["a"], "val": ["a"]}]}', encoding="utf-8")
    reproduce = ["reproduce", "segresnet-nl", "--source", str(source), "--device", "cpu"]
    for words in (*commands, reproduce):
        assert main(words) == 1
        assert f"error: {variable} is {value!r}, with " in capsys.readouterr().err
    assert os.listdir(folders) == []


def test_a_relative_path_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folders: Path
) -> None:
    monkeypatch.setenv(RAW, "raw")
    first, second, *_ = check_folders()
    assert (first.status, first.remedy) == (Status.WARNING, f"export nnUNet_raw={folders}/raw")
    assert "is raw, a relative path" in first.found
    assert (second.found, second.remedy) == ("raw does not exist", f"mkdir -p {folders}/raw")
    (folders / "raw").mkdir()
    assert Status.PROBLEM not in {diagnosis.status for diagnosis in check_folders()}
    assert main(["convert", "msd", str(folders / "no source")]) == 1
    assert "warning   nnUNet_raw is raw, a relative path" in capsys.readouterr().err
    assert main(["convert", "msd", str(folders / "no source"), "--out", str(folders)]) == 1
    assert "nnUNet_raw" not in capsys.readouterr().err
    assert relative_value("nnUNet_results") is None

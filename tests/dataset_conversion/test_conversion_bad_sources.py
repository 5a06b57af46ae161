"""Sources and targets that cannot work: a clear error, nothing at the target."""

import errno
import os
import shutil
import tarfile
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from synthetic_msd_task import SyntheticTask, make_msd_task, tree

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.dataset_conversion.target import place
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io import disk

DiskUsage = namedtuple("DiskUsage", "total used free")


def convert(source: Path, raw_root: Path, **options):
    return convert_msd(source, raw_root=raw_root, show_progress=False, **options)


def refused(source: Path, raw_root: Path, message: str, **options) -> None:
    with pytest.raises(PancextError, match=message):
        convert(source, raw_root, **options)
    assert not (raw_root / "Dataset007_Pancreas").exists()
    assert not raw_root.exists() or not list(raw_root.iterdir())


def test_source_does_not_exist(tmp_path: Path, raw_root: Path) -> None:
    refused(tmp_path / "nowhere", raw_root, "nowhere does not exist. Give the dataset's folder or its .tar")


def test_source_is_an_empty_folder(tmp_path: Path, raw_root: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", raw_root, "no MSD task in .*empty: expected are dataset.json, imagesTr/")


def test_parent_of_two_tasks(task: SyntheticTask, raw_root: Path) -> None:
    shutil.copytree(task.folder, task.folder.with_name("Task07_copy"))
    refused(task.folder.parent, raw_root, "2 tasks in .*: Task07_Pancreas, Task07_copy. Give the folder")


@pytest.mark.parametrize("name", ["imagesTr", "labelsTr"])
def test_missing_folder(task: SyntheticTask, raw_root: Path, name: str) -> None:
    shutil.rmtree(task.folder / name)
    refused(task.folder, raw_root, f"no {name}/ in .*Task07_Pancreas: expected are")


def test_no_dataset_json(task: SyntheticTask, raw_root: Path) -> None:
    (task.folder / "dataset.json").unlink()
    refused(task.folder, raw_root, "no dataset.json in .*Task07_Pancreas")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{not json", "dataset.json is not JSON: Expecting property name"),
        ("[1, 2]", r"dataset.json is not an object, {…}, but \[1, 2\]"),
    ],
)
def test_dataset_json_is_not_an_object(
    task: SyntheticTask, raw_root: Path, content: str, message: str
) -> None:
    (task.folder / "dataset.json").write_text(content, encoding="utf-8")
    refused(task.folder, raw_root, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modality": {"0": "FLAIR", "1": "T1w"}}, "only single-channel CT can be converted"),
        ({"labels": None}, "cannot understand the labels None. Expected is"),
        ({"labels": {"background": "zero"}}, "cannot understand the labels"),
        ({"labels": {"0": "background", "2": "cancer"}}, "are not 0, 1, 2, … with a name each"),
        ({"labels": {"0": "background", "1": "organ", "2": "organ"}}, "with a name each"),
        ({"labels": {"0": "air", "1": "background"}}, "call a foreground value background"),
        ({"training": "all"}, "'training' in dataset.json is a str, not a list"),
        ({"training": [{"label": "x"}]}, "has an entry without a path for 'image'"),
    ],
)
def test_dataset_json_declares_nonsense(
    task: SyntheticTask, raw_root: Path, change: dict, message: str
) -> None:
    task.edit_json(lambda content: content.update(change))
    refused(task.folder, raw_root, message)


def test_no_cases(tmp_path: Path, raw_root: Path) -> None:
    task = make_msd_task(tmp_path / "Task07_Pancreas", cases=0)
    refused(task.folder, raw_root, "no cases in .*Task07_Pancreas: imagesTr/ holds no")


def test_all_cases_bad(tmp_path: Path, raw_root: Path) -> None:
    task = make_msd_task(tmp_path / "Task07_Pancreas", cases=2, test_images=0)
    task.image(1).write_text("no image", encoding="utf-8")
    task.label(4).unlink()
    with pytest.raises(PancextError, match=r"(?s)no usable case.*pancreas_001: image.*pancreas_004: label"):
        convert(task.folder, raw_root)


def test_raw_root_is_a_file(task: SyntheticTask, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PancextError, match="is a file, not the folder of raw datasets"):
        convert(task.folder, tmp_path / "file")


def test_target_is_a_file(task: SyntheticTask, raw_root: Path) -> None:
    raw_root.mkdir()
    (raw_root / "Dataset007_Pancreas").write_text("", encoding="utf-8")
    with pytest.raises(PancextError, match="Dataset007_Pancreas is a file, not a dataset"):
        convert(task.folder, raw_root, overwrite=True)


def test_read_only_target(task: SyntheticTask, raw_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    refused(
        task.folder, raw_root, "cannot write .*Permission denied. Choose a folder you may write to with --out"
    )


def test_too_little_room_is_reported_before_anything_is_written(
    task: SyntheticTask, raw_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(100, 99, 1))
    refused(task.folder, raw_root, r"no room in .*: 1 MB are needed, 1 MB are free. Free some space")


def test_links_need_no_room(task: SyntheticTask, raw_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(100, 100, 0))
    assert len(convert(task.folder, raw_root).training) == 6


def test_disk_full_while_writing_names_the_file_and_can_be_continued(
    task: SyntheticTask, raw_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copyfile

    def fail_at_case_10(source: Path, target: Path) -> None:
        if "pancreas_010" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        copy(source, target)

    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "copyfile", fail_at_case_10)
    with pytest.raises(
        PancextError,
        match=r"disk full: could not write .*pancreas_010_0000.nii.gz: 1 MB are needed, \d+ MB are",
    ):
        convert(task.folder, raw_root, jobs=1)
    assert not (raw_root / "Dataset007_Pancreas").exists()
    monkeypatch.setattr(shutil, "copyfile", copy)
    resumed = convert(task.folder, raw_root).folder
    assert tree(resumed) == tree(convert(task.folder, tmp_path / "undisturbed").folder)


def test_disk_full_while_merging_labels(
    task: SyntheticTask, raw_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import SimpleITK as sitk

    def write_half(image: object, path: str, **_: object) -> None:
        Path(path).write_bytes(task.label(1).read_bytes()[:50])

    monkeypatch.setattr(sitk, "WriteImage", write_half)
    with pytest.raises(PancextError, match=r"disk full: could not write .*labelsTr/pancreas_\d+.nii.gz: "):
        convert(task.folder, raw_root, labels="pancreas")
    assert not (raw_root / "Dataset007_Pancreas").exists()


def raise_io_error(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


class TestAFailingDisk:
    """An error of the source's disk is not blamed on the target, nor on the archive."""

    @pytest.mark.parametrize(
        ("failing", "message"),
        [
            ("source.nii.gz", r"^cannot read .*source\.nii\.gz: Input/output error\. Check its disk"),
            ("another", r"^cannot write .*target\.nii\.gz: .*Input/output error"),
        ],
    )
    def test_while_copying(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, message: str
    ) -> None:
        open_file = Path.open

        def open_or_fail(path: Path, *arguments: Any, **options: Any) -> Any:
            return raise_io_error() if path.name == failing else open_file(path, *arguments, **options)

        (tmp_path / "source.nii.gz").write_text("x", encoding="utf-8")
        monkeypatch.setattr(Path, "open", open_or_fail)
        monkeypatch.setattr(shutil, "copyfile", raise_io_error)
        with pytest.raises(PancextError, match=message):
            place(tmp_path / "source.nii.gz", tmp_path / "out" / "target.nii.gz", may_link=False)

    def test_a_source_that_is_gone(self, tmp_path: Path) -> None:
        with pytest.raises(PancextError, match=r"^cannot read .*gone\.nii\.gz: No such file or directory"):
            place(tmp_path / "gone.nii.gz", tmp_path / "out" / "target.nii.gz")

    @pytest.mark.parametrize("is_readable", [True, False])
    def test_of_an_archive(
        self, task: SyntheticTask, raw_root: Path, monkeypatch: pytest.MonkeyPatch, is_readable: bool
    ) -> None:
        archive = shutil.make_archive(str(task.folder), "tar", task.folder.parent, task.folder.name)
        extract = tarfile.TarFile.extract

        def failing(tar: tarfile.TarFile, member: tarfile.TarInfo, *arguments: Any, **options: Any) -> None:
            if member.name.endswith("pancreas_007.nii.gz"):
                raise_io_error()
            extract(tar, member, *arguments, **options)

        monkeypatch.setattr(tarfile.TarFile, "extract", failing)
        monkeypatch.setattr(
            disk, "why_unreadable", lambda file: None if is_readable else "Input/output error"
        )
        blamed = r"^cannot write .*extracted/0: .*" if is_readable else rf"^cannot read {archive}: "
        with pytest.raises(PancextError, match=rf"{blamed}Input/output error"):
            convert(Path(archive), raw_root)

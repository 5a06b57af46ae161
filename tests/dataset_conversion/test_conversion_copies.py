"""Files that need no change are the source's own: hard-linked, or copied where that is wanted or needed."""

import json
import os
import shutil
import tarfile
from collections import namedtuple

import pytest
from synthetic_downloads import LAYOUTS
from synthetic_msd_task import tree

from nnunet_pancext.cli.main import main
from nnunet_pancext.errors import PancextError

DiskUsage = namedtuple("DiskUsage", "total used free")
AS_THEY_LIE = [name for name in LAYOUTS if name != "nih"]  # DICOM is always written anew


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return request.param


@pytest.fixture
def convert(layout, tmp_path, raw_root):
    made = LAYOUTS[layout](tmp_path / "download")
    return lambda **options: made(**{"raw_root": raw_root, "show_progress": False, **options})


@pytest.fixture
def no_links(monkeypatch):
    """A file system without hard links."""

    def refuse(*paths, **options):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)


def image_files(content):
    """Images and labels, without the documents that tell how they came there."""
    return {name: data for name, data in content.items() if name.endswith((".nii.gz", ".png"))}


def links_of(folder):
    return {path.stat().st_nlink for path in folder.rglob("*") if path.is_file()}


def inodes(*folders):
    return {path.stat().st_ino for folder in folders for path in folder.rglob("*") if path.is_file()}


def how(result):
    return set(json.loads(result.report_path.read_text(encoding="utf-8"))["written"]["file_counts"])


@pytest.mark.parametrize("layout", AS_THEY_LIE, indirect=True)
def test_files_are_linked_to_the_source(convert, tmp_path):
    result = convert()
    assert how(result) == {"linked"}
    assert inodes(result.folder / "imagesTr", result.folder / "labelsTr") <= inodes(tmp_path / "download")


def test_a_copy_shares_no_file_with_the_source(convert, layout, tmp_path):
    linked = convert(raw_root=tmp_path / "linked")
    copied = convert(copy=True)
    assert how(copied) == ({"copied"} if layout != "nih" else {"converted"})
    assert links_of(copied.folder) == {1}
    assert not inodes(copied.folder) & inodes(tmp_path / "download")
    expected = image_files(tree(linked.folder))
    assert expected
    assert image_files(tree(copied.folder)) == expected


def test_without_hard_links_files_are_copied(convert, layout, tmp_path, no_links):
    copied = convert()
    assert how(copied) == ({"copied"} if layout != "nih" else {"converted"})
    assert links_of(copied.folder) == {1}
    before = image_files(tree(copied.folder))
    for path in (tmp_path / "download").rglob("*"):  # an edit of the source does not reach the dataset
        if path.is_file():
            path.write_bytes(b"")
    assert before
    assert image_files(tree(copied.folder)) == before


@pytest.mark.parametrize("layout", AS_THEY_LIE, indirect=True)
def test_a_copy_needs_room(convert, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(100, 100, 0))
    with pytest.raises(PancextError, match=r"no room in .*: 1 MB are needed, 0 MB are free"):
        convert(copy=True)


def test_another_run_with_the_option_leaves_no_link(tmp_path, raw_root):
    """What a run without --copy had linked before it stopped is not kept."""
    made = LAYOUTS["msd"](tmp_path / "download")
    label = tmp_path / "download" / "Task07_Pancreas" / "labelsTr" / "pancreas_004.nii.gz"
    label.rename(label.with_suffix(".away"))
    with pytest.raises(PancextError, match="--split 4/2 needs 6 usable"):
        made(raw_root=raw_root, show_progress=False, split="4/2")
    label.with_suffix(".away").rename(label)
    result = made(raw_root=raw_root, show_progress=False, copy=True)
    assert links_of(result.folder) == {1}


def test_of_an_archive_nothing_is_copied_twice(tmp_path, raw_root, monkeypatch, capsys):
    LAYOUTS["msd"](tmp_path / "download")
    archive = tmp_path / "Task07_Pancreas.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "download" / "Task07_Pancreas", arcname="Task07_Pancreas")
    monkeypatch.setattr(shutil, "copyfile", None)  # calling it would fail
    assert main(["convert", "msd", str(archive), "--out", str(raw_root), "--copy"]) == 0
    assert "(14 extracted files)" in capsys.readouterr().out
    assert links_of(raw_root) == {1}

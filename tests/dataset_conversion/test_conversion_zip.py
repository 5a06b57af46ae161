"""Zip archives, harmless and hostile."""

import stat
import struct
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from synthetic_msd_task import SyntheticTask, tree

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.errors import PancextError

BY_HAND = r"Unpack it with another program and give the folder\."


@pytest.fixture
def packed(task: SyntheticTask, tmp_path: Path) -> Path:
    path = tmp_path / "Task07_Pancreas.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(task.folder.rglob("*")):
            archive.write(file, file.relative_to(task.folder.parent))
    return path


def convert(source, raw_root, **options):
    return convert_msd(source, raw_root=raw_root, show_progress=False, **options)


def add(path: Path, name: str, *, mode: int = stat.S_IFREG, content: str = "x") -> None:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, content)


def test_a_zip_gives_what_the_folder_gives(packed, task, raw_root, tmp_path):
    result = convert(packed, raw_root)
    expected = convert(task.folder, tmp_path / "other")
    for name in ("imagesTr", "labelsTr", "imagesTs"):
        assert tree(result.folder / name) == tree(expected.folder / name)
    assert result.file_counts == {"extracted": 14}


@pytest.mark.parametrize(
    "name", ["../evil.txt", "Task07_Pancreas/../../evil.txt", "/tmp/evil.txt", "C:\\evil.txt"]
)
def test_a_path_that_leaves_the_folder_refuses_the_archive(packed, raw_root, name):
    add(packed, name)
    with pytest.raises(
        PancextError, match=r"would be written outside the target folder. Nothing was extracted"
    ):
        convert(packed, raw_root)
    assert not list(raw_root.iterdir())
    assert not list(packed.parent.rglob("evil.txt"))


def test_a_symbolic_link_refuses_the_archive(packed, raw_root):
    add(packed, "Task07_Pancreas/imagesTr/pancreas_999.nii.gz", mode=stat.S_IFLNK, content="/etc/passwd")
    with pytest.raises(PancextError, match=r"pancreas_999.nii.gz', a link or device"):
        convert(packed, raw_root)


def test_a_bomb_finds_no_room(packed, raw_root, monkeypatch):
    """The archive says how much is in it; that is compared with the disk before anything is written."""
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Task07_Pancreas/bomb", bytes(50_000_000))
    assert packed.stat().st_size < 1_000_000
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10, 10, 20_000_000))
    with pytest.raises(PancextError, match=r"no room in .*: 51 MB are needed, 20 MB are free"):
        convert(packed, raw_root)


def test_a_bomb_that_lies_about_its_size_is_cut_off(packed, raw_root):
    name = "Task07_Pancreas/bomb"
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, bytes(50_000_000))
    content = bytearray(packed.read_bytes())
    size = struct.pack("<I", 50_000_000)
    while (at := content.find(size)) >= 0:
        content[at : at + 4] = struct.pack("<I", 1000)
    packed.write_bytes(content)
    with pytest.raises(PancextError, match=r"Task07_Pancreas.zip is damaged: .*bomb"):
        convert(packed, raw_root)
    assert not [path for path in raw_root.rglob("*bomb*") if path.is_file()]


def test_an_encrypted_zip_is_refused(packed, raw_root):
    content = bytearray(packed.read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(mark, at + 1)
    packed.write_bytes(content)
    with pytest.raises(PancextError, match=rf"{packed.name} is encrypted. {BY_HAND}$") as refusal:
        convert(packed, raw_root)
    assert "damaged" not in str(refusal.value)


@pytest.mark.parametrize("kept", [0.3, 0.99])
def test_a_truncated_zip_is_refused(packed, raw_root, kept):
    content = packed.read_bytes()
    packed.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(PancextError, match="download it again"):
        convert(packed, raw_root)


def test_a_zip_with_a_damaged_member_is_refused(packed, raw_root):
    content = bytearray(packed.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 40] = bytes(40)
    packed.write_bytes(content)
    with pytest.raises(PancextError, match="is damaged: Task07_Pancreas/"):
        convert(packed, raw_root)


@pytest.mark.parametrize("method", [9, 6, 97])  # Deflate64 of Windows' Explorer, imploded, WavPack
def test_a_zip_that_python_cannot_unpack_is_not_called_damaged(packed, raw_root, method):
    content = bytearray(packed.read_bytes())
    for mark, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        at = content.find(mark)
        while at >= 0:
            content[at + offset : at + offset + 2] = struct.pack("<H", method)
            at = content.find(mark, at + 1)
    packed.write_bytes(content)
    with pytest.raises(
        PancextError, match=rf"{packed.name} cannot be unpacked here: .*{BY_HAND}$"
    ) as refusal:
        convert(packed, raw_root)
    assert "damaged" not in str(refusal.value)

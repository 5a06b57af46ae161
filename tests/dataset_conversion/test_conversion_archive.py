"""Archives: extracted safely, removed afterwards, damaged or hostile ones refused."""

import gzip
import io
import shutil
import tarfile
from collections import namedtuple
from pathlib import Path

import pytest
from synthetic_msd_task import SyntheticTask, tree

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.errors import PancextError


def convert(source: Path, raw_root: Path, **options):
    return convert_msd(source, raw_root=raw_root, show_progress=False, **options)


def pack(task: SyntheticTask, name: str) -> Path:
    archive = task.folder.parent / name
    with tarfile.open(archive, "w:gz" if name.endswith("gz") else "w") as tar:
        tar.add(task.folder, arcname="./Task07_Pancreas")
    return archive


def with_member(task: SyntheticTask, member: tarfile.TarInfo, content: bytes = b"") -> Path:
    archive = pack(task, "Task07_Pancreas.tar")
    member.size = len(content)
    with tarfile.open(archive, "a") as tar:
        tar.addfile(member, io.BytesIO(content))
    return archive


@pytest.mark.parametrize("name", ["Task07_Pancreas.tar", "Task07_Pancreas.tar.gz"])
def test_an_archive_gives_what_its_folder_gives(
    task: SyntheticTask, raw_root: Path, tmp_path: Path, name: str
) -> None:
    result = convert(pack(task, name), raw_root)
    from_folder = tree(convert(task.folder, tmp_path / "other").folder)
    from_archive = tree(result.folder)
    for report in (from_folder, from_archive):
        del report["conversion_report.json"]
    assert from_archive == from_folder
    assert result.file_counts == {"extracted": 14}
    assert '"hidden_files_ignored": 6' in result.report_path.read_text(encoding="utf-8")
    assert [p.name for p in raw_root.iterdir()] == ["Dataset007_Pancreas"]


@pytest.mark.parametrize("size", [5, 12, 40, 100])
def test_an_archive_cut_short_near_its_beginning(task: SyntheticTask, raw_root: Path, size: int) -> None:
    archive = pack(task, "Task07_Pancreas.tar.gz")
    archive.write_bytes(archive.read_bytes()[:size])
    with pytest.raises(PancextError, match=r"neither a folder nor a readable .tar.*download it again"):
        convert(archive, raw_root)


def test_the_extracted_files_go_away_after_an_error(task: SyntheticTask, raw_root: Path) -> None:
    task.label(4).unlink()
    with pytest.raises(PancextError, match="--strict"):
        convert(pack(task, "Task07_Pancreas.tar"), raw_root, strict=True)
    assert not list(raw_root.rglob("*.nii.gz"))


@pytest.mark.parametrize("name", ["../outside.nii.gz", "/outside.nii.gz", "a/../../outside", "C:\\outside"])
def test_members_that_leave_the_folder_are_refused(task: SyntheticTask, raw_root: Path, name: str) -> None:
    archive = with_member(task, tarfile.TarInfo(name), b"harm")
    with pytest.raises(PancextError, match=r"outside.*would be written outside the target folder"):
        convert(archive, raw_root)
    assert not list(raw_root.iterdir())


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(task: SyntheticTask, raw_root: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("Task07_Pancreas/imagesTr/link.nii.gz")
    member.type = kind
    member.linkname = "/etc/hostname"
    with pytest.raises(PancextError, match=r"'Task07_Pancreas/imagesTr/link.nii.gz', a link or device"):
        convert(with_member(task, member), raw_root)
    assert not list(raw_root.iterdir())


@pytest.mark.parametrize("name", ["Task07_Pancreas.tar", "Task07_Pancreas.tar.gz"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_cut_archive_is_refused(task: SyntheticTask, raw_root: Path, name: str, kept: float) -> None:
    archive = pack(task, name)
    content = archive.read_bytes().rstrip(b"\0")  # without the padding behind a tar's end
    archive.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(PancextError, match=r"is damaged: .*Download it again"):
        convert(archive, raw_root)
    assert not list(raw_root.iterdir())


def test_a_damaged_header_does_not_drop_the_rest_silently(task: SyntheticTask, raw_root: Path) -> None:
    archive = pack(task, "Task07_Pancreas.tar")
    with tarfile.open(archive) as tar:
        offset = tar.getmembers()[10].offset
    content = bytearray(archive.read_bytes())
    content[offset : offset + 200] = b"\xff" * 200
    archive.write_bytes(content)
    with pytest.raises(PancextError, match=r"is damaged: it breaks off at byte"):
        convert(archive, raw_root)


def test_another_kind_of_file_is_refused(tmp_path: Path, raw_root: Path) -> None:
    (tmp_path / "Task07_Pancreas.tar").write_text("<html>404</html>", encoding="utf-8")
    with pytest.raises(PancextError, match=r"neither a folder nor a readable .tar, .tar.gz or .zip"):
        convert(tmp_path / "Task07_Pancreas.tar", raw_root)


def test_no_room_to_extract(task: SyntheticTask, raw_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 0))
    with pytest.raises(PancextError, match=r"no room in .*1 MB are needed, 0 MB are free"):
        convert(pack(task, "Task07_Pancreas.tar"), raw_root)
    assert not list(raw_root.iterdir())


def test_a_damaged_byte_within_a_file_is_found_by_the_checksum(task: SyntheticTask, raw_root: Path) -> None:
    """Of a file stored without compression, no other check sees it."""
    (task.folder / "notes.bin").write_bytes(b"\x00" * 8 + bytes(range(256)) * 40)
    archive = task.folder.parent / "Task07_Pancreas.tar.gz"
    with gzip.open(archive, "wb", compresslevel=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(task.folder, arcname="Task07_Pancreas")
    content = bytearray(archive.read_bytes())
    content[content.index(bytes(range(256)))] ^= 0xFF
    archive.write_bytes(bytes(content))
    with pytest.raises(PancextError, match=r"is damaged.*CRC.*Download it again"):
        convert(archive, raw_root)


@pytest.mark.parametrize("ending", ["bz2", "xz"])
def test_other_compressions_that_are_damaged_are_refused(
    task: SyntheticTask, raw_root: Path, ending: str
) -> None:
    archive = task.folder.parent / f"Task07_Pancreas.tar.{ending}"
    with tarfile.open(archive, f"w:{ending}") as tar:
        tar.add(task.folder, arcname="Task07_Pancreas")
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(bytes(content))
    with pytest.raises(PancextError, match=r"is damaged|neither a folder nor a readable"):
        convert(archive, raw_root)

"""Downloads whose .nii.gz files were decompressed on the way, as some browsers and unpackers do."""

import gzip
import shutil
from pathlib import Path

import pytest
from synthetic_downloads import LAYOUTS
from synthetic_msd_task import SyntheticTask

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.nifti_scan import scan_nifti

VOLUMES = ("msd", "nih", "synapse", "acdc")
# A file of one case in each layout, and the case or patient.
DOUBLED = {
    "msd": ("Task07_Pancreas/imagesTr/pancreas_004.nii.gz", "pancreas_004"),
    "nih": ("TCIA_pancreas_labels-02-05-2017/label0002.nii.gz", "PANCREAS_0002"),
    "synapse": ("RawData/Training/img/img0002.nii.gz", "synapse_0002"),
    "acdc": ("database/training/patient002/patient002_frame01_gt.nii.gz", "patient002"),
}


def unpack(path: Path) -> None:
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()


def unpack_all(folder: Path) -> None:
    for path in folder.rglob("[!.]*.nii.gz"):
        if "_4d" not in path.name:
            unpack(path)


def contents(folder: Path) -> dict[str, object]:
    """What nnU-Net sees: each volume by its voxels, each document by its text."""
    documents = {
        path.name: path.read_text(encoding="utf-8")
        for path in (folder / "dataset.json", folder / "split.json")
    }
    volumes = {
        path.relative_to(folder).as_posix(): scan_nifti(path, collect_values=path.parent.name[:6] == "labels")
        for path in folder.rglob("*.nii.gz")
    }
    return {**documents, **volumes}


@pytest.mark.parametrize("layout", VOLUMES)
def test_a_decompressed_download_gives_the_same_dataset(layout: str, tmp_path: Path, raw_root: Path) -> None:
    convert = LAYOUTS[layout](tmp_path / "download")
    expected = convert(raw_root=tmp_path / "expected", show_progress=False)
    unpack_all(tmp_path / "download")
    result = convert(raw_root=raw_root, show_progress=False)
    assert contents(result.folder) == contents(expected.folder)
    assert (result.left_out, result.warnings) == (expected.left_out, expected.warnings) == ((), ())
    if layout != "nih":  # whose volumes are all written anew
        assert result.file_counts == {"compressed": sum(expected.file_counts.values())}


@pytest.mark.parametrize("layout", VOLUMES)
def test_both_forms_of_one_volume_are_refused(layout: str, tmp_path: Path, raw_root: Path) -> None:
    convert = LAYOUTS[layout](tmp_path)
    name, case = DOUBLED[layout]
    shutil.copy(tmp_path / name, tmp_path / "copy.nii.gz")
    unpack(tmp_path / name)
    shutil.copy(tmp_path / "copy.nii.gz", tmp_path / name)
    (problem,) = convert(raw_root=raw_root, show_progress=False).left_out
    assert (problem.case_id, problem.kind) == (case, "duplicate id")
    stem = Path(name).name.removesuffix(".nii.gz")
    assert f"{stem}.nii" in problem.message
    assert ".nii.gz" in problem.message
    assert problem.message.endswith("Remove the wrong one.")


def test_some_decompressed_files_and_a_list_of_them(task: SyntheticTask, raw_root: Path) -> None:
    unpack(task.image(4))
    unpack(task.label(7))
    task.edit_json(lambda content: content["training"][2].update(image="./imagesTr/pancreas_007.nii"))
    result = convert_msd(task.folder, raw_root=raw_root, show_progress=False)
    assert result.file_counts == {"compressed": 2, "linked": 12}
    assert (result.left_out, result.warnings) == ((), ())


def test_labels_are_merged_and_reoriented_from_decompressed_files(
    task: SyntheticTask, raw_root: Path, tmp_path: Path
) -> None:
    options = {"labels": "pancreas", "show_progress": False}
    expected = convert_msd(task.folder, raw_root=tmp_path / "expected", **options)
    unpack_all(task.folder)
    result = convert_msd(task.folder, raw_root=raw_root, **options)
    assert contents(result.folder) == contents(expected.folder)
    assert result.file_counts == {"compressed": 8, "re-encoded": 6}


def test_a_damaged_one_is_named(task: SyntheticTask, raw_root: Path) -> None:
    unpack_all(task.folder)
    path = task.image(4).with_suffix("")
    path.write_bytes(path.read_bytes()[:-7])
    (problem,) = convert_msd(task.folder, raw_root=raw_root, show_progress=False).left_out
    assert problem.message.startswith("imagesTr/pancreas_004.nii is cut short: 7 bytes of voxels are missing")


def test_compressed_files_need_room(
    task: SyntheticTask, raw_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack(task.image(4))
    usage = shutil._ntuple_diskusage(100, 99, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(PancextError, match=r"no room in .*: 1 MB are needed"):
        convert_msd(task.folder, raw_root=raw_root, show_progress=False)


@pytest.mark.parametrize("layout", ["msd", "synapse"])
def test_an_archive_of_decompressed_files(layout: str, tmp_path: Path, raw_root: Path) -> None:
    convert = LAYOUTS[layout](tmp_path / "download")
    unpack_all(tmp_path / "download")
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path / "download")
    options = {"raw_root": raw_root, "show_progress": False}
    result = convert.func(Path(archive), **convert.keywords, **options)
    assert set(result.file_counts) == {"compressed"}
    assert result.left_out == ()

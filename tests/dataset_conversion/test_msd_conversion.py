"""What `convert_msd` makes of a sound Task07 folder."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_msd_task import SyntheticTask, make_msd_task, read_voxels, tree

from nnunet_pancext import __version__
from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.dataset_conversion.report import summary
from nnunet_pancext.errors import PancextError

TRAINING = [f"pancreas_{n:03d}" for n in (1, 4, 7, 10, 13, 16)]


def convert(source: Path, raw_root: Path, **options):
    return convert_msd(source, raw_root=raw_root, show_progress=False, **options)


def test_writes_the_nnunet_layout(task: SyntheticTask, raw_root: Path) -> None:
    result = convert(task.folder, raw_root)

    assert result.folder == raw_root / "Dataset007_Pancreas"
    files = set(tree(result.folder))
    assert files == {
        *(f"imagesTr/{case}_0000.nii.gz" for case in TRAINING),
        *(f"labelsTr/{case}.nii.gz" for case in TRAINING),
        "imagesTs/pancreas_002_0000.nii.gz",
        "imagesTs/pancreas_005_0000.nii.gz",
        "dataset.json",
        "split.json",
        "conversion_report.json",
    }
    assert [p.name for p in raw_root.iterdir()] == ["Dataset007_Pancreas"]
    assert list(result.training) == TRAINING
    assert result.test == ("pancreas_002", "pancreas_005")
    assert result.left_out == result.warnings == ()


def test_images_and_labels_are_hard_links_to_the_source(task: SyntheticTask, raw_root: Path) -> None:
    folder = convert(task.folder, raw_root).folder
    assert os.path.samefile(folder / "imagesTr/pancreas_004_0000.nii.gz", task.image(4))
    assert os.path.samefile(folder / "labelsTr/pancreas_004.nii.gz", task.label(4))


def test_copies_the_bytes_where_links_are_not_possible(
    task: SyntheticTask, raw_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    result = convert(task.folder, raw_root)
    copy = result.folder / "imagesTr/pancreas_004_0000.nii.gz"
    assert not os.path.samefile(copy, task.image(4))
    assert copy.read_bytes() == task.image(4).read_bytes()
    assert result.file_counts == {"copied": 14}


def test_dataset_json_is_what_nnunet_reads(task: SyntheticTask, raw_root: Path) -> None:
    content = json.loads((convert(task.folder, raw_root).folder / "dataset.json").read_text(encoding="utf-8"))
    assert content["channel_names"] == {"0": "CT"}
    assert list(content["labels"].items()) == [("background", 0), ("pancreas", 1), ("cancer", 2)]
    assert content["numTraining"] == 6
    assert content["file_ending"] == ".nii.gz"
    assert content["licence"] == "CC-BY-SA 4.0"
    assert content["reference"] == "Memorial Sloan Kettering Cancer Center"
    assert content["release"] == "1.0 04/05/2018"
    assert content["converted_by"] == f"nnunet-pancext {__version__}"


def test_merging_makes_every_foreground_pancreas_on_the_same_grid(
    task: SyntheticTask, raw_root: Path
) -> None:
    result = convert(task.folder, raw_root, labels="pancreas")
    source = sitk.ReadImage(str(task.label(7)))
    merged = sitk.ReadImage(str(result.folder / "labelsTr/pancreas_007.nii.gz"))
    # The made label: a box of 2 x 3 x 4 voxels, two of them tumour.
    values, counts = np.unique(sitk.GetArrayFromImage(merged), return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {0: 6 * 9 * 8 - 24, 1: 24}
    assert merged.GetPixelID() == sitk.sitkUInt8
    assert merged.GetSpacing() == source.GetSpacing()
    assert merged.GetOrigin() == source.GetOrigin()
    assert merged.GetDirection() == source.GetDirection()
    assert set(np.unique(read_voxels(task.label(7)))) == {0, 1, 2}
    assert result.file_counts == {"linked": 8, "re-encoded": 6}
    labels = json.loads((result.folder / "dataset.json").read_text(encoding="utf-8"))["labels"]
    assert labels == {"background": 0, "pancreas": 1}


def test_merging_leaves_files_alone_that_hold_one_foreground_label(
    task: SyntheticTask, raw_root: Path
) -> None:
    for number in (1, 4, 7, 10, 13, 16):
        label = sitk.ReadImage(str(task.label(number)))
        sitk.WriteImage(sitk.Cast(label > 0, sitk.sitkUInt8), str(task.label(number)))
    task.edit_json(lambda content: content.update(labels={"0": "background", "1": "organ"}))
    result = convert(task.folder, raw_root, labels="pancreas")
    assert result.file_counts == {"linked": 14}


def test_the_parent_of_the_task_folder_will_do(task: SyntheticTask, raw_root: Path) -> None:
    assert len(convert(task.folder.parent, raw_root).training) == 6


def test_a_source_without_test_images_is_fine(tmp_path: Path, raw_root: Path) -> None:
    task = make_msd_task(tmp_path / "Task07_Pancreas", test_images=0)
    (task.folder / "imagesTs").rmdir()
    result = convert(task.folder, raw_root)
    assert result.test == ()


def test_report_says_what_was_written(task: SyntheticTask, raw_root: Path) -> None:
    (task.folder / "notes.txt").write_text("mine", encoding="utf-8")
    task.label(10).unlink()
    result = convert(task.folder, raw_root)
    report = json.loads(result.report_path.read_text(encoding="utf-8"))
    assert report["source"]["hidden_files_ignored"] == 6
    assert report["source"]["other_files_ignored"] == ["notes.txt"]
    assert report["options"] == {
        "id": 7,
        "name": "Pancreas",
        "labels": "pancreas+tumour",
        "split": "nnunet",
        "check_orientation": False,
        "copy": False,
    }
    assert report["written"]["training"] == [case for case in TRAINING if case != "pancreas_010"]
    assert report["written"]["file_counts"] == {"linked": 12}
    on_disk = {name for name in tree(result.folder) if "/" in name}
    assert set(report["written"]["files"]) == on_disk
    assert [(entry["case"], entry["kind"]) for entry in report["left_out"]] == [
        ("pancreas_010", "label missing")
    ]


def test_summary_names_place_counts_left_out_and_next_command(
    task: SyntheticTask, raw_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("nnUNet_raw", str(raw_root))
    task.label(10).unlink()
    text = summary(convert(task.folder, raw_root))
    assert str(raw_root / "Dataset007_Pancreas") in text
    assert "5 training, 2 test" in text
    assert "pancreas_010: label missing: labelsTr/pancreas_010.nii.gz is not there." in text
    assert text.endswith("next      nnUNetv2_plan_and_preprocess -d 7 --verify_dataset_integrity")


def test_summary_sets_the_raw_folder_where_it_is_another(
    task: SyntheticTask, raw_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("nnUNet_raw", raising=False)
    text = summary(convert(task.folder, raw_root))
    assert text.splitlines()[-1] == (
        f"next      nnUNet_raw={raw_root} nnUNetv2_plan_and_preprocess -d 7 --verify_dataset_integrity"
    )


def test_an_existing_dataset_is_not_touched(task: SyntheticTask, raw_root: Path) -> None:
    folder = convert(task.folder, raw_root).folder
    before = tree(folder)
    with pytest.raises(PancextError, match=r"exists already. Replace it with --overwrite"):
        convert(task.folder, raw_root, labels="pancreas")
    assert tree(folder) == before


def test_overwrite_replaces_the_dataset(task: SyntheticTask, raw_root: Path) -> None:
    folder = convert(task.folder, raw_root).folder
    (folder / "stray.txt").write_text("old", encoding="utf-8")
    convert(task.folder, raw_root, labels="pancreas", overwrite=True)
    assert not (folder / "stray.txt").exists()
    assert read_voxels(folder / "labelsTr/pancreas_001.nii.gz").max() == 1
    assert [p.name for p in raw_root.iterdir()] == ["Dataset007_Pancreas"]


def test_a_failed_overwrite_keeps_the_old_dataset(task: SyntheticTask, raw_root: Path) -> None:
    folder = convert(task.folder, raw_root).folder
    before = tree(folder)
    with pytest.raises(PancextError, match="needs 7 usable cases"):
        convert(task.folder, raw_root, split="5/2", overwrite=True)
    assert tree(folder) == before


def test_overwriting_what_one_converts_from_is_refused(task: SyntheticTask, raw_root: Path) -> None:
    folder = raw_root / "Dataset007_Pancreas"
    raw_root.mkdir()
    os.rename(task.folder, folder)
    with pytest.raises(PancextError, match=r"lies inside .*Dataset007_Pancreas, which --overwrite replaces"):
        convert(folder, raw_root, overwrite=True)


def test_an_id_is_given_once(task: SyntheticTask, raw_root: Path) -> None:
    (raw_root / "Dataset007_Other").mkdir(parents=True)
    with pytest.raises(PancextError, match="id 7 is taken by Dataset007_Other"):
        convert(task.folder, raw_root)


def test_old_preprocessed_data_is_mentioned(
    task: SyntheticTask, raw_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    former = tmp_path / "preprocessed" / "Dataset007_Pancreas"
    former.mkdir(parents=True)
    (former / "nnUNetPlans.json").write_text("{}", encoding="utf-8")
    assert any("remove it, or nnU-Net trains on it" in note for note in convert(task.folder, raw_root).notes)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"dataset_id": 0}, "--id must be from 1 to 999, got 0"),
        ({"dataset_id": 1000}, "--id must be from 1 to 999, got 1000"),
        ({"name": "a/b"}, "--name may hold letters, digits, _ and - only, got 'a/b'"),
        ({"labels": "liver"}, "--labels must be one of pancreas\\+tumour, pancreas, got 'liver'"),
        ({"split": "half"}, "--split must be 'nnunet' or 'nnunet-5fold' or two counts like 257/24"),
        ({"split": "6/0"}, "--split must be 'nnunet' or 'nnunet-5fold' or two counts like 257/24"),
        ({"jobs": 0}, "--jobs must be at least 1, got 0"),
    ],
)
def test_impossible_options_are_named(
    task: SyntheticTask, raw_root: Path, option: dict, message: str
) -> None:
    with pytest.raises(PancextError, match=message):
        convert(task.folder, raw_root, **option)
    assert not raw_root.exists() or not list(raw_root.iterdir())

"""Further channels of a case are checked like the first."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.dataset_check.check import inspect_dataset

SIZE_ZYX = (6, 10, 9)


def write(path, array, *, origin=(0.0, 0.0, 0.0)):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.8, 0.8, 2.0))
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path), useCompression=True)


def voxels(seed, dtype=np.int16):
    return np.random.default_rng(seed).integers(0, 900, SIZE_ZYX).astype(dtype)


@pytest.fixture
def dataset(tmp_path):
    """Five cases of two channels, not CT."""
    folder = tmp_path / "Dataset009_Two"
    for number in range(5):
        for channel in range(2):
            write(folder / "imagesTr" / f"case_{number}_{channel:04d}.nii.gz", voxels(10 * number + channel))
        label = np.zeros(SIZE_ZYX, np.uint8)
        label[2:5, 3:8, 3:8] = 1
        write(folder / "labelsTr" / f"case_{number}.nii.gz", label)
    declared = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "pancreas": 1}}
    (folder / "dataset.json").write_text(json.dumps({**declared, "file_ending": ".nii.gz"}), encoding="utf-8")
    return folder


def channel(dataset, number, which=1):
    return dataset / "imagesTr" / f"case_{number}_{which:04d}.nii.gz"


def messages(dataset):
    findings = inspect_dataset(dataset, show_progress=False).findings
    return {
        (case, finding.kind): finding.message for case, several in findings.items() for finding in several
    }


def missing(dataset):
    channel(dataset, 2).unlink()


def cut(dataset):
    channel(dataset, 2).write_bytes(channel(dataset, 2).read_bytes()[:-40])


def moved(dataset):
    write(channel(dataset, 2), voxels(77), origin=(5.0, 0.0, 0.0))


def smaller(dataset):
    write(channel(dataset, 2), voxels(77)[:-1])


def not_a_number(dataset):
    array = voxels(77, np.float32)
    array[0, 0, :3] = np.nan
    write(channel(dataset, 2), array)


def undeclared(dataset):
    write(channel(dataset, 2, which=2), voxels(77))


def same_as_first(dataset):
    shutil.copy(channel(dataset, 2, which=0), channel(dataset, 2))


def same_as_another_case(dataset):
    shutil.copy(channel(dataset, 1), channel(dataset, 2))


def first_missing(dataset):
    channel(dataset, 2, which=0).unlink()


def no_image_at_all(dataset):
    for which in range(2):
        channel(dataset, 2, which=which).unlink()


def test_sound_channels_have_no_finding(dataset):
    assert messages(dataset) == {}


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (missing, "channel 1 missing", "imagesTr/case_2_0001.nii.gz is not there"),
        (
            first_missing,
            "channel 0 missing",
            "case_2_0001.nii.gz exists, imagesTr/case_2_0000.nii.gz does not",
        ),
        (no_image_at_all, "label without image", "there is a label, but no imagesTr/case_2_0000.nii.gz"),
        (cut, "channel 1 unreadable", "is cut short"),
        (moved, "channel 1: origin differs", "has origin (5.0, 0.0, 0.0), its image (0.0, 0.0, 0.0) mm"),
        (smaller, "channel 1: size differs", "Resample all channels of a case onto one grid"),
        (not_a_number, "channel 1 has NaN or Inf", "has 3 voxels that are NaN or infinite"),
        (undeclared, "channel 2 not declared", "dataset.json declares 2 channels"),
        (same_as_first, "channel 1 there twice", "the same voxels as channel 0 of case_2"),
        (same_as_another_case, "channel 1 there twice", "the same voxels as channel 1 of case_1"),
    ],
)
def test_a_fault_of_a_channel_is_reported(dataset, damage, kind, words):
    damage(dataset)
    reported = messages(dataset)
    assert list(reported) == [("case_2", kind)]
    assert words in reported["case_2", kind]

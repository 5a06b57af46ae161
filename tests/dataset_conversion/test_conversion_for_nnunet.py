"""nnU-Net accepts what the conversion makes, also of a real CT."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_downloads import LAYOUTS
from synthetic_msd_task import SyntheticTask, make_msd_task
from synthetic_slices import make

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.dataset_conversion.layouts.png_slices import convert_slices


@pytest.fixture
def accepted(capfd: pytest.CaptureFixture[str], nnunet_in_process: None):
    """Return a function that has nnU-Net check a dataset and fails with what it prints."""

    def check(folder: Path) -> None:
        from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

        verify_dataset_integrity(str(folder), num_processes=1)
        out, _ = capfd.readouterr()
        assert "Error" not in out
        assert "Warning" not in out
        assert "verify_dataset_integrity Done" in out

    return check


@pytest.mark.parametrize("labels", ["pancreas+tumour", "pancreas"])
def test_nnunet_accepts_the_dataset(tmp_path: Path, raw_root: Path, accepted, labels: str) -> None:
    task = make_msd_task(tmp_path / "Task07_Pancreas", cases=2, test_images=0)
    accepted(convert_msd(task.folder, raw_root=raw_root, labels=labels, show_progress=False).folder)


@pytest.mark.parametrize(
    ("layout", "options"),
    [
        ("nih", {"split": "3/2"}),
        ("synapse", {"organs": 8}),
        ("acdc", {"split": "4/2", "copy": True}),
        ("slices", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(map(str, value.values())),
)
def test_nnunet_accepts_every_layout(
    tmp_path: Path, raw_root: Path, accepted, layout: str, options: dict
) -> None:
    result = LAYOUTS[layout](tmp_path / "download")(raw_root=raw_root, show_progress=False, **options)
    assert not result.left_out
    accepted(result.folder)


def test_nnunet_accepts_white_masks(tmp_path: Path, raw_root: Path, accepted) -> None:
    source = make(tmp_path / "pngs", value=255)
    accepted(convert_slices(source, raw_root=raw_root, show_progress=False).folder)


def test_a_real_ct_comes_through_unchanged(
    tmp_path: Path, raw_root: Path, shared_data: Path, accepted
) -> None:
    task = SyntheticTask(tmp_path / "Task07_Pancreas")
    for name in ("imagesTr", "labelsTr"):
        (task.folder / name).mkdir(parents=True)
    pancreas_voxels = {}
    for number, name in ((1, "ts_example_ct"), (2, "ts_example_ct_sm")):
        folder = shared_data / "real_ct" / name
        image, label = (sitk.ReadImage(str(find(folder, kind))) for kind in ("image", "label"))
        sitk.WriteImage(image, str(task.image(number)))
        sitk.WriteImage(sitk.Cast(label == 7, sitk.sitkUInt8), str(task.label(number)))
        pancreas_voxels[number] = int((sitk.GetArrayFromImage(label) == 7).sum())
    assert pancreas_voxels == {1: 695, 2: 644}  # as the data's readme says
    names = [f"./imagesTr/pancreas_{n:03d}.nii.gz" for n in (1, 2)]
    declared = {"labels": {"0": "background", "1": "pancreas"}, "training": [{"image": n} for n in names]}
    (task.folder / "dataset.json").write_text(json.dumps(declared), encoding="utf-8")

    result = convert_msd(task.folder, raw_root=raw_root, show_progress=False)

    assert result.left_out == result.warnings == ()
    for number in (1, 2):
        converted = sitk.ReadImage(str(result.folder / f"imagesTr/pancreas_{number:03d}_0000.nii.gz"))
        original = sitk.ReadImage(str(task.image(number)))
        assert converted.GetOrigin() == original.GetOrigin()
        assert converted.GetDirection() == original.GetDirection()
        assert np.array_equal(sitk.GetArrayViewFromImage(converted), sitk.GetArrayViewFromImage(original))
    accepted(result.folder)


def find(folder: Path, kind: str) -> Path:
    """Return the image or the newer label of a shared CT."""
    names = sorted(path for path in folder.glob("*.nii.gz") if "v1" not in path.name)
    labels = [path for path in names if "label" in path.name]
    return labels[0] if kind == "label" else next(path for path in names if path not in labels)

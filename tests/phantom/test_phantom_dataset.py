"""The written phantom dataset is laid out as the download of MSD Task07_Pancreas."""

import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.phantom import dataset, write_phantom_dataset

SIZE = (16, 40, 32)
MSD_KEYS = [
    "name",
    "description",
    "reference",
    "licence",
    "relase",
    "tensorImageSize",
    "modality",
    "labels",
    "numTraining",
    "numTest",
    "training",
    "test",
]


def write(out, **options):
    return write_phantom_dataset(out, **{"cases": 3, "size": SIZE, "show_progress": False} | options)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return write(tmp_path_factory.mktemp("phantom"), test_cases=1)


def test_folder_holds_what_msd_holds_and_nothing_else(task):
    files = sorted(path.relative_to(task).as_posix() for path in task.rglob("*") if path.is_file())
    assert task.name == "Task07_Pancreas"
    assert files == [
        "dataset.json",
        "imagesTr/pancreas_001.nii.gz",
        "imagesTr/pancreas_002.nii.gz",
        "imagesTr/pancreas_004.nii.gz",
        "imagesTs/pancreas_003.nii.gz",
        "labelsTr/pancreas_001.nii.gz",
        "labelsTr/pancreas_002.nii.gz",
        "labelsTr/pancreas_004.nii.gz",
    ]
    assert [path.name for path in task.parent.iterdir()] == ["Task07_Pancreas"]


def test_dataset_json_has_msd_keys_and_forms(task):
    content = json.loads((task / "dataset.json").read_text(encoding="utf-8"))
    assert list(content) == MSD_KEYS
    assert content["name"] == "Pancreas"
    assert "Phantom" in content["description"]
    assert content["tensorImageSize"] == "3D"
    assert content["modality"] == {"0": "CT"}
    assert content["labels"] == {"0": "background", "1": "pancreas", "2": "cancer"}
    assert (content["numTraining"], content["numTest"]) == (3, 1)
    assert content["training"][2] == {
        "image": "./imagesTr/pancreas_004.nii.gz",
        "label": "./labelsTr/pancreas_004.nii.gz",
    }
    assert content["test"] == ["./imagesTs/pancreas_003.nii.gz"]


def test_image_and_label_share_an_anisotropic_ras_grid(task):
    for path in sorted((task / "imagesTr").iterdir()):
        image, label = nib.load(path), nib.load(task / "labelsTr" / path.name)
        assert image.shape == label.shape == SIZE[::-1]
        np.testing.assert_array_equal(image.affine, label.affine)
        assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
        assert image.get_data_dtype() == np.int16
        assert label.get_data_dtype() == np.uint8
        x, y, z = image.header.get_zooms()
        assert x == y < z


def test_liver_is_on_the_right_and_the_spine_behind(task):
    image = sitk.ReadImage(str(task / "imagesTr" / "pancreas_001.nii.gz"))
    hu = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, 4.0))
    upper = np.zeros_like(hu, bool)
    upper[10:14] = True

    def centre(mask):
        index = np.argwhere(mask).mean(axis=0)[::-1]
        return np.array(image.TransformContinuousIndexToPhysicalPoint(index.tolist()))

    # ITK's x grows to the patient's left, its y to the back, its z to the head.
    spine, body = centre(upper & (hu > 170)), centre(upper & (hu > -300))
    soft_tissue = centre(upper & (hu > 85) & (hu < 150))
    assert soft_tissue[0] < body[0] - 10
    assert spine[1] > body[1] + 20


def test_case_files_do_not_depend_on_how_many_are_asked_for(task, tmp_path):
    other = write(tmp_path, cases=2)
    for path in sorted(other.rglob("*.nii.gz")):
        assert path.read_bytes() == (task / path.relative_to(other)).read_bytes()


def test_image_on_disk_is_the_created_one(task):
    case = dataset.make_phantom_case(seed=0, index=2, size=SIZE, difficulty="easy")
    image = sitk.ReadImage(str(task / "imagesTr" / "pancreas_002.nii.gz"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), case.image)
    np.testing.assert_allclose(image.GetSpacing()[::-1], case.spacing_mm, rtol=1e-6)
    affine = nib.load(task / "imagesTr" / "pancreas_002.nii.gz").affine
    np.testing.assert_allclose(affine[:3, 3], case.origin_mm, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cases": 0}, r"cannot write 0 phantom cases: ask for at least 1"),
        ({"test_cases": -1}, r"cannot write -1 phantom test cases: ask for 0 or more"),
        ({"size": (16, 16, 16)}, r"size 16 16 16 is too small"),
        ({"difficulty": "easier"}, r"unknown phantom difficulty 'easier': choose one of easy, hard"),
        ({"seed": -3}, r"seed -3 is negative"),
    ],
)
def test_impossible_request_writes_nothing(tmp_path, options, message):
    with pytest.raises(PancextError, match=message):
        write(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_existing_folder_is_left_alone(tmp_path):
    (tmp_path / "Task07_Pancreas").mkdir()
    with pytest.raises(PancextError, match="Task07_Pancreas exists already: remove it or choose another"):
        write(tmp_path)
    assert list((tmp_path / "Task07_Pancreas").iterdir()) == []


def test_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PancextError, match=r"cannot write .*file/Task07_Pancreas: .*; choose a folder"):
        write(tmp_path / "file")


def test_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    make = dataset.make_phantom_case

    def stop_at_second(*, index, **request):
        if index == 2:
            raise KeyboardInterrupt
        return make(index=index, **request)

    monkeypatch.setattr(dataset, "make_phantom_case", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []

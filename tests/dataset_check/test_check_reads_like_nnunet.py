"""`pancext check` reads, judges and draws whatever nnU-Net's own readers read, with the same values."""

import json

import matplotlib.image
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from made_dataset import CASES, volume_of, write_dataset, write_itk, write_json
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from nnunet_pancext.cli.main import main
from nnunet_pancext.dataset_check import check_dataset
from nnunet_pancext.dataset_check.check import inspect_dataset
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.dataset_json import read_dataset_json
from nnunet_pancext.nnunet_files.raw_dataset import read_dataset
from nnunet_pancext.raw_cases.reader_choice import find_reader

SHEARED = np.array([[-3.0, 0, 0.9, 5], [0, -3, 0, 7], [0, 0, 3, -2], [0, 0, 0, 1]])
NIBABEL = {"overwrite_image_reader_writer": "NibabelIO"}
REORIENTED = {"overwrite_image_reader_writer": "SimpleITKIOWithReorient"}
RGB = {"channel_names": {"0": "R", "1": "G", "2": "B"}}


def write_sheared(path, voxels):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.ascontiguousarray(voxels.T), SHEARED)
    image.set_qform(None, 0)
    nib.save(image, path)


def write_tiff(path, voxels):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, voxels)
    case = path.with_name(path.name.split(".")[0].removesuffix("_0000"))
    case.with_suffix(".json").write_text(json.dumps({"spacing": [3, 2, 1]}), encoding="utf-8")


def write_turned(path, voxels):
    """Write labels in another order of axes than images, each with the header that belongs to it."""
    write_itk(path, voxels)
    if path.parent.name == "labelsTr":
        sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), "PIL"), str(path))


def one_slice(hu, mask):
    return hu[2], mask[2]


def grey(hu, mask):
    return (hu[2] / 5 + 200).astype(np.uint8), mask[2]


def colours(hu, mask):
    picture = grey(hu, mask)[0]
    return np.stack([picture, picture // 2, 255 - picture], axis=-1), mask[2]


def two_in_one(hu, mask):
    return np.stack([hu, hu[::-1]]), mask


def write_four_axes(path, voxels):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(voxels.T), np.diag([-3.0, -3, 3, 1])), path)


def write_second_version(path, voxels):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti2Image(np.ascontiguousarray(voxels.T), SHEARED), path)


def write_plain(path, voxels):
    """Write a .nii.gz file that is not compressed."""
    plain = path.with_name("plain.nii")
    write_itk(plain, voxels)
    plain.rename(path)


KINDS = {
    "2D NIfTI": {"prepare": one_slice},
    "greyscale .png": {"prepare": grey, "ending": ".png", "channel_names": {"0": "grey"}},
    "greyscale .bmp": {"prepare": grey, "ending": ".bmp", "channel_names": {"0": "grey"}},
    "2D .tif": {"prepare": grey, "ending": ".tif", "channel_names": {"0": "grey"}},
    "colours in .png": {"prepare": colours, "ending": ".png", **RGB},
    "colours in .bmp": {"prepare": colours, "ending": ".bmp", **RGB},
    "3D .tif": {"write": write_tiff, "ending": ".tif"},
    "3D .tiff": {"write": write_tiff, "ending": ".tiff"},
    "3D .tif, named": {"write": write_tiff, "ending": ".tif", "overwrite_image_reader_writer": "Tiff3DIO"},
    "shear, NibabelIO": {"write": write_sheared, **NIBABEL},
    "shear, reoriented": {
        "write": write_sheared,
        "overwrite_image_reader_writer": "NibabelIOWithReorient",
    },
    "shear, no reader named": {"write": write_sheared},
    "shear, .nii": {"write": write_sheared, "ending": ".nii"},
    "labels turned": {"write": write_turned, **REORIENTED},
    "four axes": {
        "write": write_four_axes,
        "prepare": two_in_one,
        "channel_names": {"0": "CT", "1": "CT"},
    },
    "NIfTI-2": {"write": write_second_version},
    "NIfTI-2, .nii": {"write": write_second_version, "ending": ".nii"},
    "not compressed": {"write": write_plain},
    ".nrrd": {"ending": ".nrrd"},
    ".mha": {"ending": ".mha"},
    ".gipl": {"ending": ".gipl"},
}


def nnunet_reader(folder):
    content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    files = get_filenames_of_train_images_and_targets(str(folder), content)
    first = files["case_0"]
    chosen = determine_reader_writer_from_dataset_json(content, first["images"][0], verbose=False)
    return chosen(), first


@pytest.fixture(scope="module", params=KINDS, ids=lambda name: name.replace(" ", "_"))
def dataset(request, tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("kind") / "Dataset401_Kind", **KINDS[request.param])


def test_the_values_are_nnunets(dataset):
    """Reader, values in every channel, size and spacing are those of nnU-Net's own reader."""
    theirs, files = nnunet_reader(dataset)
    image, properties = theirs.read_images(files["images"])
    label, _ = theirs.read_seg(files["label"])
    declared = read_dataset_json(dataset / "dataset.json")
    first = read_dataset(dataset).training["case_0"]
    reader = find_reader(declared, example=first)
    assert reader.name == type(theirs).__name__
    ours = [sitk.GetArrayFromImage(channel) for channel in reader.channels(first, is_label=False)]
    assert np.array_equal(np.reshape(ours, image.shape), image)
    result = inspect_dataset(dataset, show_progress=False)
    measure = result.measures["case_0"]
    assert result.is_sound
    assert not any(result.findings.values())
    assert list(measure.ranges.values()) == [(channel.min(), channel.max()) for channel in image]
    assert measure.labels["organ"].voxels == np.count_nonzero(label)
    assert measure.labels["organ"].mean == pytest.approx(image[0][label[0] > 0].mean(), rel=1e-5)
    assert measure.size == tuple(n for n in image.shape[:0:-1] if n > 1)
    if measure.spacing_mm is not None:
        axes = len(measure.spacing_mm)
        assert measure.spacing_mm == pytest.approx(properties["spacing"][::-1][:axes])


@pytest.mark.parametrize(
    "kind", ["2D NIfTI", "colours in .png", "3D .tif", "shear, NibabelIO", "labels turned", "four axes"]
)
def test_a_wrong_label_is_found_and_the_others_are_drawn(tmp_path, kind):
    folder = write_dataset(tmp_path / "Dataset401_Kind", **KINDS[kind])
    files = sorted(path for path in (folder / "labelsTr").iterdir() if path.suffix != ".json")
    files[1].write_bytes(files[1].read_bytes()[:60])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnunet_pancext.dataset_check.check.MOST_PICTURES", 2)
        result = check_dataset(folder, out=tmp_path / "check", show_progress=False)
    assert [finding.kind for finding in result.findings["case_1"]] == ["label unreadable"]
    for case, has_contour in (("case_0", True), ("case_1", False)):
        picture = matplotlib.image.imread(tmp_path / "check" / "pictures" / f"{case}.png")[..., :3]
        red = np.abs(picture[: int(0.85 * len(picture))] * 255 - (255, 59, 59)).max(axis=-1) < 30
        assert red.any() == has_contour


def test_colours_that_are_not_declared(tmp_path):
    folder = write_dataset(tmp_path / "Dataset402_Rgb", prepare=colours, ending=".png")
    (finding,) = inspect_dataset(folder, show_progress=False).findings["case_0"][:1]
    assert (finding.level, finding.kind) == ("error", "number of channels")
    assert (
        "case_0_0000.png holds 3 channels (each colour counts as one), but dataset.json declares 1. Declare"
        in (finding.message)
    )


def test_a_grey_picture_in_colours_is_sound(tmp_path):
    def grey_colours(hu, mask):
        return np.stack([grey(hu, mask)[0]] * 3, axis=-1), mask[2]

    folder = write_dataset(tmp_path / "Dataset406_Grey", prepare=grey_colours, ending=".png", **RGB)
    assert not any(inspect_dataset(folder, show_progress=False).findings.values())


@pytest.mark.parametrize("damage", [b"", b"no picture"])
def test_a_damaged_picture_is_not_blamed_for_missing_channels(tmp_path, damage):
    folder = write_dataset(tmp_path / "Dataset407_Damaged", prepare=colours, ending=".png", **RGB)
    (folder / "imagesTr" / "case_1_0000.png").write_bytes(damage)
    (finding,) = inspect_dataset(folder, show_progress=False).findings["case_1"]
    assert finding.kind == "image unreadable"
    assert "imagesTr/case_1_0000.png cannot be read by nnU-Net's NaturalImage2DIO (" in finding.message


def test_a_label_in_colours_is_no_label_map(tmp_path):
    def coloured_label(hu, mask):
        return grey(hu, mask)[0], colours(hu, mask)[0]

    folder = write_dataset(
        tmp_path / "Dataset403_Palette", prepare=coloured_label, ending=".png", channel_names={"0": "grey"}
    )
    kinds = {finding.kind: finding.message for finding in inspect_dataset(folder).findings["case_2"]}
    assert (
        "labelsTr/case_2.png holds 3 values per voxel. Store one label value" in kinds["label has channels"]
    )


def test_slices_for_a_reader_of_volumes(tmp_path):
    folder = write_dataset(tmp_path / "Dataset408_Flat", prepare=one_slice, ending=".nii")
    message = inspect_dataset(folder, show_progress=False).findings["case_0"][0].message
    assert (
        "imagesTr/case_0_0000.nii has 2 dimensions, size (20, 24). nnU-Net's NibabelIO reads volumes"
        in message
    )
    assert 'Name "SimpleITKIO" as overwrite_image_reader_writer in dataset.json' in message
    write_json(folder, file_ending=".nii", overwrite_image_reader_writer="SimpleITKIO")
    assert not any(inspect_dataset(folder, show_progress=False).findings.values())


def test_another_ending_than_declared_is_shown(tmp_path):
    folder = write_dataset(tmp_path / "Dataset409_Ending", ending=".nrrd")
    write_json(folder)
    words = (
        r"No images \*_0000.nii.gz in .* is .nii.gz, but there are case_0_0000.nrrd, case_1_0000.nrrd, case_2"
    )
    with pytest.raises(PancextError, match=words):
        inspect_dataset(folder, show_progress=False)


@pytest.mark.parametrize("name", ["MyReader", ""])
def test_no_reader_for_the_ending(tmp_path, capsys, name):
    folder = write_dataset(tmp_path / "Dataset404_Jpg", prepare=grey, ending=".jpg")
    write_json(folder, file_ending=".jpg", overwrite_image_reader_writer=name)
    assert main(["check", str(folder), "-o", str(tmp_path / "check")]) == 1
    shown = capsys.readouterr().err
    assert f"Cannot check {folder}: nnU-Net has no reader for the file_ending '.jpg'" in shown
    assert "Convert the files, or name a reader in overwrite_image_reader_writer" in shown
    assert "case_0" not in shown
    assert not (tmp_path / "check").exists()


def paths_absolute(folder, name):
    return str(folder / name)


def paths_relative(folder, name):
    return f"../{folder.name}/{name}"


def paths_with_variable(folder, name):
    return f"$MADE_FOLDER/{name}"


def listed(folder, path_of):
    return {
        f"patient {number}": {
            "images": [path_of(folder, f"imagesTr/case_{number}_0000.nii.gz")],
            "label": path_of(folder, f"labelsTr/case_{number}.nii.gz"),
        }
        for number in range(CASES)
    }


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A dataset without files, and the folder where they lie."""
    files = write_dataset(tmp_path / "files")
    monkeypatch.setenv("MADE_FOLDER", str(files))
    folder = tmp_path / "Dataset405_Elsewhere"
    folder.mkdir()
    return folder, files


@pytest.mark.parametrize("path_of", [paths_absolute, paths_relative, paths_with_variable])
def test_files_that_dataset_json_lists(elsewhere, path_of):
    folder, files = elsewhere
    write_json(folder, dataset=listed(files, path_of))
    result = inspect_dataset(folder, show_progress=False)
    assert result.is_sound
    assert list(result.measures) == ["patient 0", "patient 1", "patient 2"]
    assert result.measures["patient 1"].labels["organ"].voxels == volume_of(1)[1].sum()
    training = read_dataset(folder).training
    assert training["patient 2"].samefile(files / "imagesTr" / "case_2_0000.nii.gz")
    assert main(["splits", "check", str(folder)]) == 0


def test_faults_of_listed_files(elsewhere, capsys):
    folder, files = elsewhere
    write_json(folder, dataset=listed(files, paths_absolute), channel_names={"0": "CT", "1": "PET"})
    (files / "labelsTr" / "case_0.nii.gz").unlink()
    (files / "imagesTr" / "case_2_0000.nii.gz").unlink()
    findings = inspect_dataset(folder, show_progress=False).findings
    assert {case: sorted(f.kind for f in several) for case, several in findings.items()} == {
        "patient 0": ["channel 1 missing", "label missing"],
        "patient 1": ["channel 1 missing"],
        "patient 2": ["image missing"],
    }
    assert "/case_2_0000.nii.gz is not there. Download or extract" in str(findings["patient 2"])
    assert "dataset.json lists 1 image of the case and declares 2 channels. List" in str(
        findings["patient 1"]
    )
    assert main(["splits", "check", str(folder)]) == 1
    assert "case_2_0000.nii.gz is not there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], r"the dataset \[\]; nnU-Net expects the files of each case"),
        ({}, r"the dataset \{\}; nnU-Net expects"),
        ({"a": {"images": "a_0000.nii.gz", "label": "a.nii.gz"}}, 'the dataset entry \'a\' {"images": "a_'),
        ({"a": {"images": ["a_0000.nii.gz"]}}, "the dataset entry 'a'"),
        ({"a": 5}, "the dataset entry 'a' 5; nnU-Net expects"),
        ({"../a": {"images": ["a"], "label": "b"}}, "the case '../a', which is no file name. Rename it"),
    ],
)
def test_a_malformed_list_of_files(tmp_path, entries, words):
    write_json(tmp_path, dataset=entries)
    for read in (inspect_dataset, read_dataset):
        with pytest.raises(PancextError, match=words):
            read(tmp_path)

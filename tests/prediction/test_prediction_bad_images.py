"""A case whose image cannot be predicted fails with one line that says why; the others go on."""

import gzip
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from prediction.made_models import SPACING, predict, voxels, write_image, write_model


def changed_header(path: Path, **fields: object) -> None:
    """Write an image whose header has other fields than nibabel would write."""
    write_image(path)
    content = bytearray(gzip.decompress(path.read_bytes()))
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(gzip.compress(bytes(content)))


def cut(path: Path, keep: float) -> None:
    write_image(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


def damaged(path: Path) -> None:
    write_image(path)
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF  # the checksum
    path.write_bytes(bytes(content))


def with_value(path: Path, value: float) -> None:
    values = voxels().astype(np.float32)
    values[4, 5, 6] = value
    sitk.WriteImage(sitk.GetImageFromArray(values), str(path))


def of_four_axes(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5, 6), np.int16), isVector=False), str(path))


def in_colour(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True), str(path))


def sheared(path: Path) -> None:
    affine = np.diag([1.0, 1, 2, 1])
    affine[0, 1] = 0.3
    image = nib.Nifti1Image(voxels().T, affine)
    image.set_qform(None)
    nib.save(image, path)


def text(content: bytes):
    return lambda path: path.write_bytes(content)


ROWS = [[1.0, 0, 0, 0], [0, np.nan, 0, 0], [0, 0, 1, 0]]
BAD = {
    "missing": ("a.nii.gz", lambda path: None, r"a.nii.gz is not there. Check its name and folder"),
    "empty": ("a.nii.gz", text(b""), r"is empty \(0 bytes\). Download"),
    "truncated": (
        "a.nii.gz",
        lambda path: cut(path, 0.6),
        r"is cut short: the compressed data ends too early",
    ),
    "truncated header": ("a.nii.gz", lambda path: cut(path, 0.001), r"a.nii.gz is (cut short|not a gzip)"),
    "checksum": ("a.nii.gz", damaged, r"is a damaged gzip file"),
    "truncated nii": ("a.nii", lambda path: cut(path, 0.6), r"bytes of voxels are missing"),
    "truncated nrrd": ("a.nrrd", lambda path: cut(path, 0.6), r"is not a whole .nrrd file"),
    "truncated mha": ("a.mha", lambda path: cut(path, 0.6), r"is not a whole .mha file"),
    "4D": ("a.nii.gz", of_four_axes, r"holds 3 volumes \(4D\).* Save each channel as an image of its own"),
    "colour": (
        "a.nii.gz",
        lambda path: changed_header(path, datatype=128, bitpix=24),
        r"\(colours\), which cannot be used. Save it in grey values",
    ),
    "vectors": ("a.nii.gz", in_colour, r"has 5 dimensions, size \(6, 5, 4, 1, 3\). Extract the one 3D image"),
    "colour nrrd": ("a.nrrd", in_colour, r"has 3 values per pixel"),
    "NaN": ("a.nii.gz", lambda path: with_value(path, np.nan), r"has 1 voxels that are NaN .* -1024 HU\)\.$"),
    "infinity": ("a.mha", lambda path: with_value(path, np.inf), r"has 1 voxels that are NaN or infinite"),
    "NaN in the affine": (
        "a.nii.gz",
        lambda path: changed_header(path, srow_y=ROWS[1], sform_code=1),
        r"has NaN or infinity in the affine \(sform or qform\)",
    ),
    "NaN in the qform": (
        "a.nii.gz",
        lambda path: changed_header(path, qoffset_x=np.nan, qform_code=1, sform_code=0),
        r"has NaN or infinity in the affine \(sform or qform\)",
    ),
    "sheared": ("a.nii.gz", sheared, r"has axes that SimpleITK does not read: sheared"),
    "no spacing": (
        "a.nii.gz",
        lambda path: changed_header(path, pixdim=[1, 0, 1, 1, 0, 0, 0, 0]),
        r"has the spacing \(0.0, 1.0, 1.0\) in its header \(pixdim\). Write the header again",
    ),
    "spacing in km": (
        "a.nii.gz",
        lambda path: write_image(path, spacing=(1e-6, 1e-6, 1e-6)),
        r"has a spacing of \(1e-06, 1e-06, 1e-06\) mm.* would have 7 x 0 x 0 voxels",
    ),
    "spacing in nm": (
        "a.nii.gz",
        lambda path: write_image(path, spacing=(8e5, 8e5, 2.5)),
        r"would have 7 x \d+ x \d+ voxels. Correct the spacing in its header",
    ),
    "complex": (
        "a.nii.gz",
        lambda path: changed_header(path, datatype=32, bitpix=64),
        r"\(complex numbers\), which cannot be used",
    ),
    "web page": ("a.nii.gz", text(b"<!DOCTYPE html><html>log in</html>"), r"is a web page, such as a login"),
    "zip": ("a.nii.gz", text(b"PK\x03\x04" + bytes(500)), r"is a zip archive. Unpack it"),
    "DICOM": ("a.nii.gz", text(bytes(128) + b"DICM" + bytes(500)), r"is a DICOM file. Convert its series"),
    "Git LFS": ("a.nii.gz", text(b"version https://git-lfs.github.com/spec/v1\n"), r"is a Git LFS pointer"),
    "link": (
        "a.nii.gz",
        lambda path: path.symlink_to("gone.nii.gz"),
        r"is a link to gone.nii.gz, which is not",
    ),
}


@pytest.mark.parametrize(("name", "write", "message"), BAD.values(), ids=BAD)
def test_a_bad_file_is_one_line(model, tmp_path, capsys, monkeypatch, name, write, message):
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    write(path)
    assert predict(path, "-o", "out", "-m", model) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert re.match(rf"pancext predict: a: .*{message}", errors[0]), errors[0]
    assert errors[1] == "pancext predict: 1 of 1 cases failed"
    assert sorted(path.name for path in Path("out").iterdir()) == ["dataset.json", "plans.json"]


def test_a_bad_case_leaves_the_others_alone(model, tmp_path, capsys):
    cut(tmp_path / "b_0000.nii.gz", 0.5)
    images = [write_image(tmp_path / f"{name}_0000.nii.gz") for name in "ac"]
    assert predict(images[0], tmp_path / "b_0000.nii.gz", images[1], "-o", tmp_path / "out", "-m", model) == 1
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"a.nii.gz", "a.json", "c.nii.gz", "c.json", "plans.json", "dataset.json"}
    assert capsys.readouterr().err.splitlines()[-1] == "pancext predict: 1 of 3 cases failed"


CHANNELS = {
    "size": ({"shape": (7, 30, 35)}, r"b_0001.nii.gz has size \(35, 30, 7\), .*b_0000.nii.gz \(34, 30, 7\)"),
    "spacing": ({"spacing": (0.8, 0.8, 2.6)}, r"b_0001.nii.gz has spacing .*Resample all channels"),
}


@pytest.mark.parametrize(("other", "message"), CHANNELS.values(), ids=CHANNELS)
def test_channels_on_different_grids(results, tmp_path, capsys, other, message):
    write_image(tmp_path / "in" / "b_0000.nii.gz")
    write_image(tmp_path / "in" / "b_0001.nii.gz", **other)
    assert predict(tmp_path / "in", "-o", tmp_path / "o", "-m", write_model(results, "2d", channels=2)) == 1
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(("method", "what"), [("SetOrigin", "origin"), ("SetDirection", "direction")])
def test_channels_in_different_places(results, tmp_path, capsys, method, what):
    write_image(tmp_path / "in" / "b_0000.nii.gz")
    other = sitk.GetImageFromArray(voxels())
    other.SetSpacing(SPACING)
    other.SetOrigin((-11.5, 20.25, 300.0))
    other.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    getattr(other, method)((0, 1, 2) if what == "origin" else (1, 0, 0, 0, 1, 0, 0, 0, 1))
    sitk.WriteImage(other, str(tmp_path / "in" / "b_0001.nii.gz"))
    assert predict(tmp_path / "in", "-o", tmp_path / "o", "-m", write_model(results, "2d", channels=2)) == 1
    assert re.search(f"b_0001.nii.gz has {what} ", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["b_0000"], r"the case has 1 channel in 1 file; the model takes 2 \(CT, CT\). Give one file"),
        (["b_0000", "b_0001", "b_0002"], r"the case has 3 channels in 3 files; the model takes 2"),
        (["b_0001"], r"b: the file of channel 0, \*_0000, is missing; found: b_0001.nii.gz. Add it"),
        (["b_0000", "b_0002"], r"b: the file of channel 1, \*_0001, is missing"),
    ],
    ids=["too few", "too many", "no first", "a gap"],
)
def test_a_wrong_number_of_channels(results, tmp_path, capsys, names, message):
    for name in names:
        write_image(tmp_path / "in" / f"{name}.nii.gz")
    assert predict(tmp_path / "in", "-o", tmp_path / "o", "-m", write_model(results, "2d", channels=2)) == 1
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda path: write_image(path, spacing=(1, 1, 1)),
            r"a: warning: .* has no spacing other than 1 x 1 x 1 mm; the model was trained on images",
        ),
        (
            lambda path: changed_header(path, qform_code=0, sform_code=0),
            r"a: warning: .* has no orientation in its header \(qform and sform are not set\)",
        ),
    ],
    ids=["spacing", "orientation"],
)
def test_geometry_that_is_missing_is_a_warning(model, tmp_path, capsys, write, message):
    write(tmp_path / "a.nii.gz")
    assert predict(tmp_path / "a.nii.gz", "-o", tmp_path / "out", "-m", model) == 0
    assert re.search(message, capsys.readouterr().err)

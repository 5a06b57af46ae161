"""Files that would end the check, or fill the screen with ITK's own text, are named like any other fault."""

import gzip
import os
import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from made_dataset import volume_of, write_dataset, write_json

from nnunet_pancext.cli.main import main
from nnunet_pancext.dataset_check import check_dataset
from nnunet_pancext.dataset_check.check import inspect_dataset
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.images import read_header, read_image


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "raw" / "Dataset501_Unusual")


def test_a_name_that_is_not_utf8(dataset, tmp_path, capsys):
    for folder, ending in ((dataset / "imagesTr", "_0000.nii.gz"), (dataset / "labelsTr", ".nii.gz")):
        named = os.fsencode(folder) + b"/caf\xe9" + ending.encode()
        os.rename(folder / f"case_0{ending}", named)
    assert main(["check", str(dataset), "-o", str(tmp_path / "check")]) == 1
    shown = capsys.readouterr().out
    assert r"caf\xe9: error: name not UTF-8: the file name caf\xe9_0000.nii.gz is not UTF-8" in shown
    assert "Rename the files of the case, to plain letters and digits." in shown
    assert "3 cases, 1 with errors, 0 with warnings" in shown
    assert r"caf\xe9" in (tmp_path / "check" / "report.html").read_text(encoding="utf-8")
    assert {path.name for path in (tmp_path / "check" / "pictures").iterdir()} == {"case_1.png", "case_2.png"}


def with_affine(path, number):
    """Write the image again with this number in its affine."""
    image = nib.load(path)
    header = image.header.copy()
    header["srow_y"][1], header["sform_code"], header["vox_offset"] = number, 1, 352
    content = header.binaryblock + bytes(4) + np.asarray(image.dataobj).tobytes(order="F")
    path.write_bytes(gzip.compress(content))


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("reader", ["None", "NibabelIO", "NibabelIOWithReorient", "SimpleITKIOWithReorient"])
def test_an_affine_that_is_not_finite(dataset, capfd, number, reader):
    write_json(dataset, overwrite_image_reader_writer=reader)
    with_affine(dataset / "imagesTr" / "case_1_0000.nii.gz", number)
    with_affine(dataset / "labelsTr" / "case_2.nii.gz", number)
    findings = inspect_dataset(dataset, show_progress=False).findings
    kinds = {case: [finding.kind for finding in several] for case, several in findings.items()}
    assert kinds == {"case_1": ["image unreadable"], "case_2": ["label unreadable"], "case_0": []}
    words = "imagesTr/case_1_0000.nii.gz has NaN or infinity in the affine (sform or qform) of its header"
    assert words in findings["case_1"][0].message
    assert capfd.readouterr().err == ""  # ITK prints the matrix


@pytest.mark.parametrize("read", [read_image, read_header])
def test_no_reading_through_itk_prints_the_affine(dataset, capfd, read):
    path = dataset / "imagesTr" / "case_1_0000.nii.gz"
    with_affine(path, np.nan)
    with pytest.raises(RuntimeError, match="NaN or infinity in the affine"):
        read(path)
    assert capfd.readouterr().err == ""


def test_a_spacing_that_is_not_finite(dataset):
    path = dataset / "labelsTr" / "case_1.nii.gz"
    image = nib.load(path)
    header = image.header.copy()
    header["pixdim"][2], header["vox_offset"] = np.nan, 352
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4) + volume_of(1)[1].tobytes()))
    write_json(dataset, overwrite_image_reader_writer="NibabelIO")
    (finding,) = inspect_dataset(dataset, show_progress=False).findings["case_1"]
    assert finding.kind == "label has NaN in its header"
    assert "labelsTr/case_1.nii.gz has NaN or infinity as spacing, origin or direction" in finding.message


@pytest.mark.parametrize("digits", [20, 401, 4000])
def test_a_label_number_of_many_digits(dataset, digits):
    write_json(dataset, labels={"background": 0, "organ": 1, "x": 10 ** (digits - 1)})
    result = inspect_dataset(dataset, show_progress=False)
    (finding,) = result.dataset_findings
    assert f"0, 1, 100000000000… ({digits} digits); nnU-Net expects 0, 1, 2" in finding.message
    assert not any(result.findings.values())


def test_an_output_folder_that_cannot_be_written_is_found_out_first(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("nnunet_pancext.dataset_check.check.inspect_dataset", None)
    (tmp_path / "file").write_text("", encoding="utf-8")
    for out in (tmp_path / "file", tmp_path / "file" / "check"):
        with pytest.raises(PancextError, match=f"Cannot write to {out}: .* Give another folder with -o"):
            check_dataset(dataset, out=out, show_progress=False)


def test_an_unusable_dataset_leaves_no_output_folder(tmp_path):
    shutil.copytree(
        write_dataset(tmp_path / "Dataset502_Empty") / "labelsTr", tmp_path / "other" / "labelsTr"
    )
    write_json(tmp_path / "other")
    with pytest.raises(PancextError, match=r"No images \*_0000.nii.gz in"):
        check_dataset(tmp_path / "other", out=tmp_path / "check" / "deep", show_progress=False)
    assert not (tmp_path / "check").exists()


def test_the_check_imports_no_torch(dataset):
    code = (
        "import sys; from pathlib import Path; from nnunet_pancext.dataset_check import check; "
        "check.inspect_dataset(Path(sys.argv[1]), show_progress=False); print('torch' in sys.modules)"
    )
    words = [sys.executable, "-c", code, str(dataset)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_first_image_that_changes_the_reader_of_all(dataset, tmp_path, capsys):
    shear = np.diag([-3.0, -3.0, 3.0, 1.0])
    shear[0, 2] = 0.9
    sheared = nib.Nifti1Image(nib.load(dataset / "imagesTr" / "case_0_0000.nii.gz").get_fdata(), shear)
    nib.save(sheared, dataset / "imagesTr" / "case_0_0000.nii.gz")
    complex_voxels = np.zeros((8, 8, 8), np.complex64)
    nib.save(nib.Nifti1Image(complex_voxels, np.eye(4)), dataset / "imagesTr" / "case_1_0000.nii.gz")
    assert main(["check", str(dataset), "-o", str(tmp_path / "check")]) == 1
    shown = capsys.readouterr().out
    assert (
        "warning: reader: nnU-Net reads all images by NibabelIO, because SimpleITKIO cannot read "
        "case_0_0000.nii.gz. Correct that image or, if it is meant so, write "
        '"overwrite_image_reader_writer": "NibabelIO" in dataset.json.'
    ) in shown
    assert "case_1_0000.nii.gz has voxels of NIfTI type 32 (complex numbers)" in shown


SHEARED = np.array([[-3.0, 0, 0.9, 5], [0, -3, 0, 7], [0, 0, 3, -2], [0, 0, 0, 1]])


def write_sheared(path, voxels):
    image = nib.Nifti1Image(voxels, SHEARED)
    image.set_qform(None, 0)
    nib.save(image, path)


def test_channels_on_a_sheared_grid(dataset):
    hu = volume_of(1)[0].T
    write_sheared(dataset / "imagesTr" / "case_1_0000.nii.gz", np.stack([hu, hu], axis=-1))
    findings = inspect_dataset(dataset, show_progress=False).findings["case_1"]
    (unreadable,) = (finding for finding in findings if finding.kind == "image unreadable")
    assert "imagesTr/case_1_0000.nii.gz has axes that SimpleITK does not read: sheared" in unreadable.message
    assert "image.set_qform(AFFINE, 1)" in unreadable.message


@pytest.mark.parametrize("cut", ["header", "compressed", "voxels"])
def test_a_first_image_that_no_reader_reads(dataset, cut):
    path = dataset / "imagesTr" / "case_0_0000.nii.gz"
    write_sheared(path, volume_of(0)[0].T)
    content = path.read_bytes()
    damaged = {
        "header": content[:60],
        "compressed": content[: len(content) // 2],
        "voxels": gzip.compress(gzip.decompress(content)[:-1000]),
    }
    path.write_bytes(damaged[cut])
    result = inspect_dataset(dataset, show_progress=False)
    assert result.reader.name == "SimpleITKIO"
    (finding,) = result.findings["case_0"]
    assert finding.kind == "image unreadable"
    assert "imagesTr/case_0_0000.nii.gz" in finding.message
    assert "Download or extract the file again" in finding.message


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_an_image_that_is_not_a_file(dataset, kind):
    path = dataset / "imagesTr" / "case_1_0000.nii.gz"
    path.unlink()
    if kind == "link":
        path.symlink_to("../.git/annex/objects/image")
    else:
        path.mkdir()
    message = {
        "link": "is a link to ../.git/annex/objects/image, which is not there. Restore what it links to; in "
        "a DataLad or git-annex dataset: git annex get.",
        "folder": "is a folder, not a file. Move the file out of it, if it is inside.",
    }
    (finding,) = inspect_dataset(dataset, show_progress=False).findings["case_1"]
    assert finding.kind == "image missing"
    assert finding.message == f"imagesTr/case_1_0000.nii.gz {message[kind]}"

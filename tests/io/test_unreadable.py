"""Each unsuitable kind of file has a remedy of its own; only damaged and missing files are fetched again."""

import bz2
import gzip
import io
import lzma
import os
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.label_maps import read_volume
from nnunet_pancext.io.nifti_scan import scan_nifti
from nnunet_pancext.raw_cases.case_checks import FETCH_AGAIN, check_case
from nnunet_pancext.raw_cases.source import SourceCase

VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
AFFINE = np.diag([-3.0, -3.0, 2.0, 1.0])
SHEAR = AFFINE + np.array([[0, 0, 0.9, 0], *[[0] * 4] * 3])


def nifti(voxels: np.ndarray = VOXELS, affine: np.ndarray = AFFINE) -> bytes:
    image = nibabel.Nifti1Image(voxels, affine)
    if affine is SHEAR:
        image.set_qform(None, 0)
    return image.to_bytes()


def with_bytes(offset: int, new: bytes) -> bytes:
    content = bytearray(nifti())
    content[offset : offset + len(new)] = new
    return bytes(content)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("image.nii", nifti())
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("image.nii"))
    return file.getvalue()


def mgh() -> bytes:
    return nibabel.MGHImage(VOXELS, AFFINE).to_bytes()


def pair(kind: type = nibabel.Nifti1Pair) -> bytes:
    maps = kind.make_file_map({"header": io.BytesIO(), "image": io.BytesIO()})
    kind(VOXELS, AFFINE).to_file_map(maps)
    return maps["header"].fileobj.getvalue() + maps["image"].fileobj.getvalue()


RGB = np.zeros((2, 3, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
RGBA = np.zeros((2, 3, 4), [("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")])
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
WEB_PAGE = "is a web page, such as a login page or an error message"
OPEN = "Open it in a text editor to see why, and download the file again, logged in if need be."
CONVERT = "Convert it to the format that its name states"
ONE_FILE = "Save both as one file: nibabel.save(nibabel.load('NAME.hdr'), 'NAME.nii.gz')"
PACK = "Compress it: mv a.nii.gz a.nii && gzip a.nii"

# The file called a.nii.gz, what it is, and what to do.
KINDS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "plain": (nifti, "is not compressed, although its name ends in .gz", PACK),
    "plain nifti-2": (lambda: nibabel.Nifti2Image(VOXELS, AFFINE).to_bytes(), "is not compressed", PACK),
    "twice": (
        lambda: gzip.compress(gzip.compress(nifti())),
        "is compressed twice",
        "Unpack it once: gunzip a.nii.gz && mv a.nii a.nii.gz",
    ),
    "zip": (zipped, "is a zip archive", "Unpack it and use the image inside."),
    "zip in gzip": (
        lambda: gzip.compress(zipped()),
        "is a zip archive",
        "Unpack it and use the image inside.",
    ),
    "tar.gz": (lambda: gzip.compress(tarred()), "is a tar archive", "Unpack it and use the image inside."),
    "tar": (tarred, "is a tar archive", "Unpack it and use the image inside."),
    "bzip2": (lambda: bz2.compress(nifti()), "is compressed with bzip2", "compress the image with gzip."),
    "xz": (lambda: lzma.compress(nifti()), "is compressed with xz", "compress the image with gzip."),
    "html": (lambda: b"<!DOCTYPE html><html><title>Sign in</title></html>", WEB_PAGE, OPEN),
    "html after blanks": (lambda: b"\xef\xbb\xbf\r\n <HTML>404</HTML>", WEB_PAGE, OPEN),
    "html in gzip": (lambda: gzip.compress(b"<html>" + bytes(500)), WEB_PAGE, OPEN),
    "xml": (
        lambda: b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
        "is an XML or HTML",
        OPEN,
    ),
    "json": (lambda: b'{"message": "Not Found"}', "is a JSON text", OPEN),
    "lfs": (lambda: LFS, "is a Git LFS pointer, not the file", "Fetch the file: git lfs pull."),
    "annex": (lambda: b"/annex/objects/MD5E-s1--a.nii.gz\n", "is a git-annex pointer", "git annex get."),
    "dicom": (lambda: bytes(128) + b"DICM" + bytes(400), "is a DICOM file", "Convert its series to NIfTI"),
    "mgh": (mgh, "is an MGH image", "for example with mri_convert."),
    "mgz": (lambda: gzip.compress(mgh()), "is an MGH image", "for example with mri_convert."),
    "nrrd": (lambda: b"NRRD0004\ntype: short\n", "is an NRRD image", CONVERT),
    "mha": (lambda: b"ObjectType = Image\nNDims = 3\n", "is a MetaImage", CONVERT),
    "numpy": (lambda: gzip.compress(b"\x93NUMPY\x01\x00" + bytes(400)), "is a NumPy array", CONVERT),
    "nifti-2": (
        lambda: gzip.compress(nibabel.Nifti2Image(VOXELS, AFFINE).to_bytes()),
        "is a NIfTI-2 image, which SimpleITK does not read",
        "Save it as NIfTI-1: nibabel.save(nibabel.Nifti1Image.from_image(nibabel.load(FILE)), NEW_FILE)",
    ),
    "pair": (lambda: gzip.compress(pair()), ".hdr and .img (of NIfTI)", ONE_FILE),
    "analyze": (
        lambda: gzip.compress(pair(nibabel.AnalyzeImage)),
        ".hdr and .img (Analyze 7.5, without orientation)",
        f"{ONE_FILE}, and check the orientation in a viewer",
    ),
    "complex": (
        lambda: gzip.compress(nifti(VOXELS.astype(np.complex64))),
        "has voxels of NIfTI type 32 (complex numbers)",
        "Save their magnitude or real part as float32.",
    ),
    "complex128": (
        lambda: gzip.compress(nifti(VOXELS.astype(np.complex128))),
        "has voxels of NIfTI type 1792 (complex numbers)",
        "Save their magnitude or real part as float32.",
    ),
    "colour": (lambda: gzip.compress(nifti(RGB)), "NIfTI type 128 (colours)", "Save it in grey values"),
    "rgba": (lambda: gzip.compress(nifti(RGBA)), "NIfTI type 2304 (colours)", "Save it in grey values"),
    "longdouble": (
        lambda: gzip.compress(with_bytes(70, struct.pack("<hh", 1536, 128))),
        "has voxels of NIfTI type 1536 (128-bit floating point)",
        "Save it as float32.",
    ),
    "bits": (lambda: gzip.compress(with_bytes(70, struct.pack("<hh", 1, 1))), "type 1 (bits)", "as uint8."),
    "no type": (lambda: gzip.compress(with_bytes(70, b"\0\0")), "type 0 (unknown)", "as int16 or float32."),
    "offset": (
        lambda: gzip.compress(with_bytes(108, struct.pack("<f", 0))),
        "declares its voxels at byte 0",
        "Write it anew with the program that made it, or correct its header.",
    ),
    "shear": (
        lambda: gzip.compress(nifti(affine=SHEAR)),
        "has axes that SimpleITK does not read: sheared, or not finite",
        "image.set_sform(None, 0) and image.set_qform(AFFINE, 1)",
    ),
}
DAMAGES = {
    "cut": lambda: gzip.compress(nifti())[:-20],
    "short": lambda: gzip.compress(nifti()[:-5]),
    "checksum": lambda: gzip.compress(nifti())[:-8] + bytes(8),
    "empty": lambda: b"",
    "zeros": lambda: bytes(1000),
    "no header": lambda: gzip.compress(b"x" * 400),
}


def message_of(path: Path) -> str:
    case = SourceCase(case_id="a", image=path, label=None)
    (problem,) = check_case(case, root=path.parent, declared_values=[0]).problems
    return problem.message


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_of_another_kind_has_its_own_remedy(tmp_path: Path, kind: str) -> None:
    make, reason, remedy = KINDS[kind]
    path = tmp_path / "a.nii.gz"
    path.write_bytes(make())
    with pytest.raises(PancextError) as refusal:
        read_volume(path)
    for message in (message_of(path), str(refusal.value)):
        assert reason in message
        assert remedy in message
        assert "again, or remove the case" not in message
        assert "copy it again" not in message


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_fetched_again(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(DAMAGES[damage]())
    assert message_of(path).endswith(FETCH_AGAIN)
    with pytest.raises(PancextError, match=r"Write or copy it again\.$"):
        read_volume(path)


@pytest.mark.parametrize("kind", ["plain", "twice"])
def test_the_commands_make_the_file_readable(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a b.nii.gz"
    path.write_bytes(KINDS[kind][0]())
    command = message_of(path).split(": ", 1)[1]
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert scan_nifti(path, collect_values=False).size == (2, 3, 4)


def test_a_compressed_file_called_nii_is_unpacked_by_the_command(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    path.write_bytes(gzip.compress(nifti()))
    message = message_of(path)
    assert "is compressed, although its name does not end in .gz. Unpack it: mv a.nii a.nii.gz" in message
    subprocess.run(message.split(": ", 1)[1], shell=True, check=True, cwd=tmp_path)
    assert scan_nifti(path, collect_values=False).size == (2, 3, 4)


def test_the_remedies_in_nibabel_make_the_file_readable(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(VOXELS, AFFINE), tmp_path / "two.nii.gz")
    nibabel.save(nibabel.Nifti1Image.from_image(nibabel.load(tmp_path / "two.nii.gz")), tmp_path / "a.nii.gz")
    image = nibabel.Nifti1Image.from_bytes(nifti(affine=SHEAR))
    image.set_sform(None, 0)
    image.set_qform(AFFINE, 1)
    nibabel.save(image, tmp_path / "b.nii.gz")
    nibabel.save(nibabel.Nifti1Pair(VOXELS, AFFINE), tmp_path / "c.hdr")
    nibabel.save(nibabel.load(tmp_path / "c.hdr"), tmp_path / "c.nii.gz")
    for name in "abc":
        read = read_volume(tmp_path / f"{name}.nii.gz")
        assert np.array_equal(sitk.GetArrayViewFromImage(read), VOXELS.T)
        assert read.GetSpacing() == (3.0, 3.0, 2.0)


@pytest.mark.parametrize(
    ("name", "content", "reason", "remedy"),
    [
        ("a.png", b"\xff\xd8\xff\xe0" + bytes(300), "is a JPEG image", CONVERT),
        ("a.png", b"<!DOCTYPE html>", WEB_PAGE, OPEN),
        ("a.png", b"\x89PNG\r\n\x1a\n cut", "is not a whole .png file", FETCH_AGAIN),
        ("a.nrrd", LFS, "is a Git LFS pointer", "git lfs pull."),
        ("a.mha", b"ObjectType = Image\n", "is not a whole .mha file", FETCH_AGAIN),
    ],
)
def test_other_formats_are_told_apart_too(
    tmp_path: Path, name: str, content: bytes, reason: str, remedy: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert reason in message_of(tmp_path / name)
    assert remedy in message_of(tmp_path / name)


def test_what_is_not_a_file_is_called_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "folder.nii.gz").mkdir()
    (tmp_path / "link.nii.gz").symlink_to("../.git/annex/objects/x")
    for name, text in {
        "folder.nii.gz": "folder.nii.gz is a folder, not a file. Move the file out of it",
        "link.nii.gz": "is a link to ../.git/annex/objects/x, which is not there. Restore what it links to",
        "none.nii.gz": f"none.nii.gz is not there. {FETCH_AGAIN}",
    }.items():
        assert text in message_of(tmp_path / name)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_is_not_downloaded_again(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(nifti()))
    path.chmod(0)
    assert "cannot be read (Permission denied). Check the file's permissions" in message_of(path)

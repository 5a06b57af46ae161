"""Compression outside ITK gives the content that ITK writes."""

import errno
import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.io.images import itk_reason, read_image, write_compressed


@pytest.fixture(params=["int16", "uint8", "float32", "float64"])
def image(request):
    hu = (
        np.random.default_rng(5)
        .integers(-100, 100, (9, 20, 31))
        .clip(0 if request.param == "uint8" else None)
    )
    made = sitk.GetImageFromArray(hu.astype(request.param))
    made.SetSpacing((0.7, 0.8, 2.5))
    made.SetOrigin((-120.5, 33.25, 700))
    made.SetDirection((1, 0, 0, 0, -1, 0, 0, 0, -1))
    return made


def test_header_and_voxels_are_those_that_itk_writes(image, tmp_path):
    write_compressed(image, tmp_path / "written.nii.gz")
    sitk.WriteImage(image, str(tmp_path / "itk.nii.gz"), useCompression=True)
    written, itk = (
        gzip.decompress((tmp_path / name).read_bytes()) for name in ("written.nii.gz", "itk.nii.gz")
    )
    assert written == itk
    assert np.array_equal(
        sitk.GetArrayFromImage(read_image(tmp_path / "written.nii.gz")), sitk.GetArrayFromImage(image)
    )


def test_it_is_compressed_and_the_same_each_time(image, tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_compressed(image, tmp_path / name)
    content = (tmp_path / "a.nii.gz").read_bytes()
    assert content == (tmp_path / "b.nii.gz").read_bytes()
    assert len(content) < 0.9 * image.GetNumberOfPixels() * image.GetSizeOfPixelComponent()


def test_nothing_else_is_left_or_touched(image, tmp_path):
    (tmp_path / "a.nii").write_text("a file of the user's", encoding="utf-8")
    write_compressed(image, tmp_path / "a.nii.gz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii", "a.nii.gz"]
    assert (tmp_path / "a.nii").read_text(encoding="utf-8") == "a file of the user's"


def test_a_full_disk_is_reported_though_itk_does_not(image, tmp_path, monkeypatch):
    def write_half(image: sitk.Image, path: str, **_: object) -> None:
        Path(path).write_bytes(bytes(400))

    monkeypatch.setattr(sitk, "WriteImage", write_half)
    with pytest.raises(OSError, match="No space left") as caught:
        write_compressed(image, tmp_path / "a.nii.gz")
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_a_png_is_left_to_itk(tmp_path):
    pixels = np.arange(48, dtype=np.uint8).reshape(6, 8)
    write_compressed(sitk.GetImageFromArray(pixels), tmp_path / "a.png")
    assert np.array_equal(sitk.GetArrayFromImage(read_image(tmp_path / "a.png")), pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_reason_holds_no_address_in_memory():
    error = RuntimeError(
        "Exception thrown in SimpleITK:\nITK ERROR: GDCMImageIO(0x7f04bC005fd0): Cannot read it\n"
    )
    assert itk_reason(error) == "ITK ERROR: GDCMImageIO: Cannot read it"

"""ITK has one file at a time, and its format is named: in several threads it can end the process."""

from pathlib import Path

import pytest
import SimpleITK as sitk
from synthetic_downloads import LAYOUTS

from nnunet_pancext.dataset_check import check_dataset
from nnunet_pancext.io import images as image_io
from nnunet_pancext.io.images import format_of

pytestmark = pytest.mark.usefixtures("coarse_figures")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.nii.gz", "NiftiImageIO"),
        ("a.nii", "NiftiImageIO"),
        ("A.PNG", "PNGImageIO"),
        ("a.nii.gz.png", "PNGImageIO"),
        ("a.mha", ""),
    ],
)
def test_the_ending_tells(name, expected):
    assert format_of(Path(name)) == expected
    assert not expected or expected in sitk.ImageFileReader().GetRegisteredImageIOs()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_conversion_and_check_name_the_format_and_take_turns(layout, tmp_path, raw_root, monkeypatch):
    named, alone = [], []

    def told(original):
        def call(*arguments, **options):
            named.append(options.get("imageIO", ""))
            alone.append(image_io._ITK_FILES.locked())
            return original(*arguments, **options)

        return call

    class Reader(sitk.ImageFileReader):
        def ReadImageInformation(self):
            named.append(self.GetImageIO())
            alone.append(image_io._ITK_FILES.locked())
            return super().ReadImageInformation()

    class SeriesReader(sitk.ImageSeriesReader):
        def Execute(self):
            named.append(self.GetImageIO())
            alone.append(image_io._ITK_FILES.locked())
            return super().Execute()

    convert = LAYOUTS[layout](tmp_path / "download")
    for name in ("ReadImage", "WriteImage"):
        monkeypatch.setattr(sitk, name, told(getattr(sitk, name)))
    monkeypatch.setattr(sitk, "ImageFileReader", Reader)
    monkeypatch.setattr(sitk, "ImageSeriesReader", SeriesReader)
    result = convert(raw_root=raw_root, show_progress=False)
    check_dataset(result.folder, out=tmp_path / "check", show_progress=False)
    assert named
    assert all(named)
    assert all(alone)

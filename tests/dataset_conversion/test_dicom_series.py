"""DICOM files become one volume in HU, or are refused by name."""

import random

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from synthetic_dicom import (
    compress_to_jpeg2000,
    edit,
    opened,
    replace_bytes,
    write_with_pydicom,
    write_with_simpleitk,
)

from nnunet_pancext.raw_cases.dicom_series import read_series
from nnunet_pancext.raw_cases.dicom_slices import BadSeries

SPACING, ORIGIN = (0.8, 0.7, 2.5), (-170.5, 12.25, 40.0)


@pytest.fixture
def hu():
    return np.random.default_rng(3).integers(-1024, 1500, (6, 8, 10)).astype(np.int16)


def volume_of(files, root):
    shuffled = random.Random(1).sample(list(files), len(files))
    return read_series(opened(shuffled, root=root), root=root)


@pytest.mark.parametrize("write", [write_with_pydicom, write_with_simpleitk])
def test_hu_and_geometry_are_those_written(tmp_path, hu, write):
    volume = volume_of(write(tmp_path, hu), tmp_path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume), hu)
    np.testing.assert_allclose(volume.GetSpacing(), SPACING, rtol=1e-5)
    np.testing.assert_allclose(volume.GetOrigin(), ORIGIN, atol=1e-5)
    np.testing.assert_allclose(volume.GetDirection(), np.eye(3).ravel(), atol=1e-5)


def test_slices_are_ordered_by_position_and_not_by_name(tmp_path, hu):
    files = write_with_pydicom(tmp_path, hu)
    assert sorted(files) == files[::-1]
    assert opened(sorted(files), root=tmp_path).files == tuple(files)


def test_slope_and_intercept_are_those_of_each_slice(tmp_path):
    hu = 4 * np.random.default_rng(4).integers(-200, 300, (4, 8, 10)).astype(np.int16)
    files = write_with_pydicom(tmp_path, hu, slopes=[1, 2, 4, 1], intercept=-1000)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume_of(files, tmp_path)), hu)


@pytest.mark.parametrize(
    ("slopes", "intercepts", "bits", "pixel_type"),
    [
        ([1, 0.5, 0.5, 0.5], [-1000] * 4, 16, sitk.sitkFloat32),
        ([1, 1, 1, 1], [-1000, -1000, -1000.5, -1000], 16, sitk.sitkFloat32),
        ([1, 1, 1, 1], [-1000.5] * 4, 16, sitk.sitkFloat64),  # as ITK has it
        ([1, 1, 1 / 3, 1], [-1000] * 4, 16, sitk.sitkFloat64),
        ([1, 40, 1, 1], [0] * 4, 12, sitk.sitkInt32),  # too large for the first slice's type
        ([2, 1, 1, 1], [-1000] * 4, 12, sitk.sitkInt16),
    ],
)
def test_no_slice_is_forced_into_the_number_type_of_another(tmp_path, slopes, intercepts, bits, pixel_type):
    stored = np.random.default_rng(5).integers(-2000, 2000, (4, 8, 10))
    stored[:, 0, 0] = 2047
    # Slopes and intercepts are written as text of at most 16 characters.
    slopes, intercepts = ([float(f"{number:.10g}") for number in several] for several in (slopes, intercepts))
    hu = np.stack(
        [slope * number + add for slope, number, add in zip(slopes, stored, intercepts, strict=True)]
    )
    volume = volume_of(
        write_with_pydicom(tmp_path, hu, slopes=slopes, intercept=intercepts, bits=bits), tmp_path
    )
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume), hu)
    assert volume.GetPixelID() == pixel_type
    np.testing.assert_allclose(volume.GetOrigin(), ORIGIN, atol=1e-5)


ONE_OR_ALL = {"one slice": slice(2, 3), "some slices": slice(1, 4), "all slices": slice(None)}


@pytest.mark.parametrize("which", ONE_OR_ALL.values(), ids=ONE_OR_ALL)
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"RescaleSlope": None, "RescaleIntercept": None}, "RescaleSlope and RescaleIntercept"),
        ({"RescaleSlope": None}, "RescaleSlope"),
        ({"RescaleIntercept": None}, "RescaleIntercept"),
        ({"RescaleSlope": "", "RescaleIntercept": ""}, "RescaleSlope and RescaleIntercept"),
        ({"RescaleIntercept": ""}, "RescaleIntercept"),
    ],
    ids=str,
)
def test_slices_without_rescaling_are_refused(tmp_path, hu, fields, named, which):
    """Their values would be 1024 too high if the scanner stored them without sign."""
    files = write_with_pydicom(tmp_path, hu)
    for path in files[which]:
        edit(path, **fields)
    with pytest.raises(BadSeries) as caught:
        opened(files, root=tmp_path)
    first, count = min(files[which]).name, len(files[which])
    assert caught.value.kind == "no rescaling to HU"
    assert str(caught.value).startswith(f"{first} lacks {named}; {count} of 6 slices lack")
    assert "Export or download the series again with both tags" in str(caught.value)


def test_values_in_another_unit_than_hu_are_refused(tmp_path, hu):
    files = write_with_pydicom(tmp_path, hu)
    edit(files[3], RescaleType="Z_EFF")
    with pytest.raises(BadSeries, match=rf"^{files[3].name} holds values in Z_EFF \(RescaleType\) in place"):
        opened(files, root=tmp_path)


@pytest.mark.parametrize(("unit", "is_open"), [("US", True), ("HU", False), ("hu", False), ("", False)])
def test_a_unit_that_is_left_open_is_warned_of(tmp_path, hu, unit, is_open):
    files = write_with_pydicom(tmp_path, hu)
    for path in files[:2]:
        edit(path, RescaleType=unit)
    text = "2 of 6 slices leave the unit of their values open (RescaleType US); they count as HU."
    assert opened(files, root=tmp_path).warnings == ({"unspecified unit": text} if is_open else {})


def test_slope_1_and_intercept_0_say_that_values_are_hu(tmp_path, hu):
    files = write_with_pydicom(tmp_path, hu, intercept=0)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume_of(files, tmp_path)), hu)


@pytest.mark.parametrize(
    "orientation",
    [(1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1), (-1, 0, 0, 0, -1, 0), (0.8, 0.6, 0, -0.6, 0.8, 0)],
    ids=["coronal", "sagittal", "turned over", "oblique"],
)
def test_a_voxel_lies_where_the_headers_place_it(tmp_path, hu, orientation):
    files = write_with_pydicom(tmp_path, hu, orientation=orientation)
    volume = volume_of(files, tmp_path)
    row, column = np.reshape(orientation, (2, 3)).astype(float)
    normal = np.cross(row, column)
    x, y, z = 7, 2, 4
    expected = ORIGIN + SPACING[0] * x * row + SPACING[1] * y * column + SPACING[2] * z * normal
    np.testing.assert_allclose(volume.TransformIndexToPhysicalPoint((x, y, z)), expected, atol=1e-5)
    assert volume[x, y, z] == hu[z, y, x]


def test_a_real_series(shared_data):
    folder = shared_data / "dicom_ct" / "dcmqi_ct-3slice" / "series"
    volume = volume_of(sorted(folder.glob("*.dcm")), folder)
    assert volume.GetSize()[2] == 3
    expected = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume), sitk.GetArrayFromImage(expected))
    np.testing.assert_allclose(volume.GetOrigin(), expected.GetOrigin(), atol=1e-5)
    np.testing.assert_allclose(volume.GetSpacing(), expected.GetSpacing(), rtol=1e-5)


def replace_by_text(path):
    path.write_text("a note", encoding="utf-8")


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


def field_of_wrong_length(path):
    """Give Rows three bytes, where a number of its kind has two."""
    replace_bytes(path, b"\x28\0\x10\0US\x02\0\x08\0", b"\x28\0\x10\0US\x03\0\x08\0\0")


def field_of_unknown_kind(path):
    replace_bytes(path, b"\x20\0\x32\0DS", b"\x20\0\x32\0QQ")


@pytest.mark.parametrize(
    ("kind", "words", "damage"),
    [
        (
            "not DICOM",
            "1-004.dcm is not a complete DICOM file, .* Download or extract it again",
            replace_by_text,
        ),
        ("not DICOM", "1-004.dcm is not a complete DICOM file, .* Download or extract it again", empty),
        ("incomplete header", "1-004.dcm lacks SeriesInstanceUID", cut),
        (
            "mixed series",
            r"2 CT series: .* \(5 files, such as 1-001.dcm\), 1.2 \(1 file.*1-004.dcm\). Keep",
            lambda path: edit(path, SeriesInstanceUID="1.2"),
        ),
        (
            "slices missing",
            "1-005.dcm and 1-003.dcm are 5.00 mm apart",
            lambda path: edit(path, ImageType=["A", "B", "LOCALIZER"]),
        ),
        ("multi-frame DICOM", "1-004.dcm holds 4 frames", lambda path: edit(path, NumberOfFrames=4)),
        (
            "incomplete header",
            "1-004.dcm lacks ImagePositionPatient, .* Remove the file if it is not a slice",
            lambda path: edit(path, ImagePositionPatient=None),
        ),
        ("incomplete header", "which do not define a slice", lambda path: edit(path, PixelSpacing=[0, 0.8])),
        ("unreadable slice", "1-004.dcm cannot be read", lambda path: edit(path, PixelSpacing=0.8)),
        (
            "incomplete header",
            "1-004.dcm has the rescale slope 0 and intercept -1024, which do not give HU",
            lambda path: edit(path, RescaleSlope=0),
        ),
        ("unreadable slice", r"1-004.dcm cannot be read \(.*bytes", field_of_wrong_length),
        ("unreadable slice", r"1-004.dcm cannot be read \(.*QQ", field_of_unknown_kind),
        (
            "not MONOCHROME2",
            "1-004.dcm holds MONOCHROME1 pixels",
            lambda path: edit(path, PhotometricInterpretation="MONOCHROME1"),
        ),
        (
            "slices differ in size",
            r"1-004.dcm has \(10, 7\) pixels, .* \(10, 8\) pixels. Put each series into a folder",
            lambda path: edit(path, Rows=7),
        ),
        (
            "slices differ in spacing",
            r"1-004.dcm has spacing \(0.9, 0.7\)",
            lambda path: edit(path, PixelSpacing=[0.7, 0.9]),
        ),
        (
            "slices differ in orientation",
            "1-004.dcm has orientation",
            lambda path: edit(path, ImageOrientationPatient=[0, 1, 0, 1, 0, 0]),
        ),
        (
            "two slices at one position",
            "1-003.dcm and 1-004.dcm are both at 47.50 mm. Remove",
            lambda path: edit(path, ImagePositionPatient=[-170.5, 12.25, 47.5]),
        ),
        (
            "slices missing",
            "1-005.dcm and 1-003.dcm are 5.00 mm apart, other slices 2.50 mm: 1 missing. Download",
            lambda path: path.unlink(),
        ),
    ],
)
def test_a_bad_slice_is_refused_by_name(tmp_path, hu, kind, words, damage):
    files = write_with_pydicom(tmp_path, hu)
    damage(files[2])
    with pytest.raises(BadSeries, match=words) as caught:
        opened([path for path in files if path.exists()], root=tmp_path)
    assert caught.value.kind == kind


def test_a_tilted_gantry_is_refused_with_its_angle(tmp_path, hu):
    files = write_with_pydicom(tmp_path, hu)
    for index, path in enumerate(files):
        edit(path, ImagePositionPatient=[-170.5, 12.25 + 0.5 * index, 40 + 2.5 * index])
    with pytest.raises(BadSeries, match=r"shifted by 2.5 mm .* tilt of 11.3 degrees") as caught:
        opened(files, root=tmp_path)
    assert caught.value.kind == "gantry tilt"


def test_rows_and_columns_at_another_angle_are_refused(tmp_path, hu):
    files = write_with_pydicom(tmp_path, hu)
    for path in files:
        edit(path, ImageOrientationPatient=[1, 0, 0, 0.5, 0.5, 0])
    with pytest.raises(BadSeries, match="not perpendicular"):
        opened(files, root=tmp_path)


def test_one_slice_is_not_a_volume(tmp_path, hu):
    with pytest.raises(BadSeries, match="is the only slice"):
        opened(write_with_pydicom(tmp_path, hu[:1]), root=tmp_path)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-1])


def without_pixels(path):
    edit(path, PixelData=None)


def of_unknown_syntax(path):
    replace_bytes(path, b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0")


def of_syntax_without_decoder(path):
    compress_to_jpeg2000(path, syntax="1.2.840.10008.1.2.4.100")


def half_of_the_code_stream(path):
    compress_to_jpeg2000(path, share=0.5)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut_short, r"the file is damaged or cut short \(.*Download or extract the file again"),
        (without_pixels, "the file holds none, or is cut short. Download or extract the file again"),
        (of_unknown_syntax, "the unknown syntax 1.2.840.10008.1.2.9. Export the series without compression"),
        (
            of_syntax_without_decoder,
            r"stored as MPEG2 .*\(1.2.840.10008.1.2.4.100\). Export .* without compression",
        ),
        (half_of_the_code_stream, r"damaged, .* stored as JPEG 2000 .* or download the file again"),
    ],
)
@pytest.mark.parametrize("at", [0, 3, 5])
def test_a_slice_with_damaged_pixels_is_refused_by_name(tmp_path, hu, damage, words, at):
    files = write_with_pydicom(tmp_path, hu)
    damage(files[at])
    series = opened(files, root=tmp_path)
    with pytest.raises(
        BadSeries, match=f"the pixels of {files[at].name} cannot be read: .*{words}"
    ) as caught:
        read_series(series, root=tmp_path)
    assert caught.value.kind == "unreadable slice"
    assert "0x" not in str(caught.value)


@pytest.mark.parametrize("at", [slice(3, 4), slice(None)])
def test_pixels_that_are_fewer_than_the_size_are_refused(tmp_path, hu, at):
    """ITK would fill up the slice with what is in memory."""
    files = write_with_pydicom(tmp_path, hu)
    for path in files[at]:
        data = pydicom.dcmread(path)
        data.PixelData = data.PixelData[:-2]
        data.save_as(path)
    words = f"^{files[at][0].name} holds 158 bytes of pixels, but its size needs 160. Download"
    with pytest.raises(BadSeries, match=words):
        volume_of(files, tmp_path)


def test_other_damaged_slices_are_named_too(tmp_path, hu):
    files = write_with_pydicom(tmp_path, hu)
    cut_short(files[4])
    without_pixels(files[1])
    with pytest.raises(BadSeries, match=r"of 1-005.dcm cannot .* 1 more cannot be read: 1-002.dcm"):
        read_series(opened(files, root=tmp_path), root=tmp_path)


def test_jpeg_2000_gives_the_same_hu(tmp_path, hu):
    files = write_with_pydicom(tmp_path, hu)
    for path in files[1:]:
        compress_to_jpeg2000(path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume_of(files, tmp_path)), hu)

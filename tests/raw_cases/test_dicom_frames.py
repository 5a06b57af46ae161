"""Enhanced CT, and pixels that ITK does not decode: as the single slices without compression, or refused."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from contracts.dicom_objects import enhanced
from contracts.dicom_series import Kind, make_series
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEG2000Lossless, RLELossless

from nnunet_pancext.raw_cases import dicom_pixels, dicom_series
from nnunet_pancext.raw_cases.dicom_pixels import stored_values
from nnunet_pancext.raw_cases.dicom_search import find_ct_series
from nnunet_pancext.raw_cases.dicom_series import open_series, read_series
from nnunet_pancext.raw_cases.dicom_slices import BadSeries


def volume(folder: Path) -> sitk.Image:
    found = find_ct_series([path for path in folder.iterdir() if path.is_file()], root=folder)
    return read_series(open_series(found.only_series(root=folder), root=folder), root=folder)


def refused(folder: Path, words: str, kind: str) -> None:
    with pytest.raises(BadSeries, match=words) as caught:
        volume(folder)
    assert caught.value.kind == kind


@pytest.fixture
def frames(tmp_path):
    """Return the enhanced image of a series, for changes, which are saved at the end of the block."""

    def open_(kind: str | Kind = "plain") -> tuple[Path, Dataset]:
        made = make_series(tmp_path / "enhanced", kind)
        path = enhanced(made.files, tmp_path / "enhanced" / "enhanced.dcm")
        return path, pydicom.dcmread(path)

    return open_


@pytest.mark.parametrize(
    "kind", ["plain", "oblique", "coronal", "both negated", "slope per slice", "unsigned", "slightly uneven"]
)
def test_frames_equal_the_series_of_single_slices(tmp_path, kind):
    made = make_series(tmp_path / "single", kind)
    expected = volume(made.folder)
    other = make_series(tmp_path / "enhanced", kind)
    enhanced(other.files, other.folder / "enhanced.dcm")
    image = volume(other.folder)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(expected))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), made.hu)
    for read in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert getattr(image, read)() == getattr(expected, read)()


def test_groups_may_be_shared_or_per_frame(frames, tmp_path):
    path, data = frames()
    expected = sitk.GetArrayFromImage(volume(tmp_path / "enhanced"))
    shared = data.SharedFunctionalGroupsSequence[0]
    for groups in data.PerFrameFunctionalGroupsSequence:
        for name in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
            groups[name] = shared[name]
    name = "PixelValueTransformationSequence"
    shared[name] = data.PerFrameFunctionalGroupsSequence[0][name]
    for groups in data.PerFrameFunctionalGroupsSequence:
        del groups[name]
    for name in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        del shared[name]
    data.save_as(path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume(tmp_path / "enhanced")), expected)


@pytest.mark.parametrize(
    ("slope", "pixel_type"),
    [(1, sitk.sitkInt16), (100, sitk.sitkInt32), (0.125, sitk.sitkFloat32), (0.1, sitk.sitkFloat64)],
)
def test_the_volume_has_the_first_number_type_that_holds_every_frame(frames, tmp_path, slope, pixel_type):
    path, data = frames()
    stored = data.pixel_array.astype(float)
    item = data.PerFrameFunctionalGroupsSequence[9].PixelValueTransformationSequence[0]
    item.RescaleSlope = slope
    data.save_as(path)
    image = volume(tmp_path / "enhanced")
    assert image.GetPixelID() == pixel_type
    slopes = np.where(np.arange(len(stored)) == 9, slope, 1)[:, None, None]
    order = np.argsort(
        [
            group.PlanePositionSequence[0].ImagePositionPatient[2]
            for group in data.PerFrameFunctionalGroupsSequence
        ]
    )
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), (stored * slopes - 1024)[order])


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_frames(frames, tmp_path, syntax):
    path, data = frames()
    expected = sitk.GetArrayFromImage(volume(tmp_path / "enhanced"))
    data.compress(syntax, generate_instance_uid=False)
    data.save_as(path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume(tmp_path / "enhanced")), expected)


def test_bits_beyond_those_stored_do_not_count(frames, tmp_path):
    path, data = frames()
    expected = sitk.GetArrayFromImage(volume(tmp_path / "enhanced"))
    data.BitsStored, data.HighBit = 12, 11  # the values are below 2048
    stored = np.frombuffer(data.PixelData, np.uint16) & 0x0FFF
    data.PixelData = (stored | 0xA000).tobytes()  # overlays lay there
    data.save_as(path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume(tmp_path / "enhanced")), expected)


def test_the_sign_is_the_highest_stored_bit(frames):
    path, data = frames()
    data.BitsStored, data.HighBit, data.PixelRepresentation = 12, 11, 1
    values = np.tile(np.arange(-2048, 2048), 7)[: data.Rows * data.Columns * data.NumberOfFrames]
    values = np.resize(values, data.Rows * data.Columns * data.NumberOfFrames)
    data.PixelData = (values.astype(np.int16).view(np.uint16) & 0x0FFF).tobytes()
    data.save_as(path)
    np.testing.assert_array_equal(stored_values(path, root=path.parent).ravel(), values)


@pytest.mark.parametrize(
    ("kind", "words", "expected"),
    [
        (
            "gap",
            r"frame \d+ of enhanced.dcm and frame \d+ of enhanced.dcm are 6.00 mm apart",
            "slices missing",
        ),
        ("tilt", r"shifted by 7.8 mm from frame \d+ of enhanced.dcm to frame \d+ of", "gantry tilt"),
        ("uneven", "the largest deviation is", "uneven slices"),
    ],
)
def test_frames_that_are_no_volume(frames, tmp_path, kind, words, expected):
    frames(kind)
    refused(tmp_path / "enhanced", words, expected)


def test_two_frames_at_one_position(frames, tmp_path):
    path, data = frames()
    groups = data.PerFrameFunctionalGroupsSequence
    groups[4].PlanePositionSequence = groups[9].PlanePositionSequence
    data.save_as(path)
    refused(
        tmp_path / "enhanced", r"frame 5 of .* and frame 10 of .* are both at", "two slices at one position"
    )


def on_frame(number, group, **fields):
    def change(data):
        item = data.PerFrameFunctionalGroupsSequence[number][group].value[0]
        for keyword, value in fields.items():
            setattr(item, keyword, value)

    return change


def without(group):
    def change(data):
        for groups in data.PerFrameFunctionalGroupsSequence:
            del groups[group]

    return change


def turned(data):
    item = Dataset()
    item.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    data.PerFrameFunctionalGroupsSequence[2].PlaneOrientationSequence = [item]


@pytest.mark.parametrize(
    ("change", "words", "kind"),
    [
        (
            on_frame(3, "FrameContentSequence", StackID="2"),
            r"enhanced.dcm holds 2 stacks of slices \(StackID 1, 2\). Export one",
            "multi-frame DICOM",
        ),
        (
            on_frame(3, "FrameContentSequence", TemporalPositionIndex=2),
            "holds 2 points in time",
            "multi-frame DICOM",
        ),
        (
            on_frame(0, "PixelValueTransformationSequence", RescaleType="Z_EFF"),
            r"holds values in Z_EFF \(RescaleType\) in place of HU",
            "no rescaling to HU",
        ),
        (
            without("PixelValueTransformationSequence"),
            "frame 1 of enhanced.dcm lacks RescaleSlope and RescaleIntercept; 14 of 14",
            "no rescaling to HU",
        ),
        (
            without("PlanePositionSequence"),
            "frame 1 of enhanced.dcm lacks ImagePositionPatient",
            "incomplete header",
        ),
        (turned, "frame 3 of enhanced.dcm has orientation", "slices differ in orientation"),
        (
            lambda data: data.PerFrameFunctionalGroupsSequence.pop(),
            "holds 14 frames, but describes 13",
            "multi-frame DICOM",
        ),
        (
            lambda data: setattr(data, "PixelData", data.PixelData[: len(data.PixelData) // 2]),
            "the pixels of enhanced.dcm cannot be read: .* Download",
            "unreadable slice",
        ),
        (
            lambda data: setattr(data, "PhotometricInterpretation", "MONOCHROME1"),
            "frame 1 of enhanced.dcm holds MONOCHROME1",
            "not MONOCHROME2",
        ),
    ],
)
def test_enhanced_images_with_a_flaw(frames, tmp_path, change, words, kind):
    path, data = frames()
    change(data)
    data.save_as(path)
    refused(tmp_path / "enhanced", words, kind)


class TestDecoders:
    """Where ITK has no decoder: here it is asked for another format, so that it reads no slice."""

    @pytest.fixture
    def made(self, tmp_path, monkeypatch):
        monkeypatch.setattr(dicom_series, "DICOM_FORMAT", "NrrdImageIO")
        return make_series(tmp_path / "series", "JPEG 2000")

    def test_slices_are_decoded_by_pylibjpeg(self, made):
        image = volume(made.folder)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), made.hu)
        np.testing.assert_allclose(image.GetOrigin(), made.affine[:3, 3])

    def test_a_missing_decoder_is_named_with_the_extra(self, made, monkeypatch):
        monkeypatch.setattr(dicom_pixels, "find_spec", lambda module: None)
        monkeypatch.setattr(
            pydicom.Dataset,
            "pixel_array",
            property(lambda data: (_ for _ in ()).throw(RuntimeError("no plugin"))),
        )
        refused(
            made.folder,
            r"of 1-001.dcm cannot be read: no plugin. They are stored as JPEG 2000 .*\. "
            r'Install further decoders with pip install "nnunet-pancext\[dicom\]", or export',
            "unreadable slice",
        )

    def test_a_frame_that_was_cut(self, made):
        data = pydicom.dcmread(made.files[6])
        data.PixelData = encapsulate([get_frame(data.PixelData, 0)[:-200]])
        data.save_as(made.files[6])
        refused(made.folder, "of 1-007.dcm cannot be read: a frame has no end", "unreadable slice")

    @pytest.mark.parametrize("at", [slice(None), slice(3, 4)])
    def test_slices_of_another_size(self, made, at):
        for file in made.files[at]:
            data = pydicom.dcmread(file)
            data.PixelData = pydicom.dcmread(make_other(made.folder.parent)).PixelData
            data.save_as(file)
        refused(made.folder, r"the pixels of 1-00\d.dcm", "unreadable slice")

    def test_series_without_compression_are_damaged_instead(self, tmp_path, made):
        plain = make_series(tmp_path / "plain")
        refused(plain.folder, "of 1-001.dcm cannot be read: the file is damaged", "unreadable slice")


def make_other(folder: Path) -> Path:
    """Return a slice in JPEG 2000 with fewer rows."""
    made = make_series(folder / "other")
    data = pydicom.dcmread(made.files[0])
    data.PixelData, data.Rows = data.PixelData[: 2 * 33 * data.Columns], 33
    data.compress(JPEG2000Lossless, generate_instance_uid=False)
    data.save_as(folder / "half.dcm")
    return folder / "half.dcm"


def test_convert_reads_enhanced_images_too(frames, tmp_path):
    from nnunet_pancext.dataset_conversion.preparation import _read_ct
    from nnunet_pancext.raw_cases.source import SourceCase

    path, _ = frames()
    case = SourceCase(case_id="a", image=path, label=None, patient="a", series=(path,))
    image, problems = _read_ct(case, root=tmp_path)
    assert image.GetSize() == (48, 40, 14)
    assert problems == ()

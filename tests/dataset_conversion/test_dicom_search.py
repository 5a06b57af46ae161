"""The CT series is found among any files, by their content."""

import shutil

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from synthetic_dicom import add_object, edit, opened, replace_bytes, write_with_pydicom

from nnunet_pancext.raw_cases.dicom_search import find_ct_series
from nnunet_pancext.raw_cases.dicom_series import open_series, read_series
from nnunet_pancext.raw_cases.dicom_slices import BadSeries

PASSED_OVER, NO_UID = "files passed over", "no SeriesInstanceUID"
CT, SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture
def hu():
    return np.random.default_rng(3).integers(-1024, 1500, (5, 8, 10)).astype(np.int16)


@pytest.fixture
def files(tmp_path, hu):
    return write_with_pydicom(tmp_path / "series", hu)


def find(root):
    return find_ct_series([path for path in root.rglob("*") if path.is_file()], root=root)


@pytest.mark.filterwarnings("ignore:Unknown encoding")  # where the test writes it
@pytest.mark.parametrize(
    ("charset", "description"),
    [("ISO_IR 192", "Abdomen venös"), ("GB18030", "腹部"), (None, "Portal venous"), ("ISO_IR 999", "thin")],
)
def test_a_description_has_its_letters(tmp_path, files, charset, description):
    for path in files:
        edit(path, SpecificCharacterSet="ISO_IR 100")
        edit(path, SpecificCharacterSet=charset, SeriesDescription=description)
    assert find(tmp_path / "series").series[0].description == description


@pytest.mark.parametrize(("count", "slices"), [("1 ", 5), ("-5", 5), ("0", 5)])
def test_odd_numbers_of_frames_are_one(tmp_path, files, count, slices):
    for path in files:
        edit(path, NumberOfFrames=count)
    assert find(tmp_path / "series").series[0].num_slices == slices


@pytest.mark.filterwarnings("ignore:Invalid value for VR IS")
def test_a_number_of_frames_that_is_none_is_refused_by_name(tmp_path, files):
    edit(files[1], NumberOfFrames="1234")
    replace_bytes(files[1], b"1234", b"one ")
    with pytest.raises(BadSeries, match=f"{files[1].name} cannot be read .*'one'"):
        find(tmp_path / "series")


def hu_of(root):
    series = open_series(find(root).only_series(root=root), root=root)
    return sitk.GetArrayFromImage(read_series(series, root=root))


def text(name, content):
    return lambda folder, files: (folder / name).write_bytes(content)


def dicom(sop_class, modality="", **fields):
    return lambda folder, files: add_object(folder, sop_class, modality, **fields)


def image(**fields):
    """An image with the header and pixels of a slice, but for `fields`."""

    def add(folder, files):
        copy = shutil.copy(files[2], folder / "9-999.dcm")
        edit(copy, **fields)

    return add


def without_class(folder, files):
    path = add_object(folder, SECONDARY_CAPTURE)
    path.write_bytes(path.read_bytes().replace(SECONDARY_CAPTURE.encode(), b"\0" * len(SECONDARY_CAPTURE)))


WITHOUT_POSITION = {"ImagePositionPatient": None, "ImageOrientationPatient": None}


@pytest.mark.parametrize(
    ("kind", "add"),
    [
        ("DICOMDIR", dicom("1.2.840.10008.1.3.10")),
        ("RT Structure Set (RTSTRUCT)", dicom("1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT")),
        ("Segmentation (SEG)", dicom("1.2.840.10008.5.1.4.1.1.66.4", "SEG", frames=3)),
        ("Segmentation", dicom("1.2.840.10008.5.1.4.1.1.66.4", frames=3)),
        ("X-Ray Radiation Dose SR (SR)", dicom("1.2.840.10008.5.1.4.1.1.88.67", "SR")),
        ("Encapsulated PDF (DOC)", dicom("1.2.840.10008.5.1.4.1.1.104.1", "DOC")),
        ("private object (CT)", dicom("1.3.12.2.1107.5.9.1", "CT")),
        ("Secondary Capture (CT)", dicom(SECONDARY_CAPTURE, "CT")),
        ("Secondary Capture (CT)", image(SOPClassUID=SECONDARY_CAPTURE)),
        ("Multi-frame True Color Secondary Capture (CT)", dicom(f"{SECONDARY_CAPTURE}.4", "CT", frames=2)),
        ("screen save", image(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"], **WITHOUT_POSITION)),
        ("screen save", image(ImageType="SCREEN SAVE", PhotometricInterpretation="RGB")),
        ("localizer", image(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesInstanceUID="1.2.3")),
        ("image of modality MR", image(Modality="MR")),
        ("DICOM file of unknown kind", without_class),
        ("not DICOM", text("LICENSE.txt", b"CC BY 3.0")),
        ("not DICOM", text(".DS_Store", b"\0\0\0\1Bud1")),
        ("not DICOM", text("notes.dcm", b"a note")),
        ("not DICOM", text("empty", b"")),
        ("not DICOM", text("begins like DICOM", b"\x08\0\x10\0and goes on otherwise")),
    ],
)
def test_what_is_not_a_slice_is_passed_over(tmp_path, hu, files, kind, add):
    add(tmp_path / "series", files)
    found = find(tmp_path)
    ((found_kind, paths),) = found.passed_over.items()
    assert (found_kind, len(paths)) == (kind, 1)
    name = paths[0].relative_to(tmp_path)
    assert found.warnings == {PASSED_OVER: f"no CT slice in 1 of 6 files (1 {kind}: {name})"}
    np.testing.assert_array_equal(hu_of(tmp_path), hu)


def test_files_passed_over_are_counted_by_kind(tmp_path, files):
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text("a note", encoding="utf-8")
    add_object(tmp_path / "reports", "1.2.840.10008.5.1.4.1.1.88.67", "SR")
    assert find(tmp_path).warnings[PASSED_OVER] == (
        "no CT slice in 3 of 8 files (1 X-Ray Radiation Dose SR (SR): "
        "reports/object of class 1.2.840.10008.5.1.4.1.1.88.67.dcm; 2 not DICOM: a.txt, …)"
    )


def test_only_slices_give_no_warning(tmp_path, files):
    found = find(tmp_path)
    assert not found.warnings
    assert not found.passed_over


@pytest.mark.parametrize(
    "name", ["I.{:03d}", "{}.IMA", "{}.dicom", "IM{}", "{}", "1.2.{}.3", "part{}/a", "a.{}.txt"]
)
def test_slices_may_have_any_names(tmp_path, hu, files, name):
    for number, path in enumerate(files):
        target = tmp_path / name.format(number)
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
    assert not find(tmp_path).warnings
    np.testing.assert_array_equal(hu_of(tmp_path), hu)


def without_preamble(path):
    path.write_bytes(path.read_bytes()[132:])


def without_file_meta(path):
    pydicom.dcmwrite(path, pydicom.Dataset(pydicom.dcmread(path)), implicit_vr=False, little_endian=True)


def without_file_meta_implicit(path):
    pydicom.dcmwrite(path, pydicom.Dataset(pydicom.dcmread(path)), implicit_vr=True, little_endian=True)


@pytest.mark.parametrize("change", [without_preamble, without_file_meta, without_file_meta_implicit])
def test_files_without_dicoms_preamble_are_read(tmp_path, hu, files, change):
    for path in files:
        change(path)
        assert path.read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(hu_of(tmp_path), hu)


def test_secondary_captures_are_slices_where_there_are_no_others(tmp_path, hu, files):
    for path in files:
        edit(path, SOPClassUID=SECONDARY_CAPTURE)
    np.testing.assert_array_equal(hu_of(tmp_path), hu)


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        (
            {"Modality": "MR"},
            "no CT series",
            r"in 5 of 5 files \(5 image of modality MR: .*, …\). Give the folder",
        ),
        ({"NumberOfFrames": 4}, "multi-frame DICOM", "1-001.dcm holds 4 frames in one file. Export one file"),
        (
            {"SOPClassUID": f"{CT}.1", "NumberOfFrames": 4, "RescaleSlope": None},
            "multi-frame DICOM",
            "1-001.dcm holds 4 frames in one file. Export one file",
        ),
        (
            {"ImageType": ["A", "B", "LOCALIZER"]},
            "no CT series",
            r"\(5 localizer: .* Give the folder of the CT",
        ),
    ],
)
def test_other_series_are_refused(tmp_path, files, fields, kind, words):
    for path in files:
        edit(path, **fields)
    with pytest.raises(BadSeries, match=words) as caught:
        opened(files, root=tmp_path)
    assert caught.value.kind == kind


def test_a_file_that_cannot_be_opened_is_named_with_the_reason(tmp_path, files):
    (tmp_path / "series" / "folder").mkdir()
    words = r"series/folder cannot be read \(Is a directory\). Download or extract the file again"
    with pytest.raises(BadSeries, match=words):
        find_ct_series([*files, tmp_path / "series" / "folder"], root=tmp_path)


def test_no_files_are_no_series(tmp_path):
    with pytest.raises(BadSeries, match=r"no files\. Give the folder of the CT series"):
        find(tmp_path).only_series(root=tmp_path)


def test_several_series_are_returned_and_only_one_is_accepted(tmp_path, hu, files):
    others = write_with_pydicom(tmp_path / "other", hu[:3])
    for path in others:
        edit(path, SeriesDescription="thorax")
    found = find(tmp_path)
    assert [set(series.headers) for series in found.series] == [set(files), set(others)]
    assert [series.description for series in found.series] == ["", "thorax"]
    words = r"2 CT series: .* \(5 files, such as series/1-001.dcm\), .* thorax \(3 files, such as other/"
    with pytest.raises(BadSeries, match=f"{words}.*Keep the one that belongs to the case") as caught:
        found.only_series(root=tmp_path)
    assert caught.value.kind == "several series"


@pytest.mark.parametrize("value", ["", None], ids=["emptied", "removed"])
@pytest.mark.parametrize(
    "shared", [{}, {"SeriesNumber": 3, "FrameOfReferenceUID": "1.2", "SeriesTime": "101500"}]
)
def test_slices_without_uid_are_one_series_if_other_fields_agree(tmp_path, hu, files, value, shared):
    for path in files:
        edit(path, SeriesInstanceUID=value, StudyInstanceUID=value, SOPInstanceUID=value, **shared)
    assert "none of the 5 slices has one; they count as one series" in find(tmp_path).warnings[NO_UID]
    np.testing.assert_array_equal(hu_of(tmp_path), hu)


@pytest.mark.parametrize(
    ("field", "values"),
    [("SeriesNumber", (2, 3)), ("SeriesTime", ("101500", "101700")), ("FrameOfReferenceUID", ("1.2", ""))],
)
def test_slices_without_uid_that_differ_otherwise_are_refused(tmp_path, files, field, values):
    for index, path in enumerate(files):
        edit(path, SeriesInstanceUID="", **{field: values[index % 2]})
    listed = rf"{values[0]} \(3 files\), {values[1] or 'empty'} \(2 files\). Put each series into a folder"
    with pytest.raises(
        BadSeries, match=f"such as series/1-001.dcm, .* differ in {field}: {listed}"
    ) as caught:
        find(tmp_path)
    assert caught.value.kind == "mixed series"


def test_slices_without_uid_on_two_grids_are_refused(tmp_path, files):
    for index, path in enumerate(files):
        edit(path, SeriesInstanceUID="", PixelSpacing=[0.7, 0.8 + index // 3])
    with pytest.raises(BadSeries, match=r"has spacing .* mm. Put each series into a folder") as caught:
        opened(files, root=tmp_path)
    assert caught.value.kind == "slices differ in spacing"


@pytest.mark.parametrize("count", [1, 4])
def test_some_slices_without_uid_are_refused_by_name(tmp_path, files, count):
    for path in files[:count]:
        edit(path, SeriesInstanceUID="")
    first = min(files[:count]).name
    with pytest.raises(
        BadSeries, match=rf"{first} lacks SeriesInstanceUID \({count} of 5 .* Remove what"
    ) as caught:
        find(tmp_path)
    assert caught.value.kind == "incomplete header"


def test_remains_of_de_identification_and_private_tags_do_no_harm(tmp_path, hu, files):
    for path in files:
        data = pydicom.dcmread(path)
        block = data.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
        block.add_new(0x10, "OB", b"\0\1" * 200)
        block.add_new(0x11, "UN", b"no text")
        data.SeriesNumber = 1234
        data.save_as(path)
        replace_bytes(path, b"\x20\0\x11\0IS\4\x001234", b"\x20\0\x11\0IS\4\0ANON")
    np.testing.assert_array_equal(hu_of(tmp_path), hu)

"""What a DICOM Segmentation says beside its pixels."""

import logging
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from contracts.dicom_series import lesion_at, make_series
from contracts.seg_decoders import by_hand, dciodvfy_errors
from segmenting import MODEL, edit, write

from nnunet_pancext.dicom_output.snomed import built_in_code
from nnunet_pancext.version import __version__

pytest.importorskip("highdicom")


@pytest.mark.parametrize("empty_frames", ["keep", "omit"])
def test_every_source_image_is_referenced(tmp_path, empty_frames):
    made = make_series(tmp_path)
    data = pydicom.dcmread(write(made, empty_frames=empty_frames))
    uids = [str(pydicom.dcmread(path).SOPInstanceUID) for path in made.files]
    (series,) = data.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == made.uid
    assert {image.ReferencedSOPInstanceUID for image in series.ReferencedInstanceSequence} == set(uids)
    for group in data.PerFrameFunctionalGroupsSequence:
        (image,) = group.DerivationImageSequence[0].SourceImageSequence
        position = group.PlanePositionSequence[0].ImagePositionPatient
        source = pydicom.dcmread(made.files[uids.index(image.ReferencedSOPInstanceUID)])
        assert position == source.ImagePositionPatient


def test_frames_of_a_multi_frame_image_are_referenced_by_number(tmp_path):
    made = make_series(tmp_path, "multi-frame")
    source, data = pydicom.dcmread(made.files[0]), pydicom.dcmread(write(made))
    for group in data.PerFrameFunctionalGroupsSequence:
        (image,) = group.DerivationImageSequence[0].SourceImageSequence
        of_source = source.PerFrameFunctionalGroupsSequence[image.ReferencedFrameNumber - 1]
        assert (
            group.PlanePositionSequence[0].ImagePositionPatient
            == of_source.PlanePositionSequence[0].ImagePositionPatient
        )


def test_algorithm_model_and_segments_are_identified(tmp_path):
    data = pydicom.dcmread(write(make_series(tmp_path)))
    assert (data.Modality, data.SegmentationType, data.SegmentsOverlap) == ("SEG", "BINARY", "NO")
    assert (data.Manufacturer, data.ManufacturerModelName) == ("nnunet_pancext", MODEL.name)
    assert data.DeviceSerialNumber == MODEL.sha256
    assert data.SoftwareVersions == f"nnunet_pancext {__version__}"
    assert data.SeriesDescription == "Segmentation by nnunet_pancext"
    pancreas, cancer = data.SegmentSequence
    assert [pancreas.SegmentLabel, cancer.SegmentLabel] == ["pancreas", "cancer"]
    assert pancreas.SegmentedPropertyTypeCodeSequence[0].CodeValue == "15776009"
    assert cancer.SegmentedPropertyTypeCodeSequence[0].CodeValue == "86049000"
    assert cancer.AnatomicRegionSequence[0].CodeValue == "15776009"
    for segment in data.SegmentSequence:
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == (MODEL.name, __version__)
        assert algorithm.AlgorithmParameters == f"sha256={MODEL.sha256}"
        assert algorithm.AlgorithmSource == "nnunet_pancext"


def test_side_of_an_organ_is_a_modifier_of_its_type(tmp_path):
    path = write(make_series(tmp_path), labels={"background": 0, "kidney_left": 1, "Kidney Right": 2})
    sides = [
        segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning
        for segment in pydicom.dcmread(path).SegmentSequence
    ]
    assert sides == ["Left", "Right"]
    assert dciodvfy_errors(path) == []


def test_two_runs_make_two_objects_that_track_the_same_segments(tmp_path):
    made = make_series(tmp_path)
    first, second = pydicom.dcmread(write(made)), pydicom.dcmread(write(made))
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    uids = [[segment.TrackingUID for segment in data.SegmentSequence] for data in (first, second)]
    assert uids[0] == uids[1]
    assert len(set(uids[0])) == 2
    other = pydicom.dcmread(write(made, model=replace(MODEL, sha256="f" * 64)))
    assert not {segment.TrackingUID for segment in other.SegmentSequence} & set(uids[0])


def test_regions_may_overlap(tmp_path):
    made = make_series(tmp_path)
    path = write(made, labels={"background": 0, "pancreas": [1, 2], "cancer": [2]})
    assert pydicom.dcmread(path).SegmentsOverlap == "YES"
    points = by_hand(path)
    assert len(points["pancreas"]) == made.organ.sum()
    assert len(points["cancer"]) == made.lesion.sum()
    assert dciodvfy_errors(path) == []


def test_label_values_need_not_be_small_or_consecutive(tmp_path):
    made = make_series(tmp_path)
    values = np.array([0, 300, 70000], np.int32)
    path = write(
        made, labels={"background": 0, "cancer": 70000, "pancreas": 300}, label_map=values[made.label_map]
    )
    points = by_hand(path)
    assert len(points["pancreas"]) == (made.organ & ~made.lesion).sum()
    assert len(points["cancer"]) == made.lesion.sum()


def test_values_without_segment_are_left_out(tmp_path):
    made = make_series(tmp_path)
    label_map = made.label_map.astype(np.int16)
    label_map[0, 0, :3] = (3, 500, -1)
    points = by_hand(write(made, label_map=label_map))
    assert sum(map(len, points.values())) == made.organ.sum()


@pytest.mark.parametrize(("empty_frames", "frames"), [("keep", 14 * 2), ("omit", 7)])
def test_label_that_is_absent_keeps_its_segment(tmp_path, empty_frames, frames):
    made = make_series(tmp_path, "no lesion")
    data = pydicom.dcmread(write(made, empty_frames=empty_frames))
    assert [segment.SegmentLabel for segment in data.SegmentSequence] == ["pancreas", "cancer"]
    assert data.NumberOfFrames == frames
    assert made.organ.any(axis=(1, 2)).sum() == 7


@pytest.mark.parametrize("empty_frames", ["keep", "omit"])
def test_segmentation_of_nothing_has_all_segments_and_only_empty_frames(tmp_path, empty_frames, caplog):
    path = write(make_series(tmp_path, "no organ"), empty_frames=empty_frames)
    data = pydicom.dcmread(path)
    assert data.NumberOfFrames == 14 * 2
    assert not data.pixel_array.any()
    assert dciodvfy_errors(path) == []
    assert not caplog.records


def test_patient_and_study_are_those_of_the_images(tmp_path):
    made = make_series(tmp_path)
    edit(made, PatientAge="070Y", InstitutionName="Hospital", StudyDescription="Abdomen", PatientWeight="70")
    edit(made, IssuerOfPatientID="Hospital A")
    data = pydicom.dcmread(write(made))
    assert str(data.PatientName) == "Müller^Ada"
    assert (data.PatientID, data.PatientBirthDate, data.PatientSex) == ("MRN-0815", "19500102", "F")
    assert (data.StudyInstanceUID, data.StudyID, data.AccessionNumber) == (made.study_uid, "S1", "A-77")
    assert data.IssuerOfPatientID == "Hospital A"
    assert (data.StudyDate, data.StudyTime) == ("20200131", "101112")
    assert data.ReferringPhysicianName == "Referrer^Anne"
    for keyword in ("PatientAge", "PatientWeight", "InstitutionName", "StudyDescription"):
        assert keyword not in data


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192"])
def test_names_keep_their_letters(tmp_path, charset):
    made = make_series(tmp_path)
    edit(made, SpecificCharacterSet=charset, PatientName="Müller^Ada")
    codes = {"Läsion": built_in_code("lesion")}
    data = pydicom.dcmread(write(made, labels={"background": 0, "Läsion": 2}, codes=codes))
    assert str(data.PatientName) == "Müller^Ada"
    assert data.SegmentSequence[0].SegmentLabel == "Läsion"


def test_attributes_that_the_images_lack_are_empty(tmp_path):
    path = write(make_series(tmp_path, "de-identified"))
    data = pydicom.dcmread(path)
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"):
        assert data[keyword].is_empty
    for keyword in ("StudyID", "AccessionNumber", "ReferringPhysicianName"):
        assert data[keyword].is_empty
    assert dciodvfy_errors(path) == []


def test_values_that_de_identification_made_invalid_are_empty(tmp_path):
    made = make_series(tmp_path)
    edit(
        made, PatientBirthDate="REMOVED", StudyDate="XXXXXXXX", StudyTime="anon", PatientIdentityRemoved="YES"
    )
    path = write(made)
    data = pydicom.dcmread(path)
    assert all(data[keyword].is_empty for keyword in ("PatientBirthDate", "StudyDate", "StudyTime"))
    assert data.PatientIdentityRemoved == "YES"
    assert dciodvfy_errors(path) == []


@pytest.mark.filterwarnings("ignore:The value length")
def test_an_archive_finds_the_patient_by_any_id(tmp_path):
    made = make_series(tmp_path)
    for patient in ("P" * 90, ["A", "B"], " 17"):
        edit(made, PatientID=patient)
        assert pydicom.dcmread(write(made)).PatientID == pydicom.dcmread(made.files[0]).PatientID


def test_of_several_values_those_remain_that_may_be_several(tmp_path):
    made = make_series(tmp_path)
    methods = ["Basic profile", "Pixels cleaned"]
    edit(made, StudyID=["S1", "S2"], PatientIdentityRemoved="YES", DeidentificationMethod=methods)
    path = write(made)
    data = pydicom.dcmread(path)
    assert data.DeidentificationMethod == methods
    assert data["StudyID"].is_empty
    assert dciodvfy_errors(path) == []


def test_nothing_of_the_patient_is_logged(tmp_path, caplog, capsys):
    made = make_series(tmp_path)
    edit(made, PatientName="Ada Mueller", PatientSex="?", PatientID="MRN-0815" * 10)
    with caplog.at_level(logging.DEBUG):
        write(made)
    said = caplog.text + "".join(capsys.readouterr())
    assert "Ada" not in said
    assert "MRN-0815" not in said


def test_pixels_of_the_images_are_not_needed(tmp_path):
    made = make_series(tmp_path)
    edit(made, PixelData=None)
    assert write(made).is_file()


@pytest.mark.parametrize(
    "fields",
    [
        {"SliceThickness": ""},
        {"SliceThickness": None, "Modality": None},
        {"NumberOfFrames": "1"},
        {"SOPClassUID": None},
        {"SOPInstanceUID": None},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
        {"LossyImageCompression": "01", "LossyImageCompressionRatio": "10"},
    ],
)
def test_images_may_lack_or_hold(tmp_path, fields):
    made = make_series(tmp_path)
    edit(made, **fields)
    path = write(made)
    assert len(by_hand(path)["cancer"]) == made.lesion.sum()
    assert dciodvfy_errors(path) == []


def test_slices_may_differ_a_little_in_orientation(tmp_path):
    made = make_series(tmp_path)
    for number, path in enumerate(made.files):
        turn = 0.0009 * (-1) ** number  # below the tolerance of reading a series
        edit(replace(made, files=(path,)), ImageOrientationPatient=[1, turn, 0, -turn, 1, 0])
    assert len(by_hand(write(made))["cancer"]) == made.lesion.sum()


def test_frames_may_each_state_their_orientation_and_spacing(tmp_path):
    made = make_series(tmp_path, "multi-frame")
    data = pydicom.dcmread(made.files[0])
    (shared,) = data.SharedFunctionalGroupsSequence
    for group in data.PerFrameFunctionalGroupsSequence:
        group.PlaneOrientationSequence = shared.PlaneOrientationSequence
        group.PixelMeasuresSequence = shared.PixelMeasuresSequence
    del shared.PlaneOrientationSequence, shared.PixelMeasuresSequence
    data.save_as(made.files[0])
    points = by_hand(write(made))["cancer"]
    assert len(points) == made.lesion.sum()
    assert lesion_at(points).all()


def test_earlier_file_is_replaced(tmp_path):
    made = make_series(tmp_path)
    (tmp_path / "case.seg.dcm").write_text("earlier", encoding="utf-8")
    assert pydicom.dcmread(write(made)).Modality == "SEG"

"""What lies beside the slices of a CT series, as other DICOM objects do, and one file of all slices."""

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.uid import (
    ComprehensiveSRStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    RTStructureSetStorage,
    SegmentationStorage,
    generate_uid,
)


def add_strays(folder: Path, slices: Sequence[Path], *, which: str | None = None) -> None:
    """Write one kind of other object into the folder, or all of them."""
    for name, add in STRAYS.items():
        if which in (None, name):
            add(folder, slices)


def _localizer(folder: Path, slices: Sequence[Path]) -> None:
    data = _copied(slices[0], "localizer")
    data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    data.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    data.save_as(folder / "localizer.dcm")


def _second_series(folder: Path, slices: Sequence[Path]) -> None:
    series = _uid("second series", slices[0])
    for number, path in enumerate(slices[:5]):
        data = _copied(path, "second series")
        data.SeriesInstanceUID, data.SeriesDescription, data.SeriesNumber = series, "Arterial", 2
        data.save_as(folder / f"2-{number:03d}.dcm")


def _dicomdir(folder: Path, slices: Sequence[Path]) -> None:
    """Write the DICOMDIR of a medium, which names files that are not here."""
    files = FileSet()
    data = pydicom.dcmread(slices[0])
    for keyword in (
        "PatientID",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
    ):
        if not data.get(keyword):
            setattr(data, keyword, "1.2" if keyword.endswith("UID") else "1")
    files.add(data)
    medium = folder / "medium"
    files.write(medium)
    (medium / "DICOMDIR").rename(folder / "DICOMDIR")
    for path in sorted(medium.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    medium.rmdir()


def _licence(folder: Path, slices: Sequence[Path]) -> None:
    (folder / "LICENSE").write_text("Creative Commons Attribution 3.0\n", encoding="utf-8")


def _object(folder: Path, slices: Sequence[Path], sop_class: str, modality: str) -> None:
    """Write an object of the same study without pixels."""
    of_slice = pydicom.dcmread(slices[0], stop_before_pixels=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = sop_class, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = _uid(modality, slices[0])
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = of_slice.StudyInstanceUID, _uid("series", modality)
    data.PatientID, data.Modality = of_slice.get("PatientID", ""), modality
    if sop_class == SegmentationStorage:
        data.NumberOfFrames, data.Rows, data.Columns = 3, 8, 10
    data.save_as(folder / f"{modality}.dcm", enforce_file_format=True)


STRAYS = {
    "localizer": _localizer,
    "second series": _second_series,
    "DICOMDIR": _dicomdir,
    "LICENSE": _licence,
    "RTSTRUCT": lambda folder, slices: _object(folder, slices, RTStructureSetStorage, "RTSTRUCT"),
    "SEG": lambda folder, slices: _object(folder, slices, SegmentationStorage, "SEG"),
    "SR": lambda folder, slices: _object(folder, slices, ComprehensiveSRStorage, "SR"),
}


def _uid(*sources: object) -> str:
    return str(generate_uid(entropy_srcs=["stray object", *map(str, sources)]))


def _copied(path: Path, purpose: str) -> FileDataset:
    data = pydicom.dcmread(path)
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = _uid(purpose, data.SOPInstanceUID)
    return data


def enhanced(slices: Sequence[Path], path: Path) -> Path:
    """Replace single slices by one Enhanced CT image at `path`, whose frames are in a shuffled order."""
    headers = [pydicom.dcmread(file) for file in slices]
    order = np.random.default_rng(5).permutation(len(headers))
    first = headers[0]
    data = copy.deepcopy(first)
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = EnhancedCTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = _uid("enhanced", first.SOPInstanceUID)
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    moved = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
    for keyword in (*moved, "RescaleSlope", "RescaleIntercept"):
        if keyword in data:
            delattr(data, keyword)
    data.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    data.NumberOfFrames, data.InstanceNumber = len(headers), 1
    data.PixelPresentation, data.VolumetricProperties = "MONOCHROME", "VOLUME"
    data.VolumeBasedCalculationTechnique, data.PresentationLUTShape = "NONE", "IDENTITY"
    data.AcquisitionDateTime, data.ContentQualification = "20200131101112", "PRODUCT"
    organization = _uid("dimensions", first.SOPInstanceUID)
    data.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organization)]
    data.DimensionIndexSequence = [
        _item(
            DimensionOrganizationUID=organization,
            DimensionIndexPointer=0x00200032,  # ImagePositionPatient
            FunctionalGroupPointer=0x00209113,
        )
    ]
    data.SharedFunctionalGroupsSequence = [
        _item(
            PlaneOrientationSequence=[_item(ImageOrientationPatient=first.ImageOrientationPatient)],
            PixelMeasuresSequence=[
                _item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)
            ],
        )
    ]
    data.PerFrameFunctionalGroupsSequence = [
        _item(
            FrameContentSequence=[_item(DimensionIndexValues=[int(index) + 1], StackID="1")],
            PlanePositionSequence=[_item(ImagePositionPatient=headers[index].ImagePositionPatient)],
            PixelValueTransformationSequence=[
                _item(
                    RescaleSlope=headers[index].RescaleSlope,
                    RescaleIntercept=headers[index].RescaleIntercept,
                    RescaleType="HU",
                )
            ],
            CTImageFrameTypeSequence=[_item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])],
        )
        for index in order
    ]
    data.PixelData = b"".join(headers[index].PixelData for index in order)
    data.save_as(path, enforce_file_format=True)
    for file in slices:
        file.unlink()
    return path


def _item(**fields: object) -> Dataset:
    item = Dataset()
    for keyword, value in fields.items():
        setattr(item, keyword, value)
    return item

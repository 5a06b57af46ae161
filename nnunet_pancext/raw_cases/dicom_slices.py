"""The headers of DICOM files: which are CT slices, and what a slice's header says."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import UID

from nnunet_pancext.raw_cases.case_checks import FETCH_AGAIN
from nnunet_pancext.raw_cases.source import BadCase, name_of

SERIES_TAGS = [
    *("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"),
    *("SeriesNumber", "SeriesTime", "SeriesDescription"),
]
POSITION_TAGS = ["PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient"]
RESCALE_TAGS = ["RescaleSlope", "RescaleIntercept"]
FRAME_TAGS = ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"]
VALUE_TAGS = [
    *("SOPClassUID", "Modality", "ImageType", "NumberOfFrames", "PhotometricInterpretation"),
    *("Rows", "Columns", "BitsStored", "PixelRepresentation"),
    *(*POSITION_TAGS, *RESCALE_TAGS, "RescaleType"),
]
READ_TAGS = SERIES_TAGS + VALUE_TAGS + FRAME_TAGS
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
CT_CLASSES = (CT_IMAGE, f"{CT_IMAGE}.1", f"{CT_IMAGE}.2")  # single slices, enhanced and legacy converted
DICOMDIR = "1.2.840.10008.1.3.10"
FIRST_GROUPS = (b"\2\0", b"\x08\0")  # how a file without DICOM's preamble begins
GREY = "MONOCHROME2"
VIEWS = {"LOCALIZER", "SCREEN SAVE"}  # values of ImageType
NOT_DICOM = "not DICOM"
NO_SLICE = "Remove the file if it is not a slice; otherwise download or export the series again."


class BadSeries(BadCase):
    """The files are not one CT volume."""


@dataclass(frozen=True, kw_only=True)
class SliceHeader:
    """The header of one slice: that of its file, or of a frame of the file, counted from 0."""

    path: Path
    header: Dataset
    frame: int | None = None

    def name(self, root: Path) -> str:
        """Return what messages call it."""
        return slice_name(self.path, self.frame, root=root)


def slice_name(path: Path, frame: int | None, *, root: Path) -> str:
    """Return the file's name below `root`, with the number of the frame, counted from 1."""
    name = name_of(path, root)
    return name if frame is None else f"frame {frame + 1} of {name}"


@dataclass(frozen=True, kw_only=True)
class DicomSlice:
    """What a slice's header says. Positions in mm, in DICOM's patient coordinates, as SimpleITK has them."""

    path: Path
    frame: int | None = None  # of a file with several, counted from 0
    size: tuple[int, int]  # columns, rows
    spacing_mm: tuple[float, float]  # from column to column, from row to row
    orientation: tuple[float, ...]  # of a row, then of a column
    position_mm: tuple[float, ...]
    rescaling: tuple[float, float]  # slope and intercept from stored values to HU
    stored: tuple[Any, Any]  # bits, and whether signed

    @property
    def normal(self) -> np.ndarray:
        """The direction perpendicular to the slice."""
        return np.cross(self.orientation[:3], self.orientation[3:])

    def name(self, root: Path) -> str:
        """Return what messages call it."""
        return slice_name(self.path, self.frame, root=root)


def read_header(path: Path, *, root: Path) -> Dataset | None:
    """Return the fields of a DICOM file that matter here, or None for any other file.

    As for ITK, DICOM's preamble of 132 bytes may be missing.

    Raises:
        BadSeries: the file cannot be read.
    """
    try:
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=READ_TAGS)
        except InvalidDicomError:
            with path.open("rb") as file:
                if file.read(2) not in FIRST_GROUPS:
                    return None
            header = dcmread(path, stop_before_pixels=True, specific_tags=READ_TAGS, force=True)
            if not is_object(header):
                return None
        has_frames = sop_class(header) in CT_CLASSES  # other objects may describe theirs as they like
        for tag in (*VALUE_TAGS, *(FRAME_TAGS if has_frames else ())):  # pydicom parses a field on access
            header.get(tag)
        num_frames(header)
    except Exception as error:  # pydicom has no common error class
        raise unreadable(path, error, root=root) from error
    return header


def unreadable(path: Path, error: Exception, *, root: Path) -> BadSeries:
    """Return the error for a file that cannot be read or parsed."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    message = f"{name_of(path, root)} cannot be read ({reason}). {FETCH_AGAIN}"
    return BadSeries("unreadable slice", message)


def sop_class(header: Dataset) -> UID:
    """Return the UID of the kind of object, empty where the file does not state it."""
    stated = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or ""
    return UID(str(stated))


def num_frames(header: Dataset) -> int:
    """Return how many frames a file holds; ValueError where it states no number."""
    return max(1, int(header.get("NumberOfFrames") or 1))


def text_of(header: Dataset, tag: str) -> str:
    """Return a field as text, as stored: de-identification leaves values that pydicom does not parse."""
    value = header.get_item(tag).value if tag in header else None
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value or "")).strip(" \0")


def decoded_text(header: Dataset, tag: str) -> str:
    """Return a field as text in the letters of its character set."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of letters that are not in the set, and of a value's length
            value = header.get(tag)
    except Exception:  # pydicom has no common error class
        return text_of(header, tag)
    parts = value if isinstance(value, MultiValue) else [value or ""]
    return "\\".join(map(str, parts)).strip(" \0")


def is_object(header: Dataset) -> bool:
    """Whether the file says what kind of DICOM object it holds; one that was cut early does not."""
    uid = sop_class(header)
    return bool(header.get("Modality")) or uid.name != uid


def is_ct_slice(header: Dataset) -> bool:
    """Whether the object is a CT image that may belong to a volume; enhanced CT counts too."""
    is_ct = sop_class(header) in (*CT_CLASSES, "") and header.get("Modality") in ("CT", "", None)
    return is_ct and is_object(header) and not _views(header)


def is_exported_as_other(header: Dataset) -> bool:
    """Whether the object is a CT slice with a position that some program stored as another kind of image."""
    is_complete = all(header.get(tag) for tag in POSITION_TAGS)
    return header.get("Modality") == "CT" and is_complete and not _views(header)


def _views(header: Dataset) -> set[str]:
    """Return which of `VIEWS` the image is."""
    values = header.get("ImageType") or []
    return {values} & VIEWS if isinstance(values, str) else VIEWS.intersection(values)


def kind_of(header: Dataset | None) -> str:
    """Return what a file is that is not a CT slice."""
    if header is None:
        return NOT_DICOM
    if views := _views(header):
        return min(views).lower()
    uid, modality = sop_class(header), header.get("Modality") or ""
    if uid == DICOMDIR:
        return "DICOMDIR"
    if not is_object(header):
        return "DICOM file of unknown kind"
    if uid in (*CT_CLASSES, ""):
        return f"image of modality {modality}"
    name = "private object" if uid.is_private else uid.name.removesuffix(" Storage").removesuffix(" Image")
    return f"{name} ({modality})" if modality else name


def require_ct_image(slice_: SliceHeader, *, root: Path) -> None:
    """Raise BadSeries unless the header is that of a grey image with a position."""
    name, header = slice_.name(root), slice_.header
    if missing := lacking(header, ["Rows", "Columns", *POSITION_TAGS]):
        message = f"{name} lacks {', '.join(missing)}, which its position depends on. {NO_SLICE}"
        raise BadSeries("incomplete header", message)
    kind = header.get("PhotometricInterpretation") or GREY
    if kind != GREY:
        message = (
            f"{name} holds {kind} pixels, but CT in HU is {GREY}. Export it as {GREY}, or remove the case."
        )
        raise BadSeries(f"not {GREY}", message)


def slice_of(slice_header: SliceHeader, *, root: Path) -> DicomSlice:
    """Return what the header of a CT slice says that lacks no tag; BadSeries if it defines no slice in HU."""
    name, header = slice_header.name(root), slice_header.header
    try:
        rows, columns = map(float, header.PixelSpacing)
        slice_ = DicomSlice(
            path=slice_header.path,
            frame=slice_header.frame,
            size=(int(header.Columns), int(header.Rows)),
            spacing_mm=(columns, rows),
            orientation=tuple(map(float, header.ImageOrientationPatient)),
            position_mm=tuple(map(float, header.ImagePositionPatient)),
            rescaling=(float(header.RescaleSlope), float(header.RescaleIntercept)),
            stored=(header.get("BitsStored"), header.get("PixelRepresentation")),
        )
    except (TypeError, ValueError) as error:  # another number of values than expected
        raise unreadable(slice_header.path, error, root=root) from error
    numbers = (*slice_.spacing_mm, *slice_.orientation, *slice_.position_mm)
    lengths = (len(slice_.orientation), len(slice_.position_mm))
    if lengths != (6, 3) or not np.isfinite(numbers).all() or min(slice_.spacing_mm) <= 0:
        raise BadSeries(
            "incomplete header",
            f"{name} has spacing {slice_.spacing_mm}, orientation {slice_.orientation} and position "
            f"{slice_.position_mm}, which do not define a slice. {NO_SLICE}",
        )
    slope, intercept = slice_.rescaling
    if not np.isfinite(slice_.rescaling).all() or slope == 0:
        values = f"rescale slope {slope:g} and intercept {intercept:g}"
        raise BadSeries("incomplete header", f"{name} has the {values}, which do not give HU. {FETCH_AGAIN}")
    return slice_


def lacking(header: Dataset, tags: list[str]) -> list[str]:
    """Return those of the tags that are missing or empty."""
    return [tag for tag in tags if header.get(tag) in (None, "")]

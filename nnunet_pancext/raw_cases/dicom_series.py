"""One CT volume from the DICOM files of a series: ordered by position, checked, in HU."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from nnunet_pancext.io.images import DICOM_FORMAT, itk_reason, only_thread_in_itk
from nnunet_pancext.raw_cases.case_checks import FETCH_AGAIN
from nnunet_pancext.raw_cases.geometry import Geometry
from nnunet_pancext.raw_cases.source import BadCase, name_of

NEEDED_TAGS = [
    *("SeriesInstanceUID", "Modality", "Rows", "Columns"),
    *("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient"),
]
OPTIONAL_TAGS = [
    *("ImageType", "NumberOfFrames", "PhotometricInterpretation"),
    *("RescaleSlope", "RescaleIntercept", "BitsStored", "PixelRepresentation"),
]
GREY = "MONOCHROME2"
POSITION_TOLERANCE_MM = 0.02  # positions are written with few digits
SPACING_TOLERANCE = 1e-2  # relative, of the distance between slices
DIRECTION_TOLERANCE = 1e-3  # of direction cosines
SEPARATE = "Put each series into a folder of its own."
# What the slices of a series share: attribute, relative and absolute tolerance, values in a message, remedy.
SHARED = (
    ("size", 0, 0, "{} pixels", FETCH_AGAIN),
    ("spacing_mm", 1e-5, 0, "spacing {} mm", FETCH_AGAIN),
    ("orientation", 0, DIRECTION_TOLERANCE, "orientation {}", SEPARATE),
)


class BadSeries(BadCase):
    """The files are not one CT volume."""


@dataclass(frozen=True, kw_only=True)
class DicomSlice:
    """The header of one file. Positions in mm, in DICOM's patient coordinates, as SimpleITK has them."""

    path: Path
    series: str
    modality: str
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


@dataclass(frozen=True, kw_only=True)
class DicomSeries:
    """The files of one volume in the order of their positions, and its geometry."""

    files: tuple[Path, ...]
    geometry: Geometry
    is_stored_alike: bool  # all slices have the same number type and rescaling to HU


def open_series(files: Sequence[Path], *, root: Path) -> DicomSeries:
    """Read the headers of `files` and return the volume they form.

    Messages name files relative to `root`.

    Raises:
        BadSeries: the files are not one CT series; or slices differ in size, spacing or orientation, share a
            position, are missing or tilted.
    """
    slices = [read_slice_header(path, root=root) for path in files]
    require_one_series(slices, root=root)
    if len(slices) < 2:
        raise BadSeries("too few slices", f"{name_of(files[0], root)} is the only slice. {FETCH_AGAIN}")
    normal = slices[0].normal
    slices.sort(key=lambda slice_: float(np.dot(slice_.position_mm, normal)))
    along_mm = [float(np.dot(slice_.position_mm, normal)) for slice_ in slices]
    require_even_spacing(slices, along_mm, root=root)
    require_no_tilt(slices, normal)
    first = slices[0]
    row, column = np.reshape(first.orientation, (2, 3))
    return DicomSeries(
        files=tuple(slice_.path for slice_ in slices),
        geometry=Geometry(
            size=(*first.size, len(slices)),
            spacing_mm=(*first.spacing_mm, (along_mm[-1] - along_mm[0]) / (len(slices) - 1)),
            origin_mm=first.position_mm,
            direction=tuple(np.stack([row, column, normal], axis=1).ravel().tolist()),
        ),
        is_stored_alike=len({(slice_.rescaling, slice_.stored) for slice_ in slices}) == 1,
    )


def read_slice_header(path: Path, *, root: Path) -> DicomSlice:
    """Return one file's header; BadSeries for a file that is not a CT slice."""
    name = name_of(path, root)
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=NEEDED_TAGS + OPTIONAL_TAGS)
        return slice_of(header, path=path, name=name)
    except BadSeries:
        raise
    except InvalidDicomError as error:
        raise BadSeries("not DICOM", f"{name} is not a DICOM file. Remove it from the series.") from error
    except Exception as error:  # pydicom parses a field on access and has no common error class
        reason = str(error) or type(error).__name__
        raise BadSeries("unreadable slice", f"{name} cannot be read ({reason}). {FETCH_AGAIN}") from error


def slice_of(header: Any, *, path: Path, name: str) -> DicomSlice:
    """Return the fields of a header; BadSeries if it is not a CT slice, any error for a malformed field."""
    if int(header.get("NumberOfFrames") or 1) > 1:
        message = f"{name} holds {header.NumberOfFrames} frames in one file. Export one file per slice."
        raise BadSeries("multi-frame DICOM", message)
    if "LOCALIZER" in (header.get("ImageType") or []):
        raise BadSeries("localizer", f"{name} is a scout image (localizer). Remove it from the series.")
    if missing := [tag for tag in NEEDED_TAGS if header.get(tag) in (None, "")]:
        message = f"{name} lacks {', '.join(missing)}, which its position depends on. {FETCH_AGAIN}"
        raise BadSeries("incomplete header", message)
    kind = header.get("PhotometricInterpretation") or GREY
    if kind != GREY:
        message = (
            f"{name} holds {kind} pixels, but CT in HU is {GREY}. Export it as {GREY}, or remove the case."
        )
        raise BadSeries(f"not {GREY}", message)

    def number(tag: str, default: float) -> float:
        value = header.get(tag)
        return default if value in (None, "") else float(value)

    rows, columns = map(float, header.PixelSpacing)
    slice_ = DicomSlice(
        path=path,
        series=str(header.SeriesInstanceUID),
        modality=str(header.Modality),
        size=(int(header.Columns), int(header.Rows)),
        spacing_mm=(columns, rows),
        orientation=tuple(map(float, header.ImageOrientationPatient)),
        position_mm=tuple(map(float, header.ImagePositionPatient)),
        rescaling=(number("RescaleSlope", 1), number("RescaleIntercept", 0)),
        stored=(header.get("BitsStored"), header.get("PixelRepresentation")),
    )
    numbers = (*slice_.spacing_mm, *slice_.orientation, *slice_.position_mm)
    lengths = (len(slice_.orientation), len(slice_.position_mm))
    if lengths != (6, 3) or not np.isfinite(numbers).all() or min(slice_.spacing_mm) <= 0:
        raise BadSeries(
            "incomplete header",
            f"{name} has spacing {slice_.spacing_mm}, orientation {slice_.orientation} and position "
            f"{slice_.position_mm}, which do not define a slice. {FETCH_AGAIN}",
        )
    slope, intercept = slice_.rescaling
    if not np.isfinite(slice_.rescaling).all() or slope == 0:
        values = f"rescale slope {slope:g} and intercept {intercept:g}"
        raise BadSeries("incomplete header", f"{name} has the {values}, which do not give HU. {FETCH_AGAIN}")
    return slice_


def require_one_series(slices: Sequence[DicomSlice], *, root: Path) -> None:
    """Raise BadSeries unless all slices belong to one CT series and differ only in position."""
    counts = Counter(slice_.series for slice_ in slices)
    if len(counts) > 1:
        listed = ", ".join(f"{series} ({count} files)" for series, count in counts.most_common(3))
        largest = counts.most_common(1)[0][0]
        stray = next(name_of(slice_.path, root) for slice_ in slices if slice_.series != largest)
        raise BadSeries(
            "mixed series",
            f"{len(counts)} series in one folder: {listed}; {stray} is not of the largest. {SEPARATE}",
        )
    first = slices[0]
    name = name_of(first.path, root)
    if first.modality != "CT":
        raise BadSeries("not CT", f"{name} has modality {first.modality}. Give the CT series.")
    if abs(float(np.linalg.norm(first.normal)) - 1) > DIRECTION_TOLERANCE:
        axes = f"orientation {first.orientation}, whose rows and columns are not perpendicular"
        raise BadSeries("bad orientation", f"{name} has the {axes}. {FETCH_AGAIN}")
    for slice_ in slices[1:]:
        for attribute, relative, absolute, values, remedy in SHARED:
            actual, expected = getattr(slice_, attribute), getattr(first, attribute)
            if not np.allclose(actual, expected, rtol=relative, atol=absolute):
                raise BadSeries(
                    f"slices differ in {attribute.removesuffix('_mm')}",
                    f"{name_of(slice_.path, root)} has {values.format(actual)}, {first.path.name} "
                    f"{values.format(expected)}. {remedy}",
                )


def require_even_spacing(slices: Sequence[DicomSlice], along_mm: Sequence[float], *, root: Path) -> None:
    """Raise BadSeries where a slice is missing or two share a position."""
    gaps = np.diff(along_mm)
    spacing = float(np.median(gaps))
    tolerance = max(POSITION_TOLERANCE_MM, SPACING_TOLERANCE * spacing)
    same, uneven = gaps < POSITION_TOLERANCE_MM, np.abs(gaps - spacing) > tolerance
    if not same.any() and not uneven.any():
        return
    at = int(np.argmax(same if same.any() else uneven))
    names = f"{name_of(slices[at].path, root)} and {slices[at + 1].path.name}"
    if same.any():
        message = f"{names} are both at {along_mm[at + 1]:.2f} mm. Remove the one that does not belong."
        raise BadSeries("two slices at one position", message)
    message = f"{names} are {gaps[at]:.2f} mm apart, other slices {spacing:.2f} mm. {FETCH_AGAIN}"
    raise BadSeries("slices missing", message)


def require_no_tilt(slices: Sequence[DicomSlice], normal: np.ndarray) -> None:
    """Raise BadSeries where slices are shifted in plane, so that their volume would be sheared."""
    steps = np.subtract(slices[-1].position_mm, slices[0].position_mm)
    shift = float(np.linalg.norm(steps - np.dot(steps, normal) * normal))
    if shift > max(POSITION_TOLERANCE_MM, 0.1 * min(slices[0].spacing_mm)):
        angle = float(np.degrees(np.arctan2(shift, abs(np.dot(steps, normal)))))
        raise BadSeries(
            "gantry tilt",
            f"the slices are shifted by {shift:.1f} mm from {slices[0].path.name} to {slices[-1].path.name}, "
            f"a gantry tilt of {angle:.1f} degrees. Resample the series without tilt, or remove the case.",
        )


def read_series(series: DicomSeries) -> sitk.Image:
    """Return the volume in HU, with rescale slope and intercept applied per slice.

    Raises:
        BadSeries: the pixels of a file cannot be read.
    """
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO(DICOM_FORMAT)
    reader.SetFileNames([str(path) for path in series.files])
    if not series.is_stored_alike:
        # ITK would force all slices into the number type of the first.
        reader.SetOutputPixelType(sitk.sitkFloat64)
    try:
        with only_thread_in_itk():
            volume = reader.Execute()
    except RuntimeError as error:
        message = f"the pixels cannot be read ({itk_reason(error)}). {FETCH_AGAIN}"
        raise BadSeries("unreadable slice", message) from error
    if volume.GetSize() != series.geometry.size:
        sizes = f"size {volume.GetSize()}, by the headers {series.geometry.size}"
        raise BadSeries("unreadable slice", f"the pixels have {sizes}. {FETCH_AGAIN}")
    if not series.is_stored_alike:
        volume = narrowed(volume)
    volume.SetSpacing(series.geometry.spacing_mm)
    volume.SetOrigin(series.geometry.origin_mm)
    volume.SetDirection(series.geometry.direction)
    for key in volume.GetMetaDataKeys():
        volume.EraseMetaData(key)
    return volume


def narrowed(volume: sitk.Image) -> sitk.Image:
    """Return the volume in the smallest of the usual number types that holds all its values exactly."""
    values = sitk.GetArrayViewFromImage(volume)
    for pixel_type in (sitk.sitkInt16, sitk.sitkInt32, sitk.sitkFloat32):
        narrow = sitk.Cast(volume, pixel_type)
        if np.array_equal(sitk.GetArrayViewFromImage(narrow), values):
            return narrow
    return volume

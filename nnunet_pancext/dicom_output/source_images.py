"""The source images of a segmentation: the headers that it needs, and the slice of each image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset, dcmread
from pydicom.config import IGNORE, RAISE
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.multival import MultiValue
from pydicom.valuerep import validate_value

from nnunet_pancext.errors import PancextError
from nnunet_pancext.raw_cases.case_checks import DIRECTION_TOLERANCE
from nnunet_pancext.raw_cases.dicom_slices import sop_class
from nnunet_pancext.raw_cases.geometry import Geometry

# Type 1 in a segmentation, or needed to reference an image. All images share those of the second line.
OWN_UIDS = ("SOPClassUID", "SOPInstanceUID")
SHARED_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
# Type 2: the standard wants them, empty where they are unknown.
TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
# An archive identifies patients by these, and sees that an object is de-identified.
IF_PRESENT = ("IssuerOfPatientID", "PatientIdentityRemoved", "DeidentificationMethod")
FRAMES = "PerFrameFunctionalGroupsSequence"
LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
# Archives file by it: whatever it is like, the segmentation has the one of its images.
VERBATIM = ("PatientID",)
PLANE_TOLERANCE = 0.1  # of a pixel, by which a slice may be shifted in its plane, as in reading a series


@dataclass(frozen=True)
class Plane:
    """Where a frame lies, as DICOM writes it: in mm, with the direction cosines of its rows and columns."""

    position: Sequence[float]
    orientation: Sequence[float]
    spacing: Sequence[float]  # between rows, between columns


@dataclass(frozen=True, kw_only=True)
class SourceImages:
    """Headers of the images without pixels, and where their frames lie.

    `slices[i]` is the slice of the label map that frame i of the images lies on. `patient` holds the
    attributes of patient and study.
    """

    headers: tuple[Dataset, ...]
    slices: tuple[int, ...]
    patient: Dataset
    pixel_spacing_mm: tuple[float, ...]  # between rows, between columns
    slice_thickness_mm: float

    def reference(self, frame: int) -> tuple[str, int | None]:
        """Return the SOP Instance UID of a frame's image and, if that has several, the frame's number."""
        if FRAMES in self.headers[0]:
            return self.headers[0].SOPInstanceUID, frame + 1
        return self.headers[frame].SOPInstanceUID, None


def read_source_images(files: Sequence[Path], *, geometry: Geometry) -> SourceImages:
    """Read the headers of the images of a label map, whose grid is `geometry`.

    `files` are single slices in the order of the label map, or one file with all frames in any order.

    Raises:
        PancextError: a header cannot be read, lacks a UID without which no segmentation can name its images,
            or the images do not lie on the label map's grid.
    """
    full = [_read(path) for path in files]
    _require_uids(full, files)
    planes = _planes(full, files)
    slices = _slices(full, planes, geometry=geometry)
    thickness = _thickness(full[0]) or geometry.spacing_mm[2]
    # One orientation and spacing for all: `_slices` has found them alike.
    planes = [replace(planes[0], position=plane.position) for plane in planes]
    of_files = [planes] if FRAMES in full[0] else [[plane] for plane in planes]
    return SourceImages(
        headers=tuple(
            _described(header, of_file, slice_thickness_mm=thickness)
            for header, of_file in zip(full, of_files, strict=True)
        ),
        slices=slices,
        patient=_patient(full[0]),
        pixel_spacing_mm=tuple(planes[0].spacing),
        slice_thickness_mm=thickness,
    )


def _read(path: Path) -> Dataset:
    """Return a header, with the UIDs of its object from the file's own where the object lost them."""
    try:
        header = dcmread(path, stop_before_pixels=True, force=True)
        header.SOPClassUID = sop_class(header)
        if not header.get("SOPInstanceUID"):
            header.SOPInstanceUID = header.file_meta.get("MediaStorageSOPInstanceUID", "")
    except Exception as error:  # pydicom has no common error class
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise PancextError(f"Cannot read the header of {path.name} ({reason}). Is it still there?") from error
    return header


def _require_uids(headers: Sequence[Dataset], files: Sequence[Path]) -> None:
    """Raise PancextError where images lack UIDs, differ in those they share, or are twice the same."""
    for keyword in (*OWN_UIDS, *SHARED_UIDS):
        lacking = [path for header, path in zip(headers, files, strict=True) if not header.get(keyword)]
        if lacking:
            raise PancextError(
                f"No DICOM-SEG without {keyword}: {len(lacking)} of {len(files)} images, such as "
                f"{lacking[0].name}, have none, and a segmentation names its images by it. De-identify by "
                "replacing UIDs consistently instead of emptying them. The label map itself needs no UID."
            )
    for keyword in (*SHARED_UIDS, "PatientID"):
        if len({str(header.get(keyword, "")) for header in headers}) > 1:
            raise PancextError(
                f"No DICOM-SEG of images that differ in {keyword}: a segmentation belongs to one patient, "
                "study, series and frame of reference. Give the images of one series."
            )
    if len({str(header.SOPInstanceUID) for header in headers}) < len(headers):
        raise PancextError(
            "No DICOM-SEG of images that share a SOPInstanceUID: a segmentation refers to each image by it. "
            "Export the series again."
        )


def _slices(headers: Sequence[Dataset], planes: Sequence[Plane], *, geometry: Geometry) -> tuple[int, ...]:
    """Return the slice of the label map that each frame lies on; PancextError unless each has its own."""
    direction = np.reshape(geometry.direction, (3, 3))
    columns, rows, count = geometry.size
    if len(planes) != count:
        raise _elsewhere(f"it has {count} slices, the images have {len(planes)} frames")
    slices = []
    for number, plane in enumerate(planes):
        if not np.allclose(plane.orientation, direction[:, :2].T.ravel(), rtol=0, atol=DIRECTION_TOLERANCE):
            raise _elsewhere(f"frame {number + 1} has another orientation")
        if not np.allclose(plane.spacing[::-1], geometry.spacing_mm[:2], rtol=1e-3):
            raise _elsewhere(f"frame {number + 1} has another spacing of pixels")
        offset = direction.T @ (np.asarray(plane.position) - geometry.origin_mm)
        along = offset[2] / geometry.spacing_mm[2]
        in_plane = np.abs(offset[:2]).max() / min(geometry.spacing_mm[:2])
        slices.append(int(np.rint(along)))
        if in_plane > PLANE_TOLERANCE or abs(along - slices[-1]) >= 0.5:
            raise _elsewhere(f"frame {number + 1} is shifted by {in_plane:.2f} pixels in its plane")
    if {(header.get("Columns"), header.get("Rows")) for header in headers} != {(columns, rows)}:
        raise _elsewhere("the images have another number of rows or columns")
    # Single images are in the order of the slices; frames may be in any.
    if (sorted(slices) if FRAMES in headers[0] else slices) != list(range(count)):
        raise _elsewhere("the images do not lie on its slices one by one")
    return tuple(slices)


def _planes(headers: Sequence[Dataset], files: Sequence[Path]) -> list[Plane]:
    """Return where each frame lies."""
    try:
        if FRAMES not in headers[0]:
            return [
                Plane(header.ImagePositionPatient, header.ImageOrientationPatient, header.PixelSpacing)
                for header in headers
            ]
        return [
            Plane(
                functional_group(headers[0], group, "PlanePositionSequence").ImagePositionPatient,
                functional_group(headers[0], group, "PlaneOrientationSequence").ImageOrientationPatient,
                functional_group(headers[0], group, "PixelMeasuresSequence").PixelSpacing,
            )
            for group in headers[0].PerFrameFunctionalGroupsSequence
        ]
    except (AttributeError, IndexError) as error:
        raise PancextError(
            f"{files[0].name} does not say where its pixels lie ({error}). Export the series again."
        ) from error


def functional_group(data: Dataset, group: Dataset, keyword: str) -> Dataset:
    """Return the item of a functional group, which is shared where it is the same for all frames."""
    groups = group if keyword in group else data.SharedFunctionalGroupsSequence[0]
    return getattr(groups, keyword)[0]


def _elsewhere(how: str) -> PancextError:
    return PancextError(
        f"The label map does not match its images: {how}. A DICOM-SEG needs the grid of the images it was "
        "predicted from, and the files in the order of its slices."
    )


def _thickness(header: Dataset) -> float | None:
    """Return the thickness of a slice in mm, None where it is unknown."""
    try:
        if FRAMES in header:
            header = functional_group(
                header, header.PerFrameFunctionalGroupsSequence[0], "PixelMeasuresSequence"
            )
        value = float(header.SliceThickness)
    except (AttributeError, IndexError, TypeError, ValueError):
        return None
    return value if np.isfinite(value) and value > 0 else None


def _described(header: Dataset, planes: Sequence[Plane], *, slice_thickness_mm: float) -> Dataset:
    """Return what a segmentation needs of an image whose frames lie on `planes`, without patient and study.

    highdicom writes names that it finds unusual to the log, refuses values that de-identification leaves, and
    wants one orientation to the last digit, as the first plane has it.
    """
    image = _dataset(Modality=header.get("Modality") or "CT", Rows=header.Rows, Columns=header.Columns)
    for keyword in (*OWN_UIDS, *SHARED_UIDS, *LOSSY):
        if keyword in header:
            image[keyword] = header[keyword]
    for keyword in ("PositionReferenceIndicator", *TYPE_2):
        setattr(image, keyword, None)
    orientation = _dataset(ImageOrientationPatient=planes[0].orientation)
    measures = _dataset(PixelSpacing=planes[0].spacing, SliceThickness=slice_thickness_mm)
    positions = [_dataset(ImagePositionPatient=plane.position) for plane in planes]
    if FRAMES not in header:
        for part in (orientation, measures, *positions):
            image.update(part)
        return image
    image.NumberOfFrames = len(planes)
    image.SharedFunctionalGroupsSequence = [
        _dataset(PlaneOrientationSequence=[orientation], PixelMeasuresSequence=[measures])
    ]
    setattr(image, FRAMES, [_dataset(PlanePositionSequence=[position]) for position in positions])
    return image


def _dataset(**fields: Any) -> Dataset:
    data = Dataset()
    for keyword, value in fields.items():
        setattr(data, keyword, value)
    return data


def _patient(header: Dataset) -> Dataset:
    """Return the attributes of patient and study that a segmentation shares with its images."""
    patient = Dataset()
    for keyword in (*TYPE_2, "PositionReferenceIndicator", *IF_PRESENT):
        value = _valid(header, keyword)
        if value or keyword not in IF_PRESENT:
            # Without pydicom's check, whose warning would show the value.
            element = DataElement(keyword, dictionary_VR(keyword), value, validation_mode=IGNORE)
            patient[keyword] = element
    if patient.get("PatientIdentityRemoved") == "YES" and "DeidentificationMethod" not in patient:
        patient.DeidentificationMethod = "Unknown"
    return patient


def _valid(header: Dataset, keyword: str) -> str | list[str] | None:
    """Return a value as text, None where it is missing or not what its kind of value may be."""
    try:
        value = header.get(keyword)
        texts = list(map(str, value)) if isinstance(value, MultiValue) else [str(value or "")]
        if keyword not in VERBATIM:
            if len(texts) > 1 and dictionary_VM(keyword) == "1":
                return None
            for text in texts:
                validate_value(dictionary_VR(keyword), text, RAISE)
    except Exception:  # pydicom has no common error class
        return None
    return texts if len(texts) > 1 else texts[0] or None


def step_affine(geometry: Geometry) -> NDArray[np.float64]:
    """Return the affine (4, 4) from (column, row, slice) to mm in patient coordinates."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(geometry.direction, (3, 3)) * geometry.spacing_mm
    affine[:3, 3] = geometry.origin_mm
    return affine

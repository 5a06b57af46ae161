"""DICOM series of one known object in patient coordinates, in each way that scanners and archives write.

`make_series(folder, "oblique")` writes one of `SERIES`. The object is the same for all of them and has no
symmetry, so that a reader that mirrors, shifts or turns the volume finds it elsewhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from contracts.dicom_objects import add_strays, enhanced
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from nnunet_pancext.raw_cases.geometry import Geometry

CENTRE_MM = np.array([31.0, -22.0, 145.0])  # of the grid, in DICOM's patient coordinates (LPS)
SHAPE = (14, 40, 48)  # slices, rows, columns
SPACING_MM = (3.0, 1.25, 0.9)  # between slices, rows, columns
TURN = np.radians(12)
OBLIQUE = (np.cos(TURN), np.sin(TURN), 0, -np.sin(TURN) * 0.8, np.cos(TURN) * 0.8, 0.6)
AXIAL = (1, 0, 0, 0, 1, 0)


def organ_at(points_mm: np.ndarray) -> np.ndarray:
    """Whether each point (…, 3) in patient coordinates is in the organ: an ellipsoid with a box beside it."""
    x, y, z = np.moveaxis(points_mm - CENTRE_MM, -1, 0)
    ellipsoid = ((x + 3) / 11) ** 2 + ((y - 2) / 8) ** 2 + ((z + 2) / 9) ** 2 <= 1
    box = (x > 2) & (x < 14) & (y > -9) & (y < 1) & (z > -4) & (z < 11)
    return ellipsoid | box


def lesion_at(points_mm: np.ndarray) -> np.ndarray:
    """Whether each point lies in the lesion, a small ellipsoid towards one end of the organ."""
    x, y, z = np.moveaxis(points_mm - CENTRE_MM, -1, 0)
    return ((x - 8) / 4.5) ** 2 + ((y + 4) / 3.5) ** 2 + ((z - 6) / 5) ** 2 <= 1


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a series is written. `expected` is a part of the reader's refusal, empty where it can be read."""

    orientation: tuple[float, ...] = AXIAL
    patient_position: str = "HFS"
    syntax: str = ExplicitVRLittleEndian
    slopes: tuple[float, ...] = (1,)  # repeated over the slices
    signed: bool = True
    names: Callable[[int], str] = "1-{:03d}.dcm".format  # of a slice's number
    numbers: Callable[[int], int] = int  # the instance number of a slice's number
    uneven_mm: Mapping[int, float] = field(
        default_factory=dict
    )  # by which slices are shifted along the normal
    tilt_mm: float = 0  # by which each slice is shifted along its columns against the one before
    left_out: tuple[int, ...] = ()
    doubled: tuple[int, ...] = ()
    strays: bool | str = False  # other objects in the folder: all, or the named one
    multi_frame: bool = False
    has_organ: bool = True
    has_lesion: bool = True
    fields: Mapping[str, Any] = field(default_factory=dict)  # set in every slice; removed where None
    expected: str = ""


SERIES: dict[str, Kind] = {
    "plain": Kind(),
    "names reversed": Kind(names=lambda number: f"1-{900 - number}.dcm", numbers=lambda number: 900 - number),
    "names without order": Kind(names=lambda number: f"{number * 37 % 101:03d}"),
    "shuffled instance numbers": Kind(numbers=lambda number: number * 53 % 97 + 1),
    "no instance numbers": Kind(fields={"InstanceNumber": ""}),
    "rows negated": Kind(orientation=(-1, 0, 0, 0, 1, 0)),
    "columns negated": Kind(orientation=(1, 0, 0, 0, -1, 0)),
    "both negated": Kind(orientation=(-1, 0, 0, 0, -1, 0)),
    "rows and columns exchanged": Kind(orientation=(0, 1, 0, 1, 0, 0)),
    "coronal": Kind(orientation=(1, 0, 0, 0, 0, -1)),
    "sagittal": Kind(orientation=(0, 1, 0, 0, 0, -1)),
    "oblique": Kind(orientation=OBLIQUE),
    "feet first": Kind(orientation=(-1, 0, 0, 0, 1, 0), patient_position="FFS"),
    "prone": Kind(orientation=(-1, 0, 0, 0, -1, 0), patient_position="HFP"),
    "slope per slice": Kind(slopes=(1, 2, 4)),
    "unsigned": Kind(signed=False),
    "implicit": Kind(syntax=ImplicitVRLittleEndian),
    "big endian": Kind(syntax=ExplicitVRBigEndian),
    "RLE": Kind(syntax=RLELossless),
    "JPEG 2000": Kind(syntax=JPEG2000Lossless),
    "JPEG-LS": Kind(syntax=JPEGLSLossless),
    "multi-frame": Kind(multi_frame=True),
    "strays beside": Kind(strays=True),
    "localizer beside": Kind(strays="localizer"),
    "second series beside": Kind(strays="second series"),
    "slightly uneven": Kind(uneven_mm={5: 0.12, 9: -0.1}),
    "no organ": Kind(has_organ=False, has_lesion=False),
    "no lesion": Kind(has_lesion=False),
    "dates emptied": Kind(fields={"StudyDate": "", "StudyTime": "", "PatientBirthDate": "", "StudyID": ""}),
    "de-identified": Kind(
        fields={
            **dict.fromkeys(("StudyDate", "StudyTime", "StudyID", "PatientName", "PatientID"), None),
            **dict.fromkeys(("PatientBirthDate", "PatientSex", "AccessionNumber"), None),
            **dict.fromkeys(("ReferringPhysicianName", "PositionReferenceIndicator", "Manufacturer"), None),
        }
    ),
    "no series UID": Kind(fields={"SeriesInstanceUID": ""}),
    "no study UID": Kind(fields={"StudyInstanceUID": ""}),
    "no frame of reference": Kind(fields={"FrameOfReferenceUID": None}),
    "gap": Kind(left_out=(6,), expected="missing"),
    "double": Kind(doubled=(4,), expected="are both at"),
    "tilt": Kind(tilt_mm=0.6, expected="gantry tilt"),
    "uneven": Kind(uneven_mm={7: 1.2}, expected="deviat"),
    "no slope": Kind(fields={"RescaleSlope": None}, expected="lacks RescaleSlope"),
    "no position": Kind(fields={"ImagePositionPatient": None}, expected="lacks ImagePositionPatient"),
}
READABLE = tuple(name for name, kind in SERIES.items() if not kind.expected)
REFUSED = tuple(name for name, kind in SERIES.items() if kind.expected)


@dataclass(frozen=True, kw_only=True)
class MadeSeries:
    """What was written, in the order of positions along the normal; arrays are (slice, row, column).

    `files` holds the one file for a multi-frame image. `affine` (4, 4) leads from (slice, row, column) to mm
    in patient coordinates; that of unevenly spaced slices is wrong by the shifts.
    """

    folder: Path
    files: tuple[Path, ...]
    uid: str
    study_uid: str
    affine: np.ndarray
    hu: np.ndarray
    organ: np.ndarray
    lesion: np.ndarray

    @property
    def label_map(self) -> np.ndarray:
        """The organ as 1 and the lesion as 2."""
        return np.where(self.lesion, 2, self.organ.astype(np.uint8)).astype(np.uint8)

    @property
    def geometry(self) -> Geometry:
        """The grid as SimpleITK describes it."""
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        return Geometry(
            size=self.hu.shape[::-1],
            spacing_mm=tuple(spacing[::-1].tolist()),
            origin_mm=tuple(self.affine[:3, 3].tolist()),
            direction=tuple((self.affine[:3, :3] / spacing)[:, ::-1].ravel().tolist()),
        )


def points_of(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the position of each voxel in mm, (slice, row, column, 3)."""
    return np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]


def grid_affine(kind: Kind) -> np.ndarray:
    """Return the affine (4, 4) of a grid of `SHAPE` round `CENTRE_MM`."""
    along_row, along_column = np.reshape(np.asarray(kind.orientation, float), (2, 3))
    steps = np.stack([np.cross(along_row, along_column), along_column, along_row], axis=1) * SPACING_MM
    affine = np.eye(4)
    affine[:3, :3] = steps
    # Off the grid's own centre by fractions of a voxel, so that a shift by half a voxel shows.
    affine[:3, 3] = CENTRE_MM + np.array([0.35, -0.2, 0.6]) - steps @ ((np.array(SHAPE) - 1) / 2)
    return affine


def make_series(folder: Path, kind: str | Kind = "plain", *, seed: int = 0) -> MadeSeries:
    """Write a series of `kind` into `folder`; series of other seeds have other UIDs and noise."""
    name = kind if isinstance(kind, str) else ""
    kind = SERIES[kind] if isinstance(kind, str) else kind
    folder.mkdir(parents=True, exist_ok=True)
    affine = grid_affine(kind)
    points = points_of(affine, SHAPE)
    points += np.asarray([kind.uneven_mm.get(n, 0) for n in range(SHAPE[0])])[:, None, None, None] * (
        affine[:3, 0] / SPACING_MM[0]
    )
    organ, lesion = organ_at(points) & kind.has_organ, lesion_at(points) & kind.has_lesion
    noise = np.random.default_rng(seed).integers(-3, 4, SHAPE)
    hu = 4 * (np.where(lesion, 10, np.where(organ, 25, -20)) + noise)  # multiples of all slopes
    uid, study_uid = _uid("series", name, seed), _uid("study", seed)
    files = []
    for number in range(SHAPE[0]):
        if number in kind.left_out:
            continue
        position = points[number, 0, 0] + kind.tilt_mm * number * affine[:3, 1] / SPACING_MM[1]
        data = _slice(kind, number, hu[number], position, ids=(name, seed), uids=(uid, study_uid))
        files.append(_save(data, folder / kind.names(number + 1), syntax=kind.syntax))
        if number in kind.doubled:
            data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = _uid("double", name, seed)
            _save(data, folder / f"double of {kind.names(number + 1)}", syntax=kind.syntax)
    if kind.multi_frame:
        files = [enhanced(files, folder / "enhanced.dcm")]
    if kind.strays:
        add_strays(folder, files, which=kind.strays if isinstance(kind.strays, str) else None)
    return MadeSeries(
        folder=folder,
        files=tuple(files),
        uid=uid,
        study_uid=study_uid,
        affine=affine,
        hu=hu,
        organ=organ,
        lesion=lesion,
    )


def _uid(*sources: object) -> str:
    return str(generate_uid(entropy_srcs=[str(source) for source in ("made series", *sources)]))


def _slice(kind: Kind, number: int, hu: np.ndarray, position: np.ndarray, *, ids, uids) -> FileDataset:
    """Return the slice of a CT Image Storage object, complete by the standard but for what `kind` removes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = _uid("slice", *ids, number)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    is_little_endian = kind.syntax != ExplicitVRBigEndian  # pydicom does not convert when it saves
    data = FileDataset("", {}, b"\0" * 128, meta, is_implicit_VR=False, is_little_endian=is_little_endian)
    data.SpecificCharacterSet = "ISO_IR 192"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    data.StudyDate = data.SeriesDate = data.ContentDate = "20200131"
    data.StudyTime = data.SeriesTime = data.ContentTime = "101112"
    data.AccessionNumber, data.Modality, data.Manufacturer = "A-77", "CT", "Scanners Inc."
    data.ReferringPhysicianName, data.SeriesDescription = "Referrer^Anne", "Portal venous"
    data.PatientName, data.PatientID, data.PatientBirthDate = "Müller^Ada", "MRN-0815", "19500102"
    data.PatientSex, data.KVP, data.SliceThickness = "F", "120", SPACING_MM[0]
    data.PatientPosition, data.BodyPartExamined = kind.patient_position, "ABDOMEN"
    data.SeriesInstanceUID, data.StudyInstanceUID = uids
    data.StudyID, data.SeriesNumber, data.AcquisitionNumber = "S1", 3, 1
    data.InstanceNumber = kind.numbers(number + 1)
    data.ImagePositionPatient = [float(f"{value:.8g}") for value in position]
    data.ImageOrientationPatient = [float(f"{value:.10f}") for value in kind.orientation]
    data.FrameOfReferenceUID = _uid("frame of reference", ids[1])
    data.PositionReferenceIndicator = ""
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = hu.shape
    data.PixelSpacing = [SPACING_MM[1], SPACING_MM[2]]
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PixelRepresentation = int(kind.signed)
    data.RescaleSlope, data.RescaleIntercept = kind.slopes[number % len(kind.slopes)], -1024
    stored = (hu + 1024) // int(data.RescaleSlope)
    data.PixelData = stored.astype(np.int16 if kind.signed else np.uint16).tobytes()
    for keyword, value in kind.fields.items():
        if value is not None:
            setattr(data, keyword, value)
        elif keyword in data:
            delattr(data, keyword)
    return data


def _save(data: FileDataset, path: Path, *, syntax: str) -> Path:
    """Write the slice in a transfer syntax."""
    if syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        data.compress(syntax, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian:
        data.PixelData = np.frombuffer(data.PixelData, "<u2").astype(">u2").tobytes()
        data["PixelData"].VR = "OW"
    data.file_meta.TransferSyntaxUID = syntax
    data.save_as(path, enforce_file_format=True)
    return path

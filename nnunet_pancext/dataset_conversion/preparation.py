"""Files written anew before the checks: volumes of DICOM series, and labels in another orientation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.dataset_conversion.target import write_image
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.images import read_image
from nnunet_pancext.io.nifti_scan import UnreadableImage, scan_nifti
from nnunet_pancext.raw_cases.case_checks import FETCH_AGAIN, CaseFindings
from nnunet_pancext.raw_cases.dicom_series import BadSeries, open_series, read_series
from nnunet_pancext.raw_cases.orientation import Orientation, Reorientation, find_orientation
from nnunet_pancext.raw_cases.source import Problem, SourceCase, name_of

ENDING = ".nii.gz"
AXIS_TOLERANCE = 0.1  # of direction cosines: how far two axes that count as one may differ


@dataclass(frozen=True, kw_only=True)
class ExaminedCase(CaseFindings):
    """The findings of a case, and the paths of files written in place of the source's.

    `orientation` describes how the label fits the image, where that was determined.
    """

    image: str | None = None
    label: str | None = None
    orientation: str | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> ExaminedCase:
        """Return what `asdict` and JSON made the record of."""
        return cls(**{**record, "problems": tuple(Problem(**problem) for problem in record["problems"])})

    def apply(self, case: SourceCase) -> SourceCase:
        """Return the case with the new files in place of the source's."""
        if self.image is not None:
            case = replace(case, image=Path(self.image), series=())
        if self.label is not None:
            case = replace(case, label=Path(self.label))
        return case


class _Refused(Exception):
    """The case cannot be prepared; the arguments are kind and message of its problem."""


def prepare_case(
    case: SourceCase, *, root: Path, folder: Path, check_orientation: bool, ending: str = ENDING
) -> ExaminedCase:
    """Write to `folder` what must be written anew, and determine the orientation of the label.

    A DICOM series becomes a NIfTI file in HU, and its label is reoriented to it: first by the headers, then
    by the intensities of the image if these are clear. A NIfTI image stays; with `check_orientation` its
    label is reoriented by the intensities alone. A bad case is not an error but has `problems`.
    """
    try:
        if case.series:
            return _prepare_series(case, root=root, folder=folder, ending=ending)
        if check_orientation and case.label is not None:
            return _prepare_label(case, root=root, folder=folder, ending=ending)
    except _Refused as refusal:
        kind, message = refusal.args
        problem = Problem(case.case_id, kind, message)
        return ExaminedCase(case_id=case.case_id, problems=(problem,))
    return ExaminedCase(case_id=case.case_id)


def header_reorientation(image: sitk.Image, label: sitk.Image) -> Reorientation | None:
    """Return the reorientation that the two headers ask for; None where their axes are not parallel."""
    cosines = np.reshape(image.GetDirection(), (3, 3)).T @ np.reshape(label.GetDirection(), (3, 3))
    axes = np.abs(cosines).argmax(axis=1)
    signs = cosines[np.arange(3), axes]
    if sorted(axes) != [0, 1, 2] or (np.abs(signs) < 1 - AXIS_TOLERANCE).any():
        return None
    # SimpleITK counts axes as x, y, z, arrays as z, y, x.
    return Reorientation(
        tuple(int(2 - axis) for axis in axes[::-1]), tuple(bool(sign < 0) for sign in signs[::-1])
    )


def _prepare_series(case: SourceCase, *, root: Path, folder: Path, ending: str) -> ExaminedCase:
    try:
        volume = read_series(open_series(case.series, root=root))
    except BadSeries as error:
        raise _Refused(error.kind, str(error)) from error
    image = folder / f"image{ending}"
    if case.label is None:
        write_image(volume, image, read_back=False)
        return ExaminedCase(case_id=case.case_id, image=str(image))
    label = _read_label(case.label, root=root)
    by_header = header_reorientation(volume, label) or Reorientation()
    stored = by_header.apply(sitk.GetArrayFromImage(label))
    oriented, orientation, problems = _orient(case, volume, stored, root=root)
    write_image(volume, image, read_back=False)
    target = folder / f"label{ending}"
    write_image(_with_geometry(oriented, volume), target)
    return ExaminedCase(
        case_id=case.case_id,
        image=str(image),
        label=str(target),
        orientation=str(orientation),
        problems=problems,
    )


def _prepare_label(case: SourceCase, *, root: Path, folder: Path, ending: str) -> ExaminedCase:
    unchanged = ExaminedCase(case_id=case.case_id)  # the checks that follow find missing and damaged files
    if case.label is None or not case.label.is_file() or not case.image.is_file():
        return unchanged
    try:
        scan_nifti(case.image, collect_values=False)
        volume = read_image(case.image)
        label = _read_label(case.label, root=root)
    except (UnreadableImage, RuntimeError, _Refused):
        return unchanged
    stored = sitk.GetArrayFromImage(label)
    if volume.GetDimension() != 3 or stored.ndim != 3 or not stored.any():
        return unchanged
    oriented, orientation, problems = _orient(case, volume, stored, root=root)
    if not problems:
        return replace(unchanged, orientation=str(orientation))
    target = folder / f"label{ending}"
    write_image(_with_geometry(oriented, volume), target)
    return replace(unchanged, label=str(target), orientation=str(orientation), problems=problems)


def _read_label(path: Path, *, root: Path) -> sitk.Image:
    """Return the label map; raises _Refused for one that is not whole."""
    name = name_of(path, root)
    if not path.is_file():
        raise _Refused("label missing", f"{name} is not there. {FETCH_AGAIN}")
    try:
        scan = scan_nifti(path, collect_values=True)
        label = read_image(path)
    except UnreadableImage as error:
        raise _Refused("label unreadable", f"{name} {error}. {FETCH_AGAIN}") from error
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise _Refused("label unreadable", f"SimpleITK cannot read {name} ({reason}).") from error
    if scan.non_finite_voxels:  # SimpleITK reads them as background
        raise _Refused(
            "label has NaN or Inf",
            f"{name} has {scan.non_finite_voxels} voxels that are NaN or infinite. "
            "Correct the label, or remove the case.",
        )
    if label.GetDimension() != 3:
        raise _Refused("label not 3D", f"{name} has {label.GetDimension()} dimensions. {FETCH_AGAIN}")
    return label


def _orient(
    case: SourceCase, volume: sitk.Image, label: np.ndarray, *, root: Path
) -> tuple[np.ndarray, Orientation, tuple[Problem, ...]]:
    """Return the label as it fits the image, its orientation, and a warning where it was changed."""
    name = name_of(case.label or case.image, root)
    try:
        orientation = find_orientation(sitk.GetArrayViewFromImage(volume), label)
    except PancextError as error:
        kind = "label empty" if not label.any() else "size differs"
        raise _Refused(kind, f"{name}: {error}. {FETCH_AGAIN}") from error
    if not orientation.is_clear:
        raise _Refused(
            "orientation unclear",
            f"the orientation of {name} cannot be determined from the image (best candidate {orientation}; "
            f"as stored {orientation.as_it_is:.2f}). Compare both in a viewer and correct the label, "
            "or remove the case.",
        )
    if orientation.turn == Reorientation():
        return label, orientation, ()
    warning = Problem(
        case.case_id,
        "label turned",
        f"{name} matches its image only with {orientation} (as stored {orientation.as_it_is:.2f}). "
        "The corrected label was written.",
        leaves_out=False,
    )
    return orientation.turn.apply(label), orientation, (warning,)


def _with_geometry(voxels: np.ndarray, volume: sitk.Image) -> sitk.Image:
    """Return the voxels as an image with the volume's geometry."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels))
    image.CopyInformation(volume)
    return image

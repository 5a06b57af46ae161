"""Cases that cannot be taken as they lie: DICOM series, and labels that lie the wrong way round."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.dataset_conversion.raw_dataset import write_image
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.images import read_image
from nnunet_pancext.io.nifti_scan import UnreadableImage, scan_nifti
from nnunet_pancext.raw_cases.case_checks import FETCH_AGAIN
from nnunet_pancext.raw_cases.dicom_series import BadSeries, open_series, read_volume
from nnunet_pancext.raw_cases.orientation import Orientation, Turn, find_orientation
from nnunet_pancext.raw_cases.source import Problem, SourceCase, name_of

ENDING = ".nii.gz"
AXIS_TOLERANCE = 0.1  # of direction cosines: how far two axes that count as one may differ


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What became of a case.

    `image` and `label` are new files, None where the source's serve. `orientation` tells how the label lies
    on the image, where that was looked at.
    """

    case_id: str
    image: str | None = None
    label: str | None = None
    orientation: str | None = None
    problems: tuple[Problem, ...] = ()

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
) -> Preparation:
    """Write what must be written anew to `folder`, and say how the label lies on the image.

    A DICOM series becomes a NIfTI file in HU, and its label is laid onto it: first as the headers have it,
    then as the image's intensities do, if these are clear. A NIfTI image stays as it is; with
    `check_orientation` its label is looked at in the same way.

    A bad case is no error: `problems` tells.
    """
    try:
        if case.series:
            return _prepare_series(case, root=root, folder=folder, ending=ending)
        if check_orientation and case.label is not None:
            return _prepare_label(case, root=root, folder=folder, ending=ending)
    except _Refused as refusal:
        kind, message = refusal.args
        problem = Problem(case_id=case.case_id, kind=kind, message=message)
        return Preparation(case_id=case.case_id, problems=(problem,))
    return Preparation(case_id=case.case_id)


def header_turn(image: sitk.Image, label: sitk.Image) -> Turn | None:
    """Return the turn that the two headers ask for; None where the axes are not the same three lines."""
    shares = np.reshape(image.GetDirection(), (3, 3)).T @ np.reshape(label.GetDirection(), (3, 3))
    axes = np.abs(shares).argmax(axis=1)
    signs = shares[np.arange(3), axes]
    if sorted(axes) != [0, 1, 2] or (np.abs(signs) < 1 - AXIS_TOLERANCE).any():
        return None
    # SimpleITK counts axes as x, y, z, arrays as z, y, x.
    return Turn(tuple(int(2 - axis) for axis in axes[::-1]), tuple(bool(sign < 0) for sign in signs[::-1]))


def _prepare_series(case: SourceCase, *, root: Path, folder: Path, ending: str) -> Preparation:
    try:
        volume = read_volume(open_series(case.series, root=root))
    except BadSeries as error:
        raise _Refused(error.kind, str(error)) from error
    image = folder / f"image{ending}"
    if case.label is None:
        write_image(volume, image, read_back=False)
        return Preparation(case_id=case.case_id, image=str(image))
    label = _read_label(case.label, root=root)
    turn = header_turn(volume, label) or Turn()
    array, orientation, problems = _lay(case, volume, turn.apply(sitk.GetArrayFromImage(label)), root=root)
    write_image(volume, image, read_back=False)
    target = folder / f"label{ending}"
    write_image(_like(array, volume), target)
    return Preparation(
        case_id=case.case_id,
        image=str(image),
        label=str(target),
        orientation=str(orientation),
        problems=problems,
    )


def _prepare_label(case: SourceCase, *, root: Path, folder: Path, ending: str) -> Preparation:
    if case.label is None or not case.label.is_file() or not case.image.is_file():
        return Preparation(case_id=case.case_id)  # the checks that follow tell what is missing
    try:
        scan_nifti(case.image, collect_values=False)
        volume = read_image(case.image)
        label = _read_label(case.label, root=root)
    except (UnreadableImage, RuntimeError, _Refused):
        return Preparation(case_id=case.case_id)  # and what cannot be read
    before = sitk.GetArrayFromImage(label)
    if volume.GetDimension() != 3 or before.ndim != 3 or not before.any():
        return Preparation(case_id=case.case_id)
    array, orientation, problems = _lay(case, volume, before, root=root)
    if not problems:
        return Preparation(case_id=case.case_id, orientation=str(orientation))
    target = folder / f"label{ending}"
    write_image(_like(array, volume), target)
    return Preparation(
        case_id=case.case_id, label=str(target), orientation=str(orientation), problems=problems
    )


def _read_label(path: Path, *, root: Path) -> sitk.Image:
    """Return the label; refuses one that is not whole."""
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
        raise _Refused("label unreadable", f"{name} is refused by SimpleITK ({reason}).") from error
    if scan.non_finite_voxels:  # which SimpleITK reads as background
        raise _Refused(
            "label has NaN or Inf",
            f"{name} has {scan.non_finite_voxels} voxels that are NaN or infinite. "
            "Correct the label, or remove the case.",
        )
    if label.GetDimension() != 3:
        raise _Refused("label not 3D", f"{name} has {label.GetDimension()} dimensions. {FETCH_AGAIN}")
    return label


def _lay(
    case: SourceCase, volume: sitk.Image, label: np.ndarray, *, root: Path
) -> tuple[np.ndarray, Orientation, tuple[Problem, ...]]:
    """Return the label as it lies on the image, how sure that is, and a warning where it had to be turned."""
    name = name_of(case.label or case.image, root)
    try:
        orientation = find_orientation(sitk.GetArrayViewFromImage(volume), label)
    except PancextError as error:
        kind = "label empty" if not label.any() else "size differs"
        raise _Refused(kind, f"{name}: {error}. {FETCH_AGAIN}") from error
    if not orientation.is_clear:
        raise _Refused(
            "orientation unclear",
            f"{name} does not tell from the image which way round it lies: best {orientation} "
            f"(as it is {orientation.as_it_is:.2f}). Look at both in a viewer and correct the label, "
            "or remove the case.",
        )
    if orientation.turn == Turn():
        return label, orientation, ()
    warning = Problem(
        case_id=case.case_id,
        kind="label turned",
        message=f"{name} lies on its image only with {orientation} (as it is {orientation.as_it_is:.2f}). "
        "It was written so.",
        leaves_out=False,
    )
    return orientation.turn.apply(label), orientation, (warning,)


def _like(array: np.ndarray, volume: sitk.Image) -> sitk.Image:
    """Return the array as an image with the volume's geometry."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.CopyInformation(volume)
    return image

"""Files written anew before the checks: volumes of DICOM series, and labels in another orientation."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.image_writing import with_geometry, write_image
from nnunet_pancext.io.images import read_image
from nnunet_pancext.io.nifti_scan import scan_nifti
from nnunet_pancext.io.unreadable import UnreadableImage, as_unreadable, missing_file
from nnunet_pancext.raw_cases.case_checks import ON_ONE_GRID, CaseFindings, fault_text
from nnunet_pancext.raw_cases.dicom_search import PASSED_OVER, find_ct_series
from nnunet_pancext.raw_cases.dicom_series import open_series, read_series
from nnunet_pancext.raw_cases.orientation import Reorientation, find_orientation
from nnunet_pancext.raw_cases.source import BadCase, Problem, SourceCase, name_of

ONE_LABEL = "Extract the one 3D label map that belongs to the case, or remove the case."
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
    def from_record(cls, record: Mapping[str, Any]) -> "ExaminedCase":
        """Return what `asdict` and JSON made the record of."""
        return cls(**{**record, "problems": tuple(Problem(**problem) for problem in record["problems"])})

    def apply(self, case: SourceCase) -> SourceCase:
        """Return the case with the new files in place of the source's."""
        if self.image is not None:
            case = replace(case, image=Path(self.image), series=())
        if self.label is not None:
            case = replace(case, label=Path(self.label))
        return case


def prepare_case(
    case: SourceCase, *, root: Path, folder: Path, check_orientation: bool, ending: str
) -> ExaminedCase:
    """Write to `folder` what must be written anew, and determine the orientation of the label.

    A DICOM series becomes a NIfTI file in HU, and its label is reoriented to it: first by the headers, then
    by the intensities of the image if these are clear. A NIfTI image stays; with `check_orientation` its
    label is reoriented by the intensities alone. A bad case is not an error but has `problems`.
    """
    prepared = ExaminedCase(case_id=case.case_id)
    image_file, label_file = folder / f"image{ending}", folder / f"label{ending}"
    try:
        if case.series:
            volume, warnings = _read_ct(case, root=root)
            prepared = replace(prepared, problems=warnings)
            if case.label is not None:
                label = _read_label(case.label, root=root)
                by_header = header_reorientation(volume, label) or Reorientation()
                voxels = by_header.apply(sitk.GetArrayFromImage(label))
                examined = _write_oriented(case, volume, voxels, root=root, target=label_file, always=True)
                prepared = replace(examined, problems=(*warnings, *examined.problems))
            write_image(volume, image_file, read_back=False)
            return replace(prepared, image=str(image_file))
        # The checks that follow find missing and damaged files.
        if check_orientation and case.label and case.label.is_file() and case.image.is_file():
            try:
                scan_nifti(case.image, collect_values=False)
                volume = read_image(case.image)
                voxels = sitk.GetArrayFromImage(_read_label(case.label, root=root))
            except (UnreadableImage, RuntimeError, BadCase):
                return prepared
            if volume.GetDimension() == 3 and voxels.any():
                return _write_oriented(case, volume, voxels, root=root, target=label_file)
    except BadCase as error:
        return replace(prepared, problems=(Problem(case.case_id, error.kind, str(error)),))
    return prepared


def _read_ct(case: SourceCase, *, root: Path) -> tuple[sitk.Image, tuple[Problem, ...]]:
    """Return the only CT series among the case's files, with warnings; BadCase where there is none."""
    search = find_ct_series(case.series, root=root)
    try:
        series = open_series(search.only_series(root=root), root=root)
        volume = read_series(series, root=root)
    except BadCase as error:
        if not (search.series and search.passed_over):
            raise
        raise BadCase(error.kind, f"{error} Passed over: {search.warnings[PASSED_OVER]}.") from error
    warnings = {**search.warnings, **series.warnings}
    return volume, tuple(Problem(case.case_id, k, m, leaves_out=False) for k, m in warnings.items())


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


def _read_label(path: Path, *, root: Path) -> sitk.Image:
    """Return the label map; raises BadCase for one that is not whole."""
    name = name_of(path, root)
    if not path.is_file():
        raise BadCase("label missing", fault_text(name, missing_file(path)))
    try:
        scan = scan_nifti(path, collect_values=True)
        label = read_image(path)
    except (UnreadableImage, RuntimeError) as error:
        raise BadCase("label unreadable", fault_text(name, as_unreadable(error, path))) from error
    if scan.non_finite_voxels:  # SimpleITK reads them as background
        raise BadCase(
            "label has NaN or Inf",
            f"{name} has {scan.non_finite_voxels} voxels that are NaN or infinite. "
            "Correct the label, or remove the case.",
        )
    if label.GetDimension() != 3:
        raise BadCase("label not 3D", f"{name} has {label.GetDimension()} dimensions. {ONE_LABEL}")
    return label


def _write_oriented(
    case: SourceCase, volume: sitk.Image, label: np.ndarray, *, root: Path, target: Path, always: bool = False
) -> ExaminedCase:
    """Write the label as it fits the image, unless it does as stored and not `always`."""
    name = name_of(case.label or case.image, root)
    try:
        orientation = find_orientation(sitk.GetArrayViewFromImage(volume), label)
    except PancextError as error:
        if label.any():
            raise BadCase("size differs", f"{name}: {error}. {ON_ONE_GRID}") from error
        raise BadCase("label empty", f"{name}: {error}. Annotate it, or remove the case.") from error
    if not orientation.is_clear:
        raise BadCase(
            "orientation unclear",
            f"the orientation of {name} cannot be determined from the image (best candidate {orientation}; "
            f"as stored {orientation.as_it_is:.2f}). Compare both in a viewer and correct the label, "
            "or remove the case.",
        )
    examined = ExaminedCase(case_id=case.case_id, orientation=str(orientation))
    if orientation.turn != Reorientation():
        message = (
            f"{name} matches its image only with {orientation} (as stored {orientation.as_it_is:.2f}). "
            "The corrected label was written."
        )
        warning = Problem(case.case_id, "label turned", message, leaves_out=False)
        examined = replace(examined, problems=(warning,))
    elif not always:
        return examined
    write_image(with_geometry(orientation.turn.apply(label), volume), target)
    return replace(examined, label=str(target))

"""The geometry of a CT series: slices on one grid, at even distances, without tilt."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnunet_pancext.raw_cases.case_checks import DIRECTION_TOLERANCE, FETCH_AGAIN
from nnunet_pancext.raw_cases.dicom_slices import BadSeries, DicomSlice

POSITION_TOLERANCE_MM = 0.02  # positions are written with few digits
EVEN_TOLERANCE = 1e-2  # relative; distances that differ less are even
# Uneven distances are accepted within the tolerance of dicom2nifti's validate_slice_increment,
# numpy.allclose(rtol=0.05, atol=0.1). ITK's series reader accepts any and warns.
UNEVEN_TOLERANCE, UNEVEN_TOLERANCE_MM = 0.05, 0.1
ONE_SPACING = "keep the part of one spacing"
SEPARATE = "Put each series into a folder of its own."
# What the slices of a series share: attribute, relative and absolute tolerance, values in a message.
SHARED = (
    ("size", 0, 0, "{} pixels"),
    ("spacing_mm", 1e-5, 0, "spacing {} mm"),
    ("orientation", 0, DIRECTION_TOLERANCE, "orientation {}"),
)


def require_one_grid(slices: Sequence[DicomSlice], *, root: Path) -> None:
    """Raise BadSeries unless all slices have one size, spacing and orientation, with perpendicular axes."""
    first = slices[0]
    if abs(float(np.linalg.norm(first.normal)) - 1) > DIRECTION_TOLERANCE:
        axes = f"orientation {first.orientation}, whose rows and columns are not perpendicular"
        raise BadSeries("bad orientation", f"{first.name(root)} has the {axes}. {FETCH_AGAIN}")
    for slice_ in slices[1:]:
        for attribute, relative, absolute, values in SHARED:
            actual, expected = getattr(slice_, attribute), getattr(first, attribute)
            if not np.allclose(actual, expected, rtol=relative, atol=absolute):
                raise BadSeries(
                    f"slices differ in {attribute.removesuffix('_mm')}",
                    f"{slice_.name(root)} has {values.format(actual)}, "
                    f"{first.name(root)} {values.format(expected)}. "
                    f"{SEPARATE} If they are one series, download the file again.",
                )


def check_spacing(slices: Sequence[DicomSlice], along_mm: Sequence[float], *, root: Path) -> dict[str, str]:
    """Return a warning for slices at slightly uneven distances; `along_mm` are their sorted positions.

    Raises:
        BadSeries: two slices share a position, slices are missing, or the distances are too uneven.
    """
    gaps = np.diff(along_mm)
    if gaps.min() < POSITION_TOLERANCE_MM:
        at = int(gaps.argmin())
        pair = _neighbours(slices, at, root=root)
        message = f"{pair} are both at {along_mm[at + 1]:.2f} mm. Remove the one that does not belong."
        raise BadSeries("two slices at one position", message)
    usual = usual_gap(gaps)
    limit, deviations = uneven_limit(usual), np.abs(gaps - usual)
    worst, too_far = int(deviations.argmax()), deviations > limit
    pair = _neighbours(slices, worst, root=root)
    apart = f"{pair} are {gaps[worst]:.2f} mm apart, other slices {usual:.2f} mm"
    if too_far.any() and is_multiple(gaps[too_far], usual).all():
        raise _slices_missing(gaps[too_far], usual, apart=apart)
    even_mm = np.linspace(along_mm[0], along_mm[-1], len(along_mm))
    shift = float(np.abs(along_mm - even_mm).max())
    is_even = deviations[worst] <= max(POSITION_TOLERANCE_MM, EVEN_TOLERANCE * usual)
    if is_even and shift <= limit:
        return {}
    text = (
        f"{apart}: the largest deviation is {deviations[worst]:.2f} mm (tolerance {limit:.2f} mm); "
        f"slices lie up to {shift:.2f} mm off even positions"
    )
    if too_far.any() or (shift > usual / 2 and not is_even):
        count = f"; {too_far.sum()} of {len(gaps)} distances deviate too far" if too_far.any() else ""
        remedy = f"{ONE_SPACING.capitalize()}, resample the series to an even one, or remove the case."
        raise BadSeries("uneven slices", f"{text}{count}. {remedy}")
    return {"uneven slices": f"{text}. They were placed evenly, {even_mm[1] - even_mm[0]:.4g} mm apart."}


def _neighbours(slices: Sequence[DicomSlice], index: int, *, root: Path) -> str:
    """Name a slice and the next one."""
    first, second = slices[index], slices[index + 1]
    folder = first.path.parent
    return f"{first.name(root)} and {second.name(folder if second.path.parent == folder else root)}"


def _slices_missing(gaps: np.ndarray, usual: float, *, apart: str) -> BadSeries:
    """Return the error for gaps that are multiples of the usual distance; `apart` describes the largest."""
    missing = int((np.rint(gaps / usual) - 1).sum())
    if len(gaps) == 1:
        return BadSeries("slices missing", f"{apart}: {missing} missing. {FETCH_AGAIN}")
    message = f"{apart}, and there are {len(gaps) - 1} more such gaps: {missing} missing. {FETCH_AGAIN}"
    return BadSeries("slices missing", f"{message} If the scan itself changes its spacing: {ONE_SPACING}.")


def usual_gap(gaps: np.ndarray) -> float:
    """Return the distance most slices have, in mm: the mean of those about as large as the median."""
    # The lower median, so that of the gaps 3 and 6 the larger is a missing slice.
    median = float(np.quantile(gaps, 0.5, method="lower"))
    return float(gaps[np.abs(gaps - median) <= uneven_limit(median)].mean())


def uneven_limit(gap_mm: float) -> float:
    """Return by how much a distance between slices may deviate from `gap_mm`."""
    return UNEVEN_TOLERANCE_MM + UNEVEN_TOLERANCE * gap_mm


def is_multiple(gaps: np.ndarray, usual: float) -> np.ndarray:
    """Whether each gap is about twice, three times, … the usual one."""
    times = np.rint(gaps / usual)
    is_near = np.isclose(times * usual, gaps, rtol=UNEVEN_TOLERANCE, atol=UNEVEN_TOLERANCE_MM)
    return (times >= 2) & is_near


def require_no_tilt(slices: Sequence[DicomSlice], normal: np.ndarray) -> None:
    """Raise BadSeries where slices are shifted in plane, so that their volume would be sheared."""
    steps = np.subtract(slices[-1].position_mm, slices[0].position_mm)
    shift = float(np.linalg.norm(steps - np.dot(steps, normal) * normal))
    if shift > max(POSITION_TOLERANCE_MM, 0.1 * min(slices[0].spacing_mm)):
        angle = float(np.degrees(np.arctan2(shift, abs(np.dot(steps, normal)))))
        raise BadSeries(
            "gantry tilt",
            f"the slices are shifted by {shift:.1f} mm from {_own_name(slices[0])} to "
            f"{_own_name(slices[-1])}, a gantry tilt of {angle:.1f} degrees. "
            "Resample the series without tilt, or remove the case.",
        )


def _own_name(slice_: DicomSlice) -> str:
    return slice_.name(slice_.path.parent)

"""The checks every case passes before it enters a dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunet_pancext.io.label_values import fractional, listed
from nnunet_pancext.io.nifti_scan import VoxelScan
from nnunet_pancext.io.unreadable import UnreadableImage, as_unreadable, missing_file
from nnunet_pancext.raw_cases.geometry import Geometry
from nnunet_pancext.raw_cases.readers import Reader
from nnunet_pancext.raw_cases.source import Problem, SourceCase, name_of

SPACING_TOLERANCE = 1e-5  # relative; nnU-Net's own integrity check refuses more
ORIGIN_TOLERANCE_VOXELS = 1e-2
DIRECTION_TOLERANCE = 1e-3  # absolute, on each component of the direction cosines

FETCH_AGAIN = "Download or extract the file again, or remove the case."
NOT_FINITE = (
    "{name} has NaN or infinity as spacing, origin or direction in its header. Write the header again, as "
    "exported by the scanner, or remove the case."
)
SIMPLE_ITK = Reader()
ON_ONE_GRID = "Resample the label onto the image's grid, or remove the case."


@dataclass(frozen=True, kw_only=True)
class CaseFindings:
    """The result of the checks of one case; without problems it is usable."""

    case_id: str
    problems: tuple[Problem, ...] = ()
    image_hash: str | None = None
    size: tuple[int, ...] | None = None
    spacing_mm: tuple[float, ...] | None = None


@dataclass(frozen=True)
class InspectedCase:
    """Problems by kind, the scan and the geometry of the image; None where it cannot be read."""

    problems: dict[str, str]
    scan: VoxelScan | None
    geometry: Geometry | None


def check_case(case: SourceCase, *, root: Path, declared_values: Sequence[int]) -> CaseFindings:
    """Read a case's image and label completely and return their problems; raises nothing for a bad file.

    Messages name files relative to `root`. `declared_values` are the label values of the dataset, including
    0 for background. A slice may lack foreground, a volume may not.
    """
    inspected = inspect_case(case, root=root, declared_values=declared_values)
    scan, geometry = inspected.scan, inspected.geometry
    return CaseFindings(
        case_id=case.case_id,
        problems=tuple(Problem(case.case_id, k, m) for k, m in inspected.problems.items()),
        image_hash=scan.voxel_hash if scan else None,
        size=geometry.size if geometry else None,
        spacing_mm=geometry.spacing_mm if geometry else None,
    )


def inspect_case(
    case: SourceCase, *, root: Path, declared_values: Sequence[int], reader: Reader = SIMPLE_ITK
) -> InspectedCase:
    """Return what `check_case` judges, read with `reader`."""
    problems: dict[str, str] = {}
    scan, geometry = inspect(case.image, "image", root=root, problems=problems, reader=reader)
    if case.label is not None:
        label_scan, label_geometry = inspect(case.label, "label", root=root, problems=problems, reader=reader)
        label_name = name_of(case.label, root)
        if geometry and label_geometry:
            problems.update(compare_geometry(geometry, label_geometry, label_name=label_name))
        if label_scan:
            problems.update(check_values(label_scan, label_name=label_name, declared_values=declared_values))
            if len(label_scan.size) == 2:
                problems.pop("label empty", None)
    return InspectedCase(problems, scan, geometry)


def inspect(
    path: Path, role: str, *, root: Path, problems: dict[str, str], reader: Reader = SIMPLE_ITK
) -> tuple[VoxelScan | None, Geometry | None]:
    """Scan one file, add its faults to `problems`, and return its scan and geometry if they can be read."""
    name, is_label = name_of(path, root), role == "label"
    if not path.is_file():
        problems[f"{role} missing"] = fault_text(name, missing_file(path))
        return None, None
    try:
        scan = reader.scan(path, is_label=is_label)
    except UnreadableImage as error:
        problems[f"{role} unreadable"] = fault_text(name, error)
        return None, None
    expected = reader.axes_of(path)
    if len(scan.size) not in expected:
        problems[f"{role} not {expected[-1]}D"] = (
            f"{name} has {len(scan.size)} dimensions, size {scan.size}. {reader.remedy_for_axes(path)}"
        )
        return None, None
    if scan.non_finite_voxels:
        problems[f"{role} has NaN or Inf"] = (
            f"{name} has {scan.non_finite_voxels} voxels that are NaN or infinite. "
            "Replace them (air is -1024 HU), or remove the case."
        )
    if is_label and scan.further:
        problems["label has channels"] = (
            f"{name} holds {1 + len(scan.further)} values per voxel. Store one label value for each voxel "
            "(a PNG as greyscale, without a palette)."
        )
    try:
        geometry = reader.geometry(path, is_label=is_label)
    except (UnreadableImage, RuntimeError) as error:
        problems[f"{role} unreadable"] = fault_text(name, as_unreadable(error, path))
    else:
        if geometry.is_finite:
            return scan, geometry
        problems[f"{role} has NaN in its header"] = NOT_FINITE.format(name=name)
    return scan, None


def fault_text(name: str, reason: UnreadableImage) -> str:
    """Return the message that a file cannot be read, with what to do."""
    return f"{name} {reason}. {reason.remedy or FETCH_AGAIN}"


def compare_geometry(
    image: Geometry,
    label: Geometry,
    *,
    label_name: str,
    image_name: str = "its image",
    remedy: str = ON_ONE_GRID,
) -> dict[str, str]:
    """Return a message for each of size, spacing, direction and origin that differs."""
    if image.size != label.size:
        message = f"{label_name} has size {label.size}, {image_name} {image.size} voxels. {remedy}"
        return {"size differs": message}
    shift_mm = ORIGIN_TOLERANCE_VOXELS * min(image.spacing_mm)
    comparisons = (
        ("spacing_mm", SPACING_TOLERANCE, 0, f" mm (tolerance {SPACING_TOLERANCE:g} relative)"),
        ("direction", 0, DIRECTION_TOLERANCE, f" (tolerance {DIRECTION_TOLERANCE:g})"),
        ("origin_mm", 0, shift_mm, f" mm (tolerance {ORIGIN_TOLERANCE_VOXELS:g} of the smallest spacing)"),
    )
    problems = {}
    for attribute, relative, absolute, tolerance in comparisons:
        actual, expected = getattr(label, attribute), getattr(image, attribute)
        if not np.allclose(actual, expected, rtol=relative, atol=absolute):
            what = attribute.removesuffix("_mm")
            values = f"{rounded(actual)}, {image_name} {rounded(expected)}{tolerance}"
            problems[f"{what} differs"] = f"{label_name} has {what} {values}. {remedy}"
    return problems


def check_values(scan: VoxelScan, *, label_name: str, declared_values: Sequence[int]) -> dict[str, str]:
    """Return a message for fractional values, for undeclared values and for an empty label.

    Without `declared_values` any whole number is a label.
    """
    problems = {}
    fractions = fractional(np.array(scan.values)).tolist()
    labels = sorted(int(value) for value in set(scan.values) - set(fractions))
    undeclared = [label for label in labels if declared_values and label not in declared_values]
    if fractions:
        problems["label value not an integer"] = (
            f"{label_name} holds {listed(fractions)}. "
            "Resample labels with nearest neighbour, or remove the case."
        )
    if undeclared:
        problems["label value not declared"] = (
            f"{label_name} holds {listed(undeclared)}, declared are {listed(sorted(declared_values))}. "
            "Correct the label, remove the case, or declare the value in the source's dataset.json, if any."
        )
    if set(scan.values) <= {0.0}:
        problems["label empty"] = f"{label_name} has no foreground voxel. Annotate it, or remove the case."
    return problems


def find_duplicates(findings: Sequence[CaseFindings], *, image_names: Mapping[str, str]) -> list[Problem]:
    """Return a problem for every image whose voxels equal those of an earlier one.

    Only size and values count, since re-exported copies differ in number type and geometry. Constant images
    are not compared, because those of different patients are equal.
    """
    first_with: dict[str, str] = {}
    problems = []
    for case_id, image_hash in ((finding.case_id, finding.image_hash) for finding in findings):
        first = first_with.setdefault(image_hash, case_id) if image_hash else case_id
        if first != case_id:
            message = (
                f"{image_names[case_id]} has the same voxels as {image_names[first]}; "
                f"{first} is kept. Find out which label belongs to the image and remove the other case."
            )
            problems.append(Problem(case_id, "duplicate image", message))
    return problems


def rounded(numbers: Sequence[float]) -> tuple[float, ...]:
    """Return the numbers rounded for a message."""
    return tuple(float(f"{number:.6g}") + 0.0 for number in numbers)  # + 0.0 turns -0.0 into 0.0

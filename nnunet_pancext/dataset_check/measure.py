"""Measuring one case of a raw dataset."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.dataset_check.channel_images import inspect_channels
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import is_utf8, shown_name
from nnunet_pancext.io.label_values import in_single_precision
from nnunet_pancext.io.nifti_scan import VoxelScan, joint_hash
from nnunet_pancext.raw_cases.case_checks import FETCH_AGAIN, inspect_case
from nnunet_pancext.raw_cases.orientation import Orientation, find_orientation
from nnunet_pancext.raw_cases.readers import Reader
from nnunet_pancext.raw_cases.source import Problem, SourceCase, name_of

MM3_PER_ML = 1000
# Kinds of problems, by their first words, that leave no label to measure.
UNMEASURABLE = (
    "label missing",
    "label unreadable",
    "label not",
    "label has channels",
    "label has NaN in its header",
)


@dataclass(frozen=True, kw_only=True)
class LabelMeasure:
    """Size of a label and the mean intensity in it, nan if empty.

    `volume_ml` is None if the file format stores no spacing.
    """

    voxels: int
    volume_ml: float | None
    mean: float


@dataclass(frozen=True)
class CaseMeasure:
    """One case; what could not be read is None or empty, and explained in `problems`.

    `hashes` of the voxels and `ranges`, the lowest and the highest value, are by channel; `orientation` is
    how the label fits onto the first.
    """

    case_id: str
    problems: tuple[Problem, ...]
    hashes: Mapping[int, str] = field(default_factory=dict)
    ranges: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    size: tuple[int, ...] | None = None
    spacing_mm: tuple[float, ...] | None = None
    labels: Mapping[str, LabelMeasure] = field(default_factory=dict)
    orientation: Orientation | None = None

    @property
    def lowest(self) -> float | None:
        """The lowest value of the first channel."""
        return self.ranges[0][0] if 0 in self.ranges else None

    @property
    def highest(self) -> float | None:
        """The highest value of the first channel."""
        return self.ranges[0][1] if 0 in self.ranges else None

    @property
    def foreground_voxels(self) -> int:
        """Number of labelled voxels, if labels do not overlap."""
        return sum(label.voxels for label in self.labels.values())


def measure_case(
    case: SourceCase,
    *,
    root: Path,
    reader: Reader,
    images: Mapping[str, Mapping[int, Path]],
    labels: Mapping[str, tuple[int, ...]],
    values: Sequence[int],
    count: int,
    is_listed: bool,
) -> CaseMeasure:
    """Read and measure the files of a case with nnU-Net's `reader`; its label may be None.

    `images` are the files of each case by the number of the channel, `labels` the values of each label or
    region without background, `values` all that are declared and `count` the declared channels, 0 if
    unknown, and `is_listed` whether dataset.json lists the files. Messages name files relative to `root`.
    """
    files = images.get(case.case_id, {})
    if message := _unusable_name(case, files):
        return CaseMeasure(case.case_id, (Problem(case.case_id, "name not UTF-8", message),))
    if 0 not in files:
        name = name_of(case.image, root)
        others = ", ".join(path.name for path in files.values())
        kind, message = "label without image", f"there is a label, but no {name}. {FETCH_AGAIN}"
        if others:
            kind, message = "channel 0 missing", f"{others} exists, {name} does not. {FETCH_AGAIN}"
        return CaseMeasure(case.case_id, (Problem(case.case_id, kind, message),))
    inspected = inspect_case(case, root=root, declared_values=values, reader=reader)
    scan, geometry = inspected.scan, inspected.geometry
    scans, problems = inspect_channels(
        case,
        first=scan,
        geometry=geometry,
        images=files,
        count=count,
        is_listed=is_listed,
        root=root,
        reader=reader,
    )
    problems = {**inspected.problems, **problems}
    measure = CaseMeasure(
        case.case_id,
        tuple(Problem(case.case_id, kind, message) for kind, message in problems.items()),
        hashes=_hashes(scans),
        ranges={number: (of.lowest, of.highest) for number, of in scans.items() if of.lowest <= of.highest},
        size=geometry.size if geometry else None,
        spacing_mm=geometry.spacing_mm if geometry and geometry.has_spacing else None,
    )
    if geometry is None or case.label is None or any(kind.startswith(UNMEASURABLE) for kind in problems):
        return measure
    return _measure_labels(measure, case.image, case.label, labels=labels, reader=reader)


def _hashes(scans: Mapping[int, VoxelScan]) -> dict[int, str]:
    """Return a hash for each file by the number of its first channel; colours may equal each other."""
    if 0 in scans and scans[0].further:
        joint = joint_hash(scans.values())
        return {0: joint} if joint else {}
    return {number: scan.voxel_hash for number, scan in scans.items() if scan.voxel_hash}


def _unusable_name(case: SourceCase, images: Mapping[int, Path]) -> str:
    """Return a message if a file has a name that SimpleITK and nnU-Net cannot open."""
    for path in (*images.values(), *([case.label] if case.label else [])):
        if not is_utf8(path):
            return (
                f"the file name {shown_name(path.name)} is not UTF-8, so nnU-Net cannot open it. "
                "Rename the files of the case, to plain letters and digits."
            )
    return ""


def _measure_labels(
    measure: CaseMeasure,
    image_file: Path,
    label_file: Path,
    *,
    labels: Mapping[str, tuple[int, ...]],
    reader: Reader,
) -> CaseMeasure:
    image = sitk.GetArrayFromImage(reader.channels(image_file, is_label=False)[0])
    label = in_single_precision(sitk.GetArrayFromImage(reader.channels(label_file, is_label=True)[0]))
    if label.shape != image.shape:
        return measure
    is_volume = image.ndim == 3
    voxel_ml = math.prod(measure.spacing_mm) / MM3_PER_ML if measure.spacing_mm and is_volume else None
    measured = {}
    for name, several in labels.items():
        mask = np.isin(label, several)
        voxels = int(np.count_nonzero(mask))
        measured[name] = LabelMeasure(
            voxels=voxels,
            volume_ml=None if voxel_ml is None else voxels * voxel_ml,
            mean=float(image[mask].mean()) if voxels else math.nan,
        )
    try:
        orientation = find_orientation(image, label) if is_volume else None
    except PancextError:
        orientation = None  # no foreground to judge it by
    return replace(measure, labels=measured, orientation=orientation)

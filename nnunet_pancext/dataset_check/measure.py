"""Measuring one case of a raw dataset."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.images import has_geometry, read_image
from nnunet_pancext.nnunet_files.dataset_json import DatasetJson
from nnunet_pancext.raw_cases.case_checks import (
    FETCH_AGAIN,
    Geometry,
    check_case,
    compare_geometry,
    inspect,
    read_geometry,
)
from nnunet_pancext.raw_cases.orientation import Orientation, find_orientation
from nnunet_pancext.raw_cases.source import Problem, SourceCase, name_of

MM3_PER_ML = 1000
ON_ONE_GRID = "Resample all channels of a case onto one grid, or remove the case."


@dataclass(frozen=True, kw_only=True)
class LabelMeasure:
    """Size of a label and the mean intensity in it, nan if empty.

    `volume_ml` is None if the file format stores no spacing.
    """

    voxels: int
    volume_ml: float | None
    mean: float


@dataclass(frozen=True, kw_only=True)
class CaseMeasure:
    """One case; what could not be read is None or empty, and explained in `problems`.

    `lowest` and `highest` are intensities of the first channel, `orientation` is how the label fits onto it,
    `channel_hashes` are those of the channels after it.
    """

    case_id: str
    problems: tuple[Problem, ...]
    image_hash: str | None = None
    channel_hashes: Mapping[int, str] = field(default_factory=dict)
    size: tuple[int, ...] | None = None
    spacing_mm: tuple[float, ...] | None = None
    lowest: float | None = None
    highest: float | None = None
    labels: Mapping[str, LabelMeasure] = field(default_factory=dict)
    orientation: Orientation | None = None

    @property
    def foreground_voxels(self) -> int:
        """Number of labelled voxels, if labels do not overlap."""
        return sum(label.voxels for label in self.labels.values())


def measure_case(
    case: SourceCase,
    *,
    declared: DatasetJson,
    labels: Mapping[str, tuple[int, ...]],
    channels: Mapping[str, Mapping[int, Path]],
) -> CaseMeasure:
    """Read and measure the files of a case; its label may be None.

    `declared` is beside the cases' folders, `labels` are the values of each label or region without
    background, `channels` the images of each case by channel number.
    """
    images, root = channels.get(case.case_id, {}), declared.path.parent
    if not case.image.is_file():
        name = f"{case.image.parent.name}/{case.image.name}"
        others = ", ".join(path.name for path in images.values())
        kind, message = "label without image", f"there is a label, but no {name}. {FETCH_AGAIN}"
        if others:
            kind, message = "channel 0 missing", f"{others} exists, {name} does not. {FETCH_AGAIN}"
        problem = Problem(case_id=case.case_id, kind=kind, message=message)
        return CaseMeasure(case_id=case.case_id, problems=(problem,))
    values = {0, *chain.from_iterable(declared.values.values())}
    findings = check_case(case, root=root, declared_values=sorted(values))
    geometry = read_geometry(case.image) if findings.size is not None else None
    count = len(declared.channel_names)
    channel_problems, hashes = check_channels(case, geometry=geometry, images=images, count=count, root=root)
    measure = CaseMeasure(
        case_id=case.case_id,
        problems=(*findings.problems, *channel_problems),
        image_hash=findings.image_hash,
        channel_hashes=hashes,
        size=findings.size,
        spacing_mm=findings.spacing_mm if has_geometry(case.image) else None,
    )
    if findings.size is None:
        return measure
    image = sitk.GetArrayFromImage(read_image(case.image))
    measure = replace(measure, lowest=float(np.nanmin(image)), highest=float(np.nanmax(image)))
    bad_label = ("label missing", "label unreadable")
    if case.label is None or any(problem.kind.startswith(bad_label) for problem in findings.problems):
        return measure
    label = sitk.GetArrayFromImage(read_image(case.label))
    if label.shape != image.shape:
        return measure
    voxel_ml = math.prod(measure.spacing_mm) / MM3_PER_ML if measure.spacing_mm else None
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
        orientation = find_orientation(image, label) if image.ndim == 3 else None
    except PancextError:
        orientation = None  # no foreground to judge it by
    return replace(measure, labels=measured, orientation=orientation)


def find_channels(folder: Path, *, ending: str) -> dict[str, dict[int, Path]]:
    """Return each case's images in a folder, by the number of the channel."""
    name = re.compile(rf"([^.].*)_(\d{{4}}){re.escape(ending)}")
    channels: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.glob(f"*{ending}")):
        if match := name.fullmatch(path.name):
            channels.setdefault(match[1], {})[int(match[2])] = path
    return channels


def check_channels(
    case: SourceCase, *, geometry: Geometry | None, images: Mapping[int, Path], count: int, root: Path
) -> tuple[tuple[Problem, ...], dict[int, str]]:
    """Return the problems of the case's channels after the first, and a hash of each channel's voxels.

    `geometry` is that of the first channel, None if unreadable; `images` are the channels on disk, `count`
    how many the dataset declares. Messages name files relative to `root`.
    """
    problems: dict[str, str] = {}
    hashes = {}
    name, _, ending = case.image.name.rpartition("_0000")
    for number in range(1, count):
        role = f"channel {number}"
        path = case.image.with_name(f"{name}_{number:04d}{ending}")
        scan, channel_geometry = inspect(path, role, root=root, found=problems)
        if scan and scan.voxel_hash:
            hashes[number] = scan.voxel_hash
        if geometry and channel_geometry:
            differences = compare_geometry(
                geometry, channel_geometry, label_name=name_of(path, root), remedy=ON_ONE_GRID
            )
            problems.update({f"{role}: {kind}": message for kind, message in differences.items()})
    for number in sorted(set(images) - set(range(count))):
        problems[f"channel {number} not declared"] = (
            f"{name_of(images[number], root)} exists, but dataset.json declares {count} channel(s). "
            "Declare it in channel_names, or remove the file."
        )
    return tuple(Problem(case_id=case.case_id, kind=k, message=m) for k, m in problems.items()), hashes


def find_twins(hashes: Mapping[str, Mapping[int, str]]) -> list[Problem]:
    """Return a problem for each channel whose voxels equal those of another, in the same or an earlier case.

    `hashes` are those of each case's channels, the first included. Two equal first channels are left to
    `find_duplicates`.
    """
    problems = []
    first_with: dict[str, tuple[str, int]] = {}
    for case, channels in hashes.items():
        for number, digest in sorted(channels.items()):
            twin, twin_number = first_with.setdefault(digest, (case, number))
            if (twin, twin_number) != (case, number) and (number or twin_number):
                message = f"channel {number} has the same voxels as channel {twin_number} of {twin}."
                kind = f"channel {number} there twice"
                problems.append(Problem(case_id=case, kind=kind, message=f"{message} {FETCH_AGAIN}"))
    return problems

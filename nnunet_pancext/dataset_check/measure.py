"""What is measured of one case."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.dataset_check.channels import check_channels
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.images import read_image
from nnunet_pancext.raw_cases.case_checks import FETCH_AGAIN, check_case, read_geometry
from nnunet_pancext.raw_cases.image_scan import has_geometry
from nnunet_pancext.raw_cases.orientation import Orientation, find_orientation
from nnunet_pancext.raw_cases.source import Problem, SourceCase

MM3_PER_ML = 1000


@dataclass(frozen=True, kw_only=True)
class LabelMeasure:
    """Voxels of a label, its volume where the format tells a spacing, and the mean intensity in it.

    The mean is nan where the label is empty.
    """

    voxels: int
    volume_ml: float | None
    mean: float


@dataclass(frozen=True, kw_only=True)
class CaseMeasure:
    """One case. What could not be read is None or empty; `problems` tell why.

    `lowest` and `highest` are of the first channel's intensities, `orientation` says how the label lies on
    it, `channel_hashes` are of the channels after it.
    """

    case_id: str
    problems: tuple[Problem, ...]
    image_hash: str | None
    channel_hashes: Mapping[int, str] = field(default_factory=dict)
    size: tuple[int, ...] | None = None
    spacing_mm: tuple[float, ...] | None = None
    lowest: float | None = None
    highest: float | None = None
    labels: Mapping[str, LabelMeasure]
    orientation: Orientation | None = None

    @property
    def foreground_voxels(self) -> int:
        """All labelled voxels, where labels do not overlap."""
        return sum(label.voxels for label in self.labels.values())


def measure_case(
    case: SourceCase,
    *,
    root: Path,
    labels: Mapping[str, tuple[int, ...]],
    allowed: set[int],
    channels: Mapping[str, Mapping[int, Path]],
    channel_count: int,
) -> CaseMeasure:
    """Read all of a case.

    Args:
        case: image and label; the label may be None.
        root: the dataset; messages name files relative to it.
        labels: the values of each label or region, without background.
        allowed: every value that a label may hold.
        channels: the images of each case, by the number of the channel.
        channel_count: how many of them each should have.
    """
    if not case.image.is_file():
        problem = without_first_channel(case, channels.get(case.case_id, {}))
        return CaseMeasure(case_id=case.case_id, problems=(problem,), image_hash=None, labels={})
    findings = check_case(case, root=root, declared_values=sorted(allowed))
    geometry = read_geometry(case.image) if findings.size is not None else None
    further, hashes = check_channels(
        case, geometry=geometry, found=channels.get(case.case_id, {}), count=channel_count, root=root
    )
    known: dict[str, Any] = {
        "case_id": case.case_id,
        "problems": (*findings.problems, *further),
        "image_hash": findings.image_hash,
        "channel_hashes": hashes,
        "size": findings.size,
        "spacing_mm": findings.spacing_mm if has_geometry(case.image) else None,
    }
    if findings.size is None:
        return CaseMeasure(**known, labels={})
    image = sitk.GetArrayFromImage(read_image(case.image))
    known |= {"lowest": float(np.nanmin(image)), "highest": float(np.nanmax(image))}
    kinds = {problem.kind for problem in findings.problems}
    if case.label is None or any(kind.startswith(("label missing", "label unreadable")) for kind in kinds):
        return CaseMeasure(**known, labels={})
    label = sitk.GetArrayFromImage(read_image(case.label))
    if label.shape != image.shape:
        return CaseMeasure(**known, labels={})
    voxel_ml = math.prod(known["spacing_mm"]) / MM3_PER_ML if known["spacing_mm"] else None
    measures = {}
    for name, values in labels.items():
        mask = np.isin(label, values)
        voxels = int(np.count_nonzero(mask))
        mean = float(image[mask].mean()) if voxels else math.nan
        measures[name] = LabelMeasure(
            voxels=voxels, volume_ml=None if voxel_ml is None else voxels * voxel_ml, mean=mean
        )
    return CaseMeasure(**known, labels=measures, orientation=_orientation(image, label))


def without_first_channel(case: SourceCase, found: Mapping[int, Path]) -> Problem:
    """Return the problem of a case of which only the label, or only further channels, are there."""
    image = f"{case.image.parent.name}/{case.image.name}"
    if found:
        there = ", ".join(path.name for path in found.values())
        kind, message = "channel 0 missing", f"{there} is there, {image} is not. {FETCH_AGAIN}"
    else:
        kind, message = "label without image", f"there is a label, but no {image}. {FETCH_AGAIN}"
    return Problem(case_id=case.case_id, kind=kind, message=message)


def _orientation(image: np.ndarray, label: np.ndarray) -> Orientation | None:
    if image.ndim != 3:
        return None
    try:
        return find_orientation(image, label)
    except PancextError:
        return None  # without foreground there is nothing to see

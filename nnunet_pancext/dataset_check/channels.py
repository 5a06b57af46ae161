"""The channels of a case after its first, which share one grid."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from nnunet_pancext.raw_cases.case_checks import FETCH_AGAIN, Geometry, compare_geometry, inspect
from nnunet_pancext.raw_cases.source import Problem, SourceCase, name_of

ON_ONE_GRID = "Resample all channels of a case onto one grid, or remove the case."


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

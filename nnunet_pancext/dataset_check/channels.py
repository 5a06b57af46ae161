"""The images of a case beside its first: further channels, on the same grid."""

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
        if found := name.fullmatch(path.name):
            channels.setdefault(found[1], {})[int(found[2])] = path
    return channels


def check_channels(
    case: SourceCase, *, geometry: Geometry | None, found: Mapping[int, Path], count: int, root: Path
) -> tuple[tuple[Problem, ...], dict[int, str]]:
    """Read the case's channels after the first.

    Args:
        case: its `image` is the first channel.
        geometry: of the first channel, None where that cannot be read.
        found: all its channels that are there.
        count: how many channels the dataset declares.
        root: messages name files relative to it.

    Returns:
        What is wrong with them, and a hash of the voxels of each.
    """
    problems: dict[str, str] = {}
    hashes = {}
    name, _, ending = case.image.name.rpartition("_0000")
    for number in range(1, count):
        role = f"channel {number}"
        path = case.image.with_name(f"{name}_{number:04d}{ending}")
        scan, its_geometry = inspect(path, role, root=root, found=problems)
        if scan and scan.voxel_hash:
            hashes[number] = scan.voxel_hash
        if geometry and its_geometry:
            differences = compare_geometry(
                geometry, its_geometry, label_name=name_of(path, root), remedy=ON_ONE_GRID
            )
            problems.update({f"{role}: {kind}": message for kind, message in differences.items()})
    for number in sorted(set(found) - set(range(count))):
        problems[f"channel {number} not declared"] = (
            f"{name_of(found[number], root)} is there, dataset.json declares {count} channel(s). "
            "Declare it in channel_names, or remove the file."
        )
    return tuple(Problem(case_id=case.case_id, kind=k, message=m) for k, m in problems.items()), hashes


def find_twins(hashes: Mapping[str, Mapping[int, str]]) -> list[Problem]:
    """Return a problem for every channel whose voxels are another's, of the same case or of an earlier one.

    `hashes` are those of each case's channels, the first included. A first channel that is another case's
    first is not told here.
    """
    problems = []
    first_with: dict[str, tuple[str, int]] = {}
    for case, of_case in hashes.items():
        for number, digest in sorted(of_case.items()):
            twin, its_number = first_with.setdefault(digest, (case, number))
            if (twin, its_number) == (case, number) or number == its_number == 0:
                continue
            problems.append(
                Problem(
                    case_id=case,
                    kind=f"channel {number} there twice",
                    message=f"channel {number} has the same voxels as channel {its_number} of {twin}. "
                    f"{FETCH_AGAIN}",
                )
            )
    return problems

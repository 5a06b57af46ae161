"""The channels of a case: files beside the first, or several in one file."""

from collections.abc import Mapping
from pathlib import Path

from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.nifti_scan import VoxelScan
from nnunet_pancext.raw_cases.case_checks import FETCH_AGAIN, compare_geometry, inspect
from nnunet_pancext.raw_cases.geometry import Geometry
from nnunet_pancext.raw_cases.readers import Reader
from nnunet_pancext.raw_cases.source import Problem, SourceCase, name_of

FIRST = "_0000"
ON_ONE_GRID = "Resample all channels of a case onto one grid, or remove the case."


def inspect_channels(
    case: SourceCase,
    *,
    first: VoxelScan | None,
    geometry: Geometry | None,
    images: Mapping[int, Path],
    count: int,
    is_listed: bool,
    root: Path,
    reader: Reader,
) -> tuple[dict[int, VoxelScan], dict[str, str]]:
    """Return the scan of each channel, and a message for each kind of problem of those after the first file.

    `first` and `geometry` are those of the first file, None if unreadable; `images` are the files on disk,
    which may hold several channels each, `count` the declared channels, 0 if unknown; `is_listed` if
    dataset.json lists the files. Messages name files relative to `root`.
    """
    problems: dict[str, str] = {}
    scans = dict(enumerate((first, *first.further))) if first else {}
    holds_several = bool(first and first.further)
    holds_one = first is not None and not first.further  # an unreadable file may hold several
    numbers = {*images, *range(count)} if holds_one else set(images)
    for number in sorted(numbers - {0}):
        role, path = f"channel {number}", images.get(number)
        if path is None:
            problems[f"{role} missing"] = f"{_expected(case, number, root)} is not there. {FETCH_AGAIN}"
            if is_listed:
                problems[f"{role} missing"] = (
                    f"dataset.json lists {counted(len(images), 'image')} of the case and declares "
                    f"{counted(count, 'channel')}. List the image of each channel, in their order."
                )
            continue
        if count and number >= count and not holds_several:
            problems[f"{role} not declared"] = (
                f"{name_of(path, root)} exists, but dataset.json declares {counted(count, 'channel')}. "
                "Declare it in channel_names, or remove the file."
            )
            continue
        scan, channel_geometry = inspect(path, role, root=root, problems=problems, reader=reader)
        if scan:
            scans |= enumerate((scan, *scan.further), len(scans) if holds_several else number)
        if geometry and channel_geometry:
            differences = compare_geometry(
                geometry, channel_geometry, label_name=name_of(path, root), remedy=ON_ONE_GRID
            )
            problems.update({f"{role}: {kind}": message for kind, message in differences.items()})
    if count and len(scans) != count and any(scan.further for scan in scans.values()):
        problems["number of channels"] = (
            f"{name_of(case.image, root)} holds {len(scans)} channels (each colour counts as one), but "
            f"dataset.json declares {count}. Declare each in channel_names, or remove the others."
        )
    return scans, problems


def _expected(case: SourceCase, number: int, root: Path) -> str:
    name, _, ending = case.image.name.rpartition(FIRST)
    return name_of(case.image.with_name(f"{name}_{number:04d}{ending}"), root)


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

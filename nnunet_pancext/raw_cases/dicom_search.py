"""The CT series among the files of a folder."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from nnunet_pancext.io.console_text import counted
from nnunet_pancext.raw_cases.dicom_geometry import SEPARATE
from nnunet_pancext.raw_cases.dicom_slices import (
    BadSeries,
    decoded_text,
    is_ct_slice,
    is_exported_as_other,
    is_object,
    kind_of,
    num_frames,
    read_header,
    text_of,
)
from nnunet_pancext.raw_cases.source import name_of

PASSED_OVER = "files passed over"
# What the slices of one series share, if no SeriesInstanceUID says that they are one.
SHARED_TAGS = ("FrameOfReferenceUID", "SeriesNumber", "SeriesTime")
MOST_NAMES = 3


@dataclass(frozen=True, kw_only=True)
class CtSeries:
    """The files of one CT series with their headers, in no order and not yet checked.

    `uid` is empty where none of the files has one. `description` is the scanner's name for the series.
    """

    uid: str
    description: str
    headers: Mapping[Path, Dataset]

    @property
    def num_slices(self) -> int:
        """How many slices the files hold, by their headers."""
        return sum(map(num_frames, self.headers.values()))


@dataclass(frozen=True, kw_only=True)
class FoundSeries:
    """The CT series among some files, the largest first.

    `passed_over` holds the other files by their kind, as 'Segmentation (SEG)', 'localizer' or 'not DICOM';
    `warnings` are messages by kind.
    """

    series: tuple[CtSeries, ...]
    passed_over: Mapping[str, Sequence[Path]]
    warnings: Mapping[str, str]

    def only_series(self, *, root: Path) -> CtSeries:
        """Return the series; BadSeries unless it is the only one."""
        if not self.series:
            message = f"{self.warnings.get(PASSED_OVER, 'no files')}. Give the folder of the CT series."
            raise BadSeries("no CT series", message)
        if len(self.series) == 1:
            return self.series[0]
        listed = ", ".join(
            f"{series.uid} {series.description}".strip()
            + f" ({counted(len(series.headers), 'file')}, such as {name_of(min(series.headers), root)})"
            for series in self.series[:MOST_NAMES]
        )
        more = ", …" if len(self.series) > MOST_NAMES else ""
        folders = {path.parent for series in self.series for path in series.headers}
        raise BadSeries(
            "several series" if len(folders) > 1 else "mixed series",
            f"{len(self.series)} CT series: {listed}{more}. "
            "Keep the one that belongs to the case, and move the others elsewhere.",
        )


def find_ct_series(files: Iterable[Path], *, root: Path) -> FoundSeries:
    """Return the CT series among `files`, which may have any names and be of any kind.

    The content decides. A secondary capture counts as a slice only where there is no CT image and it has a
    position. Messages name files relative to `root`.

    Raises:
        BadSeries: a file cannot be read; one that is named like the slices is no DICOM object; or only some
            slices lack the SeriesInstanceUID, or all do and other fields tell them apart.
    """
    headers = {path: read_header(path, root=root) for path in sorted(files)}
    dicom = {path: header for path, header in headers.items() if header is not None}
    slices = {path: header for path, header in dicom.items() if is_ct_slice(header)}
    slices = slices or {path: header for path, header in dicom.items() if is_exported_as_other(header)}
    _require_whole_slices(slices, headers, root=root)
    passed_over: dict[str, list[Path]] = defaultdict(list)
    for path, header in headers.items():
        if path not in slices:
            passed_over[kind_of(header)].append(path)
    warnings = {}
    if passed_over:
        listed = (
            f"{len(paths)} {kind}: {name_of(paths[0], root)}{', …' if len(paths) > 1 else ''}"
            for kind, paths in sorted(passed_over.items())
        )
        count = sum(map(len, passed_over.values()))
        warnings[PASSED_OVER] = f"no CT slice in {count} of {len(headers)} files ({'; '.join(listed)})"
    by_uid: dict[str, dict[Path, Dataset]] = defaultdict(dict)
    for path, slice_header in slices.items():
        by_uid[text_of(slice_header, "SeriesInstanceUID")][path] = slice_header
    if "" in by_uid:
        warnings["no SeriesInstanceUID"] = _one_without_uid(by_uid, root=root)
    series = [
        CtSeries(
            uid=uid,
            description=decoded_text(next(iter(of_series.values())), "SeriesDescription"),
            headers=of_series,
        )
        for uid, of_series in sorted(by_uid.items(), key=lambda item: (-len(item[1]), min(item[1])))
    ]
    return FoundSeries(series=tuple(series), passed_over=passed_over, warnings=warnings)


def _require_whole_slices(
    slices: Mapping[Path, Dataset], headers: Mapping[Path, Dataset | None], *, root: Path
) -> None:
    """Raise BadSeries for a file that is no DICOM object, but by its name may be a damaged slice."""
    patterns = {_pattern(path) for path in slices}
    for path, header in headers.items():
        if path not in slices and _pattern(path) in patterns and (header is None or not is_object(header)):
            raise BadSeries(
                "not DICOM",
                f"{name_of(path, root)} is not a complete DICOM file, though it is named like the slices. "
                "Download or extract it again if it is a slice; remove it if it is not.",
            )


def _pattern(path: Path) -> str:
    """Return the file's name without its numbers."""
    return re.sub(r"\d+", "#", path.name)


def _one_without_uid(by_uid: Mapping[str, Mapping[Path, Dataset]], *, root: Path) -> str:
    """Return the warning that slices without SeriesInstanceUID are one series; BadSeries if they differ."""
    without = by_uid[""]
    first = name_of(min(without), root)
    if len(by_uid) > 1:
        total = sum(map(len, by_uid.values()))
        raise BadSeries(
            "incomplete header",
            f"{first} lacks SeriesInstanceUID ({len(without)} of {total} slices do): its series is unknown. "
            "Remove what does not belong to the case; export the rest again.",
        )
    for tag in SHARED_TAGS:
        values = Counter(text_of(header, tag) for header in without.values())
        if len(values) > 1:
            listed = ", ".join(
                f"{value or 'empty'} ({counted(count, 'file')})" for value, count in values.most_common(3)
            )
            message = (
                f"the {len(without)} slices, such as {first}, lack SeriesInstanceUID and differ in {tag}"
            )
            raise BadSeries("mixed series", f"{message}: {listed}. {SEPARATE}")
    return (
        f"none of the {len(without)} slices has one; they count as one series, since their size, spacing, "
        f"orientation, {', '.join(SHARED_TAGS[:-1])} and {SHARED_TAGS[-1]} agree"
    )

"""One call of `pancext convert`: its sources, its target and its options."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.build_folder import read_record
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import walk_visible_files
from nnunet_pancext.io.parallel import for_each
from nnunet_pancext.raw_cases.source import SourceDataset
from nnunet_pancext.version import __version__

CONVERTED_BY = f"nnunet-pancext {__version__}"
REPORT_NAME = "conversion_report.json"


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """A conversion of `sources`, folders or archives, to `DatasetXXX_Name` under `raw_root`.

    Args:
        read: is called with the folders.
        layout: the source's name in `pancext convert`.
        labels: the chosen labels, for the report.
        split: 'nnunet' (all labelled cases train), 'A/B' (A patients for training, B for testing), or the
            name of a published one.
        jobs: cases processed at once; None for the default.
        check_orientation: reorient all labels by the image's intensities, not only those of DICOM series.
        strict: stop on a bad case.
        copy: hard-link no file to the source.

    Raises:
        PancextError: nnU-Net would refuse the id or the name.
    """

    sources: Sequence[Path]
    read: Callable[..., SourceDataset]
    layout: str
    labels: str
    raw_root: Path
    dataset_id: int
    name: str
    split: str = "nnunet"
    jobs: int | None = None
    check_orientation: bool = False
    strict: bool = False
    overwrite: bool = False
    copy: bool = False
    show_progress: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.dataset_id <= 999:
            raise PancextError(f"--id must be from 1 to 999, got {self.dataset_id}.")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name):
            raise PancextError(f"--name may hold letters, digits, _ and - only, got {self.name!r}.")

    @property
    def folder(self) -> Path:
        """The target."""
        return self.raw_root / f"Dataset{self.dataset_id:03d}_{self.name}"

    @property
    def sources_text(self) -> str:
        """The sources in a message."""
        return " and ".join(map(str, self.sources))

    @property
    def source_entry(self) -> str:
        """The sources as the report names them."""
        return " and ".join(str(path.resolve()) for path in self.sources)

    @property
    def options(self) -> dict[str, Any]:
        """What the report lists, and what a continued conversion must share."""
        return {
            "id": self.dataset_id,
            "name": self.name,
            "labels": self.labels,
            "split": self.split,
            "check_orientation": self.check_orientation,
            "copy": self.copy,
        }

    @property
    def command(self) -> dict[str, Any]:
        """What must be the same for the work of a killed run to be used: program, options and sources."""
        archives = [path.stat() for path in self.sources if path.is_file()]
        return {
            "program": CONVERTED_BY,
            "layout": self.layout,
            "options": self.options,
            "source": self.source_entry,
            "archives": [[status.st_size, status.st_mtime_ns] for status in archives],
        }

    def has_made_target(self) -> bool:
        """Whether this version of the program made the dataset at the target by the same call.

        All its files must be there, and no file of the sources may be newer than its report.
        """
        file = self.folder / REPORT_NAME
        report = read_record(file)
        return (
            isinstance(report, dict)
            and report.get("converted_by") == CONVERTED_BY
            and report.get("options") == self.options
            and report.get("source", {}).get("path") == self.source_entry
            and all((self.folder / name).is_file() for name in report["written"]["files"])
            and all(path.stat().st_mtime <= file.stat().st_mtime for path in self._source_files())
        )

    def _source_files(self) -> Iterator[Path]:
        for source in self.sources:
            yield from walk_visible_files(source) if source.is_dir() else [source]

    def in_parallel(self, work: Callable[[Any], Any], items: Sequence[Any], *, title: str) -> list[Any]:
        """Return `work(item)` for every item."""
        return for_each(work, items, jobs=self.jobs, title=title, show_progress=self.show_progress)

    def require_free_target(self) -> None:
        """Raise PancextError when the name or the id is taken, or replacing it would remove the source."""
        same_id = self.raw_root.glob(f"Dataset{self.dataset_id:03d}_*")
        if others := [path.name for path in same_id if path.name != self.folder.name]:
            raise PancextError(
                f"id {self.dataset_id} is taken by {others[0]} in {self.raw_root}, "
                "and nnU-Net accepts an id once. Choose another --id, or remove that dataset."
            )
        if not self.folder.exists():
            return
        if not self.overwrite:
            raise PancextError(
                f"{self.folder} exists already. Replace it with --overwrite, or choose another --id or --out."
            )
        if not self.folder.is_dir():
            raise PancextError(f"{self.folder} is a file, not a dataset. Remove it, or choose another --id.")
        for source in self.sources:
            if source.resolve().is_relative_to(self.folder.resolve()):
                raise PancextError(
                    f"the source {source} lies inside {self.folder}, which --overwrite replaces. "
                    "Move the source elsewhere, or choose another --id."
                )

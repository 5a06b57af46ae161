"""Writing an nnU-Net raw dataset: its folder, its images and labels, its dataset.json."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.disk import free_bytes, megabytes, write_errors_as_pancext
from nnunet_pancext.io.files import atomic_path, link_or_copy
from nnunet_pancext.io.images import read_image, write_compressed
from nnunet_pancext.raw_cases.source import SourceCase, SourceDataset
from nnunet_pancext.version import __version__

CONVERTED_BY = f"nnunet-pancext {__version__}"


@dataclass(frozen=True, kw_only=True)
class RawTarget:
    """The folder `DatasetXXX_Name` under the raw root; PancextError for an id or name nnU-Net refuses."""

    raw_root: Path
    dataset_id: int
    name: str

    def __post_init__(self) -> None:
        if not 1 <= self.dataset_id <= 999:
            raise PancextError(f"--id must be from 1 to 999, got {self.dataset_id}.")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name):
            raise PancextError(f"--name may hold letters, digits, _ and - only, got {self.name!r}.")

    @property
    def folder(self) -> Path:
        """The dataset's folder."""
        return self.raw_root / f"Dataset{self.dataset_id:03d}_{self.name}"

    def require_usable_root(self) -> None:
        """Raise PancextError when the raw root is a file."""
        if self.raw_root.exists() and not self.raw_root.is_dir():
            raise PancextError(
                f"{self.raw_root} is a file, not the folder of raw datasets. Give another --out."
            )

    def require_free(self, *, source: Path, overwrite: bool) -> None:
        """Raise PancextError when the name or the id is taken, or replacing it would remove the source."""
        same_id = f"Dataset{self.dataset_id:03d}_"
        others = [p.name for p in self.raw_root.glob(f"{same_id}*") if p.name != self.folder.name]
        if others:
            raise PancextError(
                f"id {self.dataset_id} is taken by {others[0]} in {self.raw_root}, "
                "and nnU-Net accepts an id once. Choose another --id, or remove that dataset."
            )
        if not self.folder.exists():
            return
        if not overwrite:
            raise PancextError(
                f"{self.folder} exists already. Replace it with --overwrite, or choose another --id or --out."
            )
        if not self.folder.is_dir():
            raise PancextError(f"{self.folder} is a file, not a dataset. Remove it, or choose another --id.")
        if source.resolve().is_relative_to(self.folder.resolve()):
            raise PancextError(
                f"the source {source} lies inside {self.folder}, which --overwrite replaces. "
                "Move the source elsewhere, or choose another --id."
            )


def case_files(case_id: str, *, subset: str, ending: str) -> tuple[str, str]:
    """Return the relative paths of a case's image and label; `subset` is 'Tr' or 'Ts'."""
    return f"images{subset}/{case_id}_0000{ending}", f"labels{subset}/{case_id}{ending}"


def write_case(
    case: SourceCase,
    *,
    folder: Path,
    subset: str,
    mapping: Mapping[int, int] | None,
    ending: str,
    may_link: Callable[[Path], bool],
) -> dict[str, str]:
    """Put the case's image and label into `folder`; return each relative path, and how the file was made.

    'linked' and 'copied' files are the source's bytes; 're-encoded' labels had values to map. `may_link`
    decides whether to try a hard link of a file before a copy. Files that exist are whole and are kept.
    """
    image, label = case_files(case.case_id, subset=subset, ending=ending)
    made = {image: place(case.image, folder / image, may_link=may_link(case.image))}
    if case.label is not None:
        if mapping is None:
            made[label] = place(case.label, folder / label, may_link=may_link(case.label))
        else:
            if not (folder / label).exists():
                remap_label(case.label, folder / label, mapping=mapping)
            made[label] = "re-encoded"
    return made


def place(source: Path, target: Path, *, may_link: bool = True) -> str:
    """Hard-link or copy a file unless it is there, creating its folder; return 'linked' or 'copied'."""
    if target.exists():
        return "linked" if target.samefile(source) else "copied"
    with write_errors_as_pancext(target, needed_bytes=source.stat().st_size):
        target.parent.mkdir(parents=True, exist_ok=True)
        return link_or_copy(source, target, may_link=may_link)


def remap_label(source: Path, target: Path, *, mapping: Mapping[int, int]) -> None:
    """Write the label with mapped values as uint8, in the same geometry."""
    image = read_image(source)
    values = sitk.GetArrayFromImage(image)
    mapped = np.zeros(values.shape, np.uint8)
    for old, new in mapping.items():
        mapped[values == old] = new
    result = sitk.GetImageFromArray(mapped)
    result.CopyInformation(image)
    write_image(result, target)


def write_image(image: sitk.Image, target: Path, *, read_back: bool = True) -> None:
    """Write a compressed image, atomically, creating its folder.

    It is read back, since ITK may ignore a full disk and leave a truncated file; unnecessary for a file that
    is scanned afterwards.
    """
    size = image.GetNumberOfPixels() * image.GetSizeOfPixelComponent()
    with write_errors_as_pancext(target, needed_bytes=size):
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as partial:
            try:
                write_compressed(image, partial)
                written = read_image(partial) if read_back else image
            except RuntimeError as error:
                raise write_error(target) from error
            if not np.array_equal(sitk.GetArrayViewFromImage(written), sitk.GetArrayViewFromImage(image)):
                raise write_error(target)


def write_error(target: Path) -> PancextError:
    """Return the error for an image that was not written whole."""
    return PancextError(
        f"could not write {target} whole; {megabytes(free_bytes(target))} are free on its disk. "
        "Free some space and run the same command again (it continues where it stopped)."
    )


def dataset_json(source: SourceDataset, *, name: str, training_count: int) -> dict[str, Any]:
    """Return nnU-Net's dataset.json."""
    return {
        "channel_names": source.channel_names,
        "labels": source.target_labels,
        "numTraining": training_count,
        "file_ending": source.file_ending,
        "name": name,
        **source.provenance,
        "converted_by": CONVERTED_BY,
    }

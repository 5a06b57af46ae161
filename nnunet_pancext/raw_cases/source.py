"""A dataset as it was downloaded: its cases, its labels and the problems of its layout."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnunet_pancext.io.console_text import shown_name

PLAIN, COMPRESSED = ".nii", ".nii.gz"  # some browsers and unpackers decompress what they download


@dataclass(frozen=True, kw_only=True)
class SourceCase:
    """One image, and its label unless the case is unlabelled. Files may be missing on disk.

    `series` are the files among which the image's DICOM series is found, in any order; `image` is then their
    folder. `patient` is empty where each case is a patient; `held_out` marks a case of the source's own test
    set.
    """

    case_id: str
    image: Path
    label: Path | None
    series: tuple[Path, ...] = ()
    patient: str = ""
    held_out: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the case."""
        images = self.series or (self.image,)
        return (*images, self.label) if self.label is not None else images


@dataclass(frozen=True)
class Problem:
    """Something wrong with one case.

    `kind` is a short fixed name; `message` names the file, the values and what to do. With `leaves_out`
    false the case is converted nevertheless.
    """

    case_id: str
    kind: str
    message: str
    leaves_out: bool = True

    def __str__(self) -> str:
        return f"{self.case_id}: {self.kind}: {self.message}"


class BadCase(Exception):
    """The case cannot be used. `kind` is a short fixed name; the text says which file and why."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def name_of(path: Path, root: Path) -> str:
    """Return the file's path below `root` for a message, or folder and name if it is elsewhere."""
    if path.is_relative_to(root):
        return shown_name(path.relative_to(root).as_posix())
    return shown_name(f"{path.parent.name}/{path.name}")


def volume_path(folder: Path, name: str) -> Path:
    """Return the path of NAME.nii.gz, or of NAME.nii where only that exists."""
    plain = folder / f"{name}{PLAIN}"
    compressed = folder / f"{name}{COMPRESSED}"
    return plain if plain.exists() and not compressed.exists() else compressed


@dataclass(frozen=True, kw_only=True)
class SourceDataset:
    """A dataset in the folder `root`, with the labels it declares and those of the target.

    `label_mapping` maps each declared value to the target's, None where no value changes.
    `layout_problems` are those found without opening an image: files missing, unlisted, listed twice.
    """

    title: str
    root: Path
    cases: Sequence[SourceCase]
    unlabelled: Sequence[SourceCase] = ()
    declared_labels: dict[str, int]
    target_labels: dict[str, int]
    label_mapping: dict[int, int] | None = None
    layout_problems: Sequence[Problem] = ()
    channel_names: dict[str, str] = field(default_factory=lambda: {"0": "CT"})
    file_ending: str = ".nii.gz"
    provenance: dict[str, str] = field(default_factory=dict)
    hidden_files: int = 0
    ignored_files: Sequence[str] = ()

    @property
    def patients(self) -> dict[str, str]:
        """The patient of each labelled case: the case itself where the source has no other."""
        return {case.case_id: case.patient or case.case_id for case in self.cases}

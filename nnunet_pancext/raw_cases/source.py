"""What a source layout reader finds: cases, labels, and what is wrong with the layout itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class SourceCase:
    """One image, and its label unless the case is unlabelled. A file may be missing on disk.

    `series` are the DICOM files of the image, in any order; `image` is then the folder that they lie in.
    `patient` is who it shows, where that is not told by the id; `held_out` says that the source itself tests
    on the case.
    """

    case_id: str
    image: Path
    label: Path | None
    series: tuple[Path, ...] = ()
    patient: str = ""
    held_out: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the case is made of."""
        images = self.series or (self.image,)
        return (*images, self.label) if self.label is not None else images


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something wrong with one case.

    `kind` is a short fixed name; `message` says which file, the values met, and what to do. A case whose
    problem has `leaves_out` false is converted all the same.
    """

    case_id: str
    kind: str
    message: str
    leaves_out: bool = True

    def __str__(self) -> str:
        return f"{self.case_id}: {self.kind}: {self.message}"


def name_of(path: Path, root: Path) -> str:
    """Return the file's path below `root` for a message; with its folder's name if it lies elsewhere."""
    if path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return f"{path.parent.name}/{path.name}"


@dataclass(frozen=True, kw_only=True)
class SourceDataset:
    """A dataset as it lies in `root`, with the labels it declares and those the target shall have.

    `label_mapping` gives the target value of each declared value, None where labels stay as they are.
    `layout_problems` are those found without opening an image: files missing, unlisted, listed twice.
    """

    title: str
    root: Path
    cases: tuple[SourceCase, ...]
    unlabelled: tuple[SourceCase, ...]
    declared_labels: dict[str, int]
    target_labels: dict[str, int]
    label_mapping: dict[int, int] | None
    layout_problems: tuple[Problem, ...]
    channel_names: dict[str, str] = field(default_factory=lambda: {"0": "CT"})
    file_ending: str = ".nii.gz"
    provenance: dict[str, str] = field(default_factory=dict)
    hidden_files: int = 0
    ignored_files: tuple[str, ...] = ()

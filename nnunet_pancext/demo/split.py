"""Which cases the demo trains on, validates on and predicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.io.files import link_or_copy
from nnunet_pancext.nnunet_files.splits_final import Folds
from nnunet_pancext.splits.folds import nnunet_folds

# Enough for a demo; a large dataset's whole fold would take hours on a CPU.
MAX_TEST = MAX_VALIDATION = 4


@dataclass(frozen=True)
class Split:
    """The training, validation and test cases; `test_was_trained_on` says whether they overlap.

    nnU-Net chooses its postprocessing on the validation cases, so they are no longer a fair test.
    """

    training: list[str]
    validation: list[str]
    test: list[str]
    test_was_trained_on: bool

    @property
    def folds(self) -> Folds:
        """The one fold, as in nnU-Net's splits_final.json."""
        return [{"train": self.training, "val": self.validation}]


@dataclass(frozen=True)
class CaseFolders:
    """Some cases as folders that nnU-Net's commands take."""

    images: Path
    labels: Path


def split_cases(cases: Sequence[str]) -> Split:
    """Split the cases.

    The test cases are the first four, at most, of nnU-Net's own fold 0. A third of the others, between two
    and four, are for validation, because a choice made on a single case is chance. With fewer cases than
    folds all are trained and validated on, and the first is predicted.
    """
    ordered = sorted(cases)
    folds = nnunet_folds(ordered)
    if folds is None:
        return Split(training=ordered, validation=ordered, test=ordered[:1], test_was_trained_on=True)
    fold, others = folds[0], folds[0]["train"]
    num_validation = min(max(2, len(others) // 3), MAX_VALIDATION)
    return Split(
        training=others[:-num_validation],
        validation=others[-num_validation:],
        test=sorted(fold["val"])[:MAX_TEST],
        test_was_trained_on=False,
    )


def link_cases(cases: Sequence[str], *, dataset: Path, target: Path) -> CaseFolders:
    """Link images and labels of `cases` from the raw `dataset` into folders under `target`."""
    folders = CaseFolders(images=target / "images", labels=target / "labels")
    folders.images.mkdir(parents=True)
    folders.labels.mkdir()
    for case in cases:
        image, label = f"{case}_0000.nii.gz", f"{case}.nii.gz"
        link_or_copy(dataset / "imagesTr" / image, folders.images / image)
        link_or_copy(dataset / "labelsTr" / label, folders.labels / label)
    return folders

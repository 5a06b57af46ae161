"""Which cases the demo's training does not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.io.files import link_or_copy, write_json

FOLDS = 5
FOLD_SEED = 12345  # nnU-Net's own
# Enough for a demo; a large dataset's whole fold would take hours on a CPU.
MOST_PREDICTED = MOST_VALIDATED = 4
VALIDATED_OF_REST = 3  # one in three of the cases that are not predicted, where there are few


@dataclass(frozen=True)
class HeldOut:
    """The cases to train on, to validate on and to predict, and whether the last were trained on too.

    nnU-Net chooses its postprocessing on the validation cases, so they are not a fair test any more.
    """

    training: list[str]
    validation: list[str]
    cases: list[str]
    trained_on: bool


@dataclass(frozen=True)
class CaseFolders:
    """Some cases as folders that nnU-Net's commands take."""

    images: Path
    labels: Path


def hold_out(cases: Sequence[str]) -> HeldOut:
    """Split the cases: to predict, to validate on, and to train on.

    Predicted are the first four, at most, of nnU-Net's own fold 0. Of the rest a third is validated on, two
    at least and four at most: what is chosen on one case is chosen by chance. With fewer cases than folds
    all are trained and validated on, and the first is predicted.
    """
    if len(cases) < FOLDS:
        ordered = sorted(cases)
        return HeldOut(training=ordered, validation=ordered, cases=ordered[:1], trained_on=True)
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    fold = generate_crossval_split(sorted(cases), seed=FOLD_SEED, n_splits=FOLDS)[0]
    rest = list(map(str, fold["train"]))
    validated = min(max(2, len(rest) // VALIDATED_OF_REST), MOST_VALIDATED)
    return HeldOut(
        training=rest[:-validated],
        validation=rest[-validated:],
        cases=sorted(map(str, fold["val"]))[:MOST_PREDICTED],
        trained_on=False,
    )


def write_split(splits_file: Path, held_out: HeldOut) -> None:
    """Write the one fold."""
    write_json(splits_file, [{"train": held_out.training, "val": held_out.validation}])


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

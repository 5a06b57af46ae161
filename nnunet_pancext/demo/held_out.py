"""Which cases the demo's training does not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.files import link_or_copy, write_json

FOLDS = 5
FOLD_SEED = 12345  # nnU-Net's own
MOST_PREDICTED = 4  # enough for a demo; a large dataset's whole fold would take hours on a CPU


@dataclass(frozen=True)
class HeldOut:
    """The cases to train on, to validate on and to predict, and whether the last were trained on too.

    From the validation case nnU-Net decides on its postprocessing, so it is no fair test any more.
    """

    training: list[str]
    validation: str
    cases: list[str]
    trained_on: bool


@dataclass(frozen=True)
class CaseFolders:
    """Some cases as folders that nnU-Net's commands take."""

    images: Path
    labels: Path


def hold_out(cases: Sequence[str]) -> HeldOut:
    """Hold out the validation cases of nnU-Net's own fold 0, the first four at most, and one to validate on.

    With fewer cases than folds there is nothing to hold out: all are trained on, and the first is validated
    on and predicted.
    """
    if len(cases) < FOLDS:
        first, *_ = ordered = sorted(cases)
        return HeldOut(training=ordered, validation=first, cases=[first], trained_on=True)
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    fold = generate_crossval_split(sorted(cases), seed=FOLD_SEED, n_splits=FOLDS)[0]
    *training, validation = map(str, fold["train"])
    return HeldOut(
        training=training,
        validation=validation,
        cases=sorted(map(str, fold["val"]))[:MOST_PREDICTED],
        trained_on=False,
    )


def write_split(splits_file: Path, held_out: HeldOut) -> None:
    """Write the one fold."""
    write_json(splits_file, [{"train": held_out.training, "val": [held_out.validation]}])


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

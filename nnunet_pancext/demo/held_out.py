"""Which cases the demo's training does not see."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.files import link_or_copy, write_json

SMALLEST_FOR_FOLDS = 5  # nnU-Net cross-validates over five folds


@dataclass(frozen=True)
class HeldOut:
    """The cases to predict, as folders that nnU-Net's commands take, and whether they were trained on too."""

    cases: list[str]
    images: Path
    labels: Path
    trained_on: bool


def fix_split(splits_file: Path, cases: list[str]) -> None:
    """Leave the split to nnU-Net; with fewer than five cases train and validate on all of them."""
    if len(cases) < SMALLEST_FOR_FOLDS:
        write_json(splits_file, [{"train": cases, "val": cases}])


def link_held_out(splits_file: Path, *, dataset: Path, target: Path) -> HeldOut:
    """Return the validation cases of fold 0, linked from the raw `dataset` into folders under `target`."""
    fold = json.loads(splits_file.read_text(encoding="utf-8"))[0]
    held_out = HeldOut(
        cases=sorted(fold["val"]),
        images=target / "images",
        labels=target / "labels",
        trained_on=bool(set(fold["val"]) & set(fold["train"])),
    )
    for folder in (held_out.images, held_out.labels):
        folder.mkdir(parents=True)
    for case in held_out.cases:
        for image in (dataset / "imagesTr").glob(f"{case}_[0-9][0-9][0-9][0-9].nii.gz"):
            link_or_copy(image, held_out.images / image.name)
        label = f"{case}.nii.gz"
        link_or_copy(dataset / "labelsTr" / label, held_out.labels / label)
    return held_out

"""Folds of a finished raw dataset: putting them where nnU-Net reads them, and looking for leaks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.folds_in_place import backup_of, folds_file, place_folds
from nnunet_pancext.dataset_conversion.image_scan import scan_image
from nnunet_pancext.dataset_conversion.nifti_scan import UnreadableImage
from nnunet_pancext.dataset_conversion.patient_names import patient_by_name, patient_by_regex
from nnunet_pancext.dataset_conversion.published_splits import PUBLISHED
from nnunet_pancext.dataset_conversion.raw_dataset import raw_root_from_environment
from nnunet_pancext.dataset_conversion.splits import (
    Folds,
    five_folds,
    published_folds,
    require_whole_folds,
)
from nnunet_pancext.errors import PancextError
from nnunet_pancext.parallel import default_jobs, for_each


@dataclass(frozen=True)
class Leak:
    """Something that is on both sides of a fold, or in training and test."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class RawDataset:
    """A raw dataset as it lies on disk: its cases, who they show, and the folds that its split.json tells."""

    folder: Path
    training: dict[str, Path]  # image of the first channel, by case
    test: dict[str, Path]
    patients: dict[str, str]
    split: dict[str, Any]


def find_dataset(name: str) -> Path:
    """Return the folder of a raw dataset given as a path, its name or its number.

    Raises:
        PancextError: there is none.
    """
    if (Path(name) / "dataset.json").is_file():
        return Path(name)
    root = raw_root_from_environment()
    pattern = f"Dataset{int(name):03d}_*" if name.isdigit() else name
    found = sorted(path for path in root.glob(pattern) if (path / "dataset.json").is_file())
    if len(found) != 1:
        known = ", ".join(sorted(path.name for path in root.glob("Dataset*"))) or "none"
        raise PancextError(
            f"no dataset {name!r} in {root}; there are: {known}. Give its number, its name or its folder."
        )
    return found[0]


def read_dataset(folder: Path, *, patient_regex: str | None = None) -> RawDataset:
    """Return the cases of a raw dataset.

    Who a case shows is told by `patient_regex`, whose first group is the patient; else by split.json; else
    frames of one name are of one patient.

    Raises:
        PancextError: the folder holds no images, or the expression does not compile or has no group.
    """
    ending = read_json(folder / "dataset.json").get("file_ending", ".nii.gz")
    training, test = (
        {
            path.name.removesuffix(f"_0000{ending}"): path
            for path in sorted((folder / part).glob(f"*_0000{ending}"))
            if not path.name.startswith(".")
        }
        for part in ("imagesTr", "imagesTs")
    )
    if not training:
        raise PancextError(
            f"no images *_0000{ending} in {folder / 'imagesTr'}. Is this an nnU-Net raw dataset?"
        )
    split = read_json(folder / "split.json") if (folder / "split.json").is_file() else {}
    told = split.get("patients", {})
    patients = {}
    for case in (*training, *test):
        if patient_regex is not None:
            patients[case] = patient_by_regex(case, patient_regex)
        else:
            patients[case] = told.get(case) or patient_by_name(case)
    return RawDataset(folder, training, test, patients, split)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file; PancextError where that cannot be."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PancextError(f"cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise PancextError(f"{path} is not readable JSON: {error}.") from error


def splits_file(dataset: Path) -> Path:
    """Return where nnU-Net reads the folds of the raw dataset; PancextError where that is not set."""
    file = folds_file(dataset.name)
    if file is None:
        raise PancextError(
            "nnUNet_preprocessed is not set, so there is no place for the folds. Set it, for example "
            "export nnUNet_preprocessed=$HOME/nnunet/preprocessed"
        )
    return file


def apply_split(dataset: RawDataset, *, name: str | None, overwrite: bool) -> tuple[Path, list[str]]:
    """Write folds where nnU-Net reads them; return that file, and what the user should know.

    They are those of the dataset's split.json, or of the published split called `name`: its training
    patients train, those for validation, or where there are none those for testing, are validated on.

    Raises:
        PancextError: other folds are there already, unless `overwrite`; no such split, or not of these cases.
    """
    target = splits_file(dataset.folder)
    folds = folds_by_name(dataset, name) if name else dataset.split.get("folds")
    if not folds:
        raise PancextError(
            f"{dataset.folder / 'split.json'} tells of no folds. Name a split with --split; "
            "`pancext splits list` shows them."
        )
    backup = backup_of(target, folds=folds)
    if backup and not overwrite:
        raise PancextError(f"{target} holds other folds. Replace them with --overwrite.")
    remarks = [f"other folds were there; they are kept as {backup.name}"] if backup else []
    cases = {*dataset.training, *dataset.test}
    if gaps := PUBLISHED[name].gaps({dataset.patients[case] for case in cases}) if name else "":
        remarks.append(gaps)
    place_folds(folds, dataset=dataset.folder.name)
    return target, remarks


def folds_by_name(dataset: RawDataset, name: str) -> Folds:
    """Return the published split's folds of the dataset's training cases.

    Where it holds patients out and validates on none, those held out are validated on.
    """
    if name not in PUBLISHED:
        raise PancextError(f"no split {name!r}. There are: {', '.join(PUBLISHED)}.")
    split = PUBLISHED[name]
    of = {case: dataset.patients[case] for case in dataset.training}
    if folds := published_folds(split, of):
        return folds
    train, val = ([case for case, who in of.items() if who in part] for part in (split.train, split.test))
    folds = [{"train": train, "val": val}]
    require_whole_folds(folds, split=split, patients=of.values())
    return folds


def find_leaks(dataset: RawDataset, *, jobs: int | None = None, show_progress: bool = True) -> list[Leak]:
    """Return every patient, and every image's content, that is on both sides of a fold or of the test set.

    The folds are those that nnU-Net reads, or would make by itself.
    """
    folds = current_folds(dataset)
    contents = hash_images({**dataset.training, **dataset.test}, jobs=jobs, show_progress=show_progress)
    leaks = []
    for number, fold in enumerate(folds):
        unknown = sorted({*fold["train"], *fold["val"]} - set(dataset.training))
        leaks += [Leak(f"fold {number}", f"{case} is not among the training cases") for case in unknown]
        leaks += _shared(f"fold {number}, train and val", fold["train"], fold["val"], dataset, contents)
    leaks += _shared("training and test", dataset.training, dataset.test, dataset, contents)
    return leaks


def current_folds(dataset: RawDataset) -> Folds:
    """Return the folds that nnU-Net uses for the dataset."""
    file = folds_file(dataset.folder.name)
    if file and file.is_file():
        return read_json(file)
    return five_folds(list(dataset.training)) or []


def hash_images(
    images: Mapping[str, Path], *, jobs: int | None = None, show_progress: bool = True
) -> dict[str, str]:
    """Return a hash of each image's voxels; an unreadable one has none."""

    def read(item: tuple[str, Path]) -> tuple[str, str] | None:
        case, path = item
        try:
            return case, scan_image(path, collect_values=False).voxel_hash
        except UnreadableImage:
            return None

    found = for_each(
        read, list(images.items()), jobs=jobs or default_jobs(), title="reading", show_progress=show_progress
    )
    return dict(pair for pair in found if pair)


def _shared(
    where: str,
    ones: Iterable[str],
    others: Iterable[str],
    dataset: RawDataset,
    contents: Mapping[str, str],
) -> list[Leak]:
    ones, others = list(ones), list(others)
    leaks = []
    patients = {dataset.patients.get(case, case) for case in ones}
    for case in others:
        patient = dataset.patients.get(case, case)
        if patient in patients:
            leaks.append(Leak(where, f"patient {patient} is in both, with {case} in the second"))
    by_content: dict[str, list[str]] = {}
    for case in ones:
        if case in contents:
            by_content.setdefault(contents[case], []).append(case)
    for case in others:
        for twin in by_content.get(contents.get(case, ""), []):
            if twin != case:
                leaks.append(Leak(where, f"{twin} and {case} have the same voxels"))
    return leaks

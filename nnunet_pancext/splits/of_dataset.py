"""Folds of a finished raw dataset: putting them where nnU-Net reads them, and looking for leaks."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.io.nifti_scan import UnreadableImage
from nnunet_pancext.io.parallel import default_jobs, for_each
from nnunet_pancext.nnunet_files.dataset_json import read_dataset_json
from nnunet_pancext.nnunet_files.folders import raw_root
from nnunet_pancext.nnunet_files.patients import patient_of
from nnunet_pancext.raw_cases.image_scan import scan_image
from nnunet_pancext.raw_cases.source import name_of
from nnunet_pancext.splits.in_place import backup_of, folds_file, place_folds
from nnunet_pancext.splits.make import (
    Folds,
    five_folds,
    published_folds,
    require_whole_folds,
)
from nnunet_pancext.splits.published import PUBLISHED


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
    given = Path(os.path.abspath(name))  # whose name is the dataset's, also for '.'
    if name and (given / "dataset.json").is_file():
        return given
    if name and (len(Path(name).parts) != 1 or name == ".."):
        lack = "holds no dataset.json" if given.exists() else "does not exist"
        raise PancextError(f"{given} {lack}. Give the number, the name or the folder of a raw dataset.")
    root = raw_root()
    known = sorted(path for path in root.glob("Dataset*") if (path / "dataset.json").is_file())
    wanted = rf"Dataset0*{name.lstrip('0')}_.*" if _numbers(name) else re.escape(name)
    found = [path for path in known if re.fullmatch(wanted, path.name)]
    if len(found) != 1:
        listed = ", ".join(path.name for path in known) or "none"
        raise PancextError(
            f"no dataset {name!r} in {root}; there are: {listed}. Give its number, its name or its folder."
        )
    return found[0]


def _numbers(name: str) -> bool:
    return re.fullmatch("[0-9]+", name) is not None


def read_dataset(folder: Path, *, patient_regex: str | None = None) -> RawDataset:
    """Return the cases of a raw dataset.

    Who a case shows is told by `patient_regex`, whose first group is the patient; else by split.json; else
    frames of one name are of one patient.

    Raises:
        PancextError: the folder holds no images, or the expression does not compile or has no group.
    """
    ending = read_dataset_json(folder / "dataset.json").file_ending
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
    split_file = folder / "split.json"
    split = read_json(split_file, expect=dict) if split_file.is_file() else {}
    told = split.get("patients", {})
    if not isinstance(told, dict) or not all(isinstance(patient, str) for patient in told.values()):
        raise PancextError(
            f'{split_file} has no names by case as patients, like {{"case_1": "patient_1"}}. Correct it.'
        )
    patients = {case: patient_of(case, told=told, expression=patient_regex) for case in (*training, *test)}
    return RawDataset(folder, training, test, patients, split)


def parse_folds(content: Any, *, source: Path) -> Folds:
    """Return the folds that JSON holds; PancextError where they are none that nnU-Net could use."""
    for number, fold in enumerate(content if isinstance(content, list) else ()):
        for part in ("train", "val"):
            cases = fold.get(part) if isinstance(fold, dict) else None
            if not isinstance(cases, list) or not all(isinstance(case, str) for case in cases):
                raise PancextError(
                    f'fold {number} in {source} has no list of cases "{part}". Correct it, or replace the '
                    "folds by `pancext splits apply --overwrite`."
                )
    if not isinstance(content, list) or not content:
        raise PancextError(
            f'{source} holds no folds; expected is a list like [{{"train": ["a"], "val": ["b"]}}]. '
            "Correct it, or replace the folds by `pancext splits apply --overwrite`."
        )
    return content


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
    told = dataset.folder / "split.json"
    if not name and "folds" not in dataset.split:
        raise PancextError(
            f"{told} tells of no folds. Name a split with --split; `pancext splits list` shows them."
        )
    folds = folds_by_name(dataset, name) if name else parse_folds(dataset.split["folds"], source=told)
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


def find_leaks(
    dataset: RawDataset, *, jobs: int | None = None, show_progress: bool = True
) -> tuple[list[Leak], list[str]]:
    """Return every patient, and every image's content, that is on both sides of a fold or of the test set.

    The folds are those that nnU-Net reads, or would make by itself. Also returned are the images that cannot
    be read, and why: of these nothing is known.
    """
    folds = current_folds(dataset)
    images = [*dataset.training.values(), *dataset.test.values()]
    contents, unreadable = hash_images(images, root=dataset.folder, jobs=jobs, show_progress=show_progress)
    leaks = []
    for number, fold in enumerate(folds):
        unknown = sorted({*fold["train"], *fold["val"]} - set(dataset.training))
        leaks += [Leak(f"fold {number}", f"{case} is not among the training cases") for case in unknown]
        train, val = (
            {case: dataset.training[case] for case in fold[part] if case in dataset.training}
            for part in ("train", "val")
        )
        leaks += _shared(f"fold {number}, train and val", train, val, dataset, contents)
    leaks += _shared("training and test", dataset.training, dataset.test, dataset, contents)
    return leaks, unreadable


def current_folds(dataset: RawDataset) -> Folds:
    """Return the folds that nnU-Net uses for the dataset."""
    file = folds_file(dataset.folder.name)
    if file and file.is_file():
        return parse_folds(read_json(file, expect=list), source=file)
    return five_folds(list(dataset.training)) or []


def hash_images(
    images: Sequence[Path], *, root: Path, jobs: int | None = None, show_progress: bool = True
) -> tuple[dict[Path, str], list[str]]:
    """Return a hash of each image's voxels, where these tell one from another, and what cannot be read."""

    def read(path: Path) -> tuple[str | None, str | None]:
        try:
            return scan_image(path, collect_values=False).voxel_hash, None
        except UnreadableImage as error:
            return None, f"{name_of(path, root)} {error}"

    found = for_each(
        read,
        images,
        jobs=default_jobs() if jobs is None else jobs,
        title="reading",
        show_progress=show_progress,
    )
    hashes = {path: digest for path, (digest, _) in zip(images, found, strict=True) if digest}
    return hashes, [reason for _, reason in found if reason]


def _shared(
    where: str,
    ones: Mapping[str, Path],
    others: Mapping[str, Path],
    dataset: RawDataset,
    contents: Mapping[Path, str],
) -> list[Leak]:
    leaks = []
    patients = {dataset.patients[case] for case in ones}
    for case in others:
        patient = dataset.patients[case]
        if patient in patients:
            leaks.append(Leak(where, f"patient {patient} is in both, with {case} in the second"))
    by_content: dict[str, list[str]] = {}
    for case, path in ones.items():
        if path in contents:
            by_content.setdefault(contents[path], []).append(case)
    for case, path in others.items():
        for twin in by_content.get(contents.get(path, ""), []):
            if twin != case:
                leaks.append(Leak(where, f"{twin} and {case} have the same voxels"))
    return leaks

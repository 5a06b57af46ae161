"""Folds of a finished raw dataset: writing them where nnU-Net reads them, and detecting leakage."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.parallel import for_each
from nnunet_pancext.io.unreadable import UnreadableImage
from nnunet_pancext.nnunet_files.raw_dataset import RawDataset
from nnunet_pancext.nnunet_files.splits_final import (
    Folds,
    backup_of,
    folds_file,
    parse_folds,
    place_folds,
    read_folds,
)
from nnunet_pancext.raw_cases.reader_choice import find_reader
from nnunet_pancext.raw_cases.source import name_of
from nnunet_pancext.splits.folds import nnunet_folds, published_folds
from nnunet_pancext.splits.published import PUBLISHED


@dataclass(frozen=True)
class Leakage:
    """A patient or an image on both sides of a fold, or in training and test."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def apply_split(dataset: RawDataset, *, name: str | None, overwrite: bool) -> tuple[Path, list[str]]:
    """Write folds where nnU-Net reads them; return that file, and remarks.

    The folds are those of the dataset's split.json, or of the published split called `name`: if it has no
    validation patients, its test patients are validated on.

    Raises:
        PancextError: different folds exist and not `overwrite`; the split does not exist or does not fit.
    """
    target = folds_file(dataset.folder.name)
    if target is None:
        raise PancextError(
            "nnUNet_preprocessed is not set, so there is no place for the folds. Set it, for example "
            "export nnUNet_preprocessed=$HOME/nnunet/preprocessed"
        )
    gaps = ""
    if name:
        if name not in PUBLISHED:
            raise PancextError(f"no split {name!r}. There are: {', '.join(PUBLISHED)}.")
        of_training = {case: dataset.patients[case] for case in dataset.training}
        folds = published_folds(PUBLISHED[name], of_training, may_validate_on_test=True)
        gaps = PUBLISHED[name].gaps(set(dataset.patients.values()))
    else:
        split_file = dataset.folder / "split.json"
        if "folds" not in dataset.split:
            raise PancextError(
                f"{split_file} has no folds. Name a split with --split; `pancext splits list` shows them."
            )
        folds = parse_folds(dataset.split["folds"], source=split_file)
    backup = backup_of(target, folds=folds)
    if backup and not overwrite:
        raise PancextError(f"{target} holds other folds. Replace them with --overwrite.")
    place_folds(folds, dataset=dataset.folder.name)
    remarks = [f"previous folds were kept as {backup.name}"] if backup else []
    return target, [*remarks, gaps] if gaps else remarks


def current_folds(dataset: RawDataset) -> Folds:
    """Return the folds that nnU-Net uses for the dataset: those of its file, or its default ones."""
    file = folds_file(dataset.folder.name)
    if file and file.is_file():
        return read_folds(file)
    return nnunet_folds(dataset.training) or []


def find_leakage(
    dataset: RawDataset, *, jobs: int | None = None, show_progress: bool = True
) -> tuple[list[Leakage], list[str]]:
    """Return every patient and image shared by the two sides of a fold, or by training and test set.

    Also returned are the images that cannot be read and the reasons; leakage of these is unknown.
    """
    folds = current_folds(dataset)
    reader = find_reader(dataset.declared, example=next(iter(dataset.training.values())))

    def read(path: Path) -> tuple[str | None, str | None]:
        if not path.is_file():
            return None, f"{name_of(path, dataset.folder)} is not there"
        try:
            return reader.scan(path, is_label=False).voxel_hash, None
        except UnreadableImage as error:
            remedy = f". {error.remedy}" if error.remedy else ""
            return None, f"{name_of(path, dataset.folder)} {error}{remedy}"

    images = [*dataset.training.values(), *dataset.test.values()]
    results = for_each(read, images, jobs=jobs, title="reading", show_progress=show_progress)
    # Constant images have no hash.
    hashes = {path: digest for path, (digest, _) in zip(images, results, strict=True) if digest}
    leakage = []
    for number, fold in enumerate(folds):
        unknown = sorted({*fold["train"], *fold["val"]} - set(dataset.training))
        leakage += [Leakage(f"fold {number}", f"{case} is not among the training cases") for case in unknown]
        train, val = (
            {case: dataset.training[case] for case in fold[part] if case in dataset.training}
            for part in ("train", "val")
        )
        leakage += _shared(f"fold {number}, train and val", train, val, dataset.patients, hashes)
    leakage += _shared("training and test", dataset.training, dataset.test, dataset.patients, hashes)
    return leakage, [reason for _, reason in results if reason]


def _shared(
    where: str,
    first: Mapping[str, Path],
    second: Mapping[str, Path],
    patients: Mapping[str, str],
    hashes: Mapping[Path, str],
) -> list[Leakage]:
    first_patients = {patients[case] for case in first}
    cases_by_hash = defaultdict(list)
    for case, path in first.items():
        if path in hashes:
            cases_by_hash[hashes[path]].append(case)
    leakage = [
        Leakage(where, f"patient {patients[case]} is in both, with {case} in the second")
        for case in second
        if patients[case] in first_patients
    ]
    leakage += [
        Leakage(where, f"{twin} and {case} have the same voxels")
        for case, path in second.items()
        for twin in cases_by_hash.get(hashes.get(path, ""), ())
        if twin != case
    ]
    return leakage

"""Leakage: a patient or an image on both sides of a fold, or in training and test."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.io.nifti_scan import joint_hash
from nnunet_pancext.io.parallel import for_each
from nnunet_pancext.io.unreadable import UnreadableImage, missing_file
from nnunet_pancext.nnunet_files.raw_dataset import RawDataset
from nnunet_pancext.raw_cases.case_checks import fault_text
from nnunet_pancext.raw_cases.reader_choice import find_reader
from nnunet_pancext.raw_cases.source import name_of
from nnunet_pancext.splits.of_dataset import current_folds


@dataclass(frozen=True)
class Leakage:
    """A patient or an image on both sides of a fold, or in training and test."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def find_leakage(
    dataset: RawDataset, *, jobs: int | None = None, show_progress: bool = True
) -> tuple[list[Leakage], list[str]]:
    """Return every patient and image shared by the two sides of a fold, or by training and test set.

    Also returned are the images that cannot be read and the reasons; leakage of these is unknown.
    """
    folds = current_folds(dataset)
    reader = find_reader(dataset.declared, example=next(iter(dataset.training.values())))

    def read(path: Path) -> tuple[str | None, str | None]:
        name = name_of(path, dataset.folder)
        if not path.is_file():
            return None, fault_text(name, missing_file(path))
        try:
            scan = reader.scan(path, is_label=False)
            return joint_hash((scan, *scan.further)), None
        except UnreadableImage as error:
            return None, fault_text(name, error)

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

"""Remarks on a converted dataset as a whole."""

from __future__ import annotations

from nnunet_pancext.nnunet_files.folders import PREPROCESSED, nnunet_folder
from nnunet_pancext.nnunet_files.splits_final import SPLITS_FILE, backup_of, folds_file
from nnunet_pancext.raw_cases.source import SourceCase, SourceDataset
from nnunet_pancext.splits.make import NNUNET_SPLIT, Split, why_no_folds
from nnunet_pancext.splits.published import PUBLISHED


def belongs_to_test_set(case: SourceCase, *, split: str) -> bool:
    """Whether an unlabelled case is part of the split's test set."""
    if split in PUBLISHED:
        test = PUBLISHED[split].test
        return not test or (case.patient or case.case_id) in test
    return split == NNUNET_SPLIT


def remarks(dataset: SourceDataset, *, split: Split, name: str) -> list[str]:
    """Return what the user should know about the split, its folds and older data of the dataset `name`."""
    patients = dataset.patients
    notes = []
    if any(case.patient for case in dataset.cases):
        parts = (split.training, split.test)
        training, test = (len({patients[case] for case in part if case in patients}) for part in parts)
        notes.append(f"the labelled cases are of {training} patient(s) for training and {test} for testing")
    if split.test or split.folds:
        notes.append(f"split {split.name}: {split.source}")
    if split.test and any(not belongs_to_test_set(case, split=split.name) for case in dataset.unlabelled):
        notes.append(
            f"the source's {len(dataset.unlabelled)} unlabelled test image(s) are left out: "
            f"the test set of --split {split.name} consists of labelled cases"
        )
    return [*notes, *split.remarks, *_fold_remarks(dataset, split=split, name=name)]


def _fold_remarks(dataset: SourceDataset, *, split: Split, name: str) -> list[str]:
    notes = []
    if split.folds and (file := folds_file(name)):
        notes.append(f"its folds are in {file}")
        if backup := backup_of(file, folds=split.folds):
            notes.append(f"previous folds were kept as {backup.name}")
    elif split.folds:
        notes.append(
            f"its folds are in split.json; set nnUNet_preprocessed, then `pancext splits apply {name}` "
            "writes them where nnU-Net reads them"
        )
    elif note := why_no_folds(split, patients=dataset.patients):
        notes.append(note)
    preprocessed = nnunet_folder(PREPROCESSED)
    folder = preprocessed / name if preprocessed else None
    older = [path.name for path in folder.iterdir()] if folder and folder.is_dir() else []
    if any(not (split.folds and file_name.startswith(SPLITS_FILE.stem)) for file_name in older):
        notes.append(
            f"{folder} holds preprocessed data of an earlier dataset of this name: "
            "remove it, or nnU-Net trains on it"
        )
    return notes

"""The result of a conversion, its conversion_report.json and the summary on the console."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.options import CONVERTED_BY, REPORT_NAME, Conversion
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.files import read_json
from nnunet_pancext.nnunet_files.folders import PREPROCESSED, RAW, nnunet_folder
from nnunet_pancext.nnunet_files.splits_final import SPLITS_FILE, backup_of, folds_file
from nnunet_pancext.raw_cases.source import Problem, SourceCase, SourceDataset
from nnunet_pancext.splits.make import NNUNET_SPLIT, Split, why_no_folds
from nnunet_pancext.splits.published import PUBLISHED

MOST_LINES = 20


@dataclass(frozen=True, kw_only=True)
class ConversionResult:
    """A finished dataset in `folder`.

    `test` are the cases of imagesTs, labelled or not. `left_out` are the problems of excluded cases,
    `warnings` those of converted cases, `notes` remarks on the whole dataset. `file_counts` counts the files
    by how they were made: linked, copied, extracted, compressed, converted or re-encoded.
    """

    folder: Path
    dataset_id: int
    training: tuple[str, ...]
    test: tuple[str, ...]
    left_out: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    notes: tuple[str, ...]
    file_counts: dict[str, int]

    @classmethod
    def from_report(cls, folder: Path, *, dataset_id: int) -> "ConversionResult":
        """Return the result of the conversion that wrote the report in `folder`."""
        report = read_json(folder / REPORT_NAME, expect=dict)
        written = report["written"]
        left_out, warnings = (
            tuple(Problem(e["case"], e["kind"], e["message"], leaves_out=excluded) for e in report[name])
            for name, excluded in (("left_out", True), ("warnings", False))
        )
        return cls(
            folder=folder,
            dataset_id=dataset_id,
            training=tuple(written["training"]),
            test=tuple(written["test"]),
            left_out=left_out,
            warnings=warnings,
            notes=tuple(report["notes"]),
            file_counts=written["file_counts"],
        )

    @property
    def report_path(self) -> Path:
        """The full report."""
        return self.folder / REPORT_NAME


def report_document(
    conversion: Conversion,
    dataset: SourceDataset,
    *,
    split: Split,
    test: Sequence[str],
    problems: Sequence[Problem],
    files: Mapping[str, str],
    orientations: Mapping[str, str],
) -> dict[str, Any]:
    """Return the content of conversion_report.json.

    `test` are the cases of imagesTs. `files` maps each path to how the file was made, `orientations` each
    case to the orientation of its label, where that was determined.
    """
    left_out, warnings = (
        [
            {"case": p.case_id, "kind": p.kind, "message": p.message}
            for p in problems
            if p.leaves_out == excluded
        ]
        for excluded in (True, False)
    )
    return {
        "converted_by": CONVERTED_BY,
        "source": {
            "dataset": dataset.title,
            "path": conversion.source_entry,
            "labels": dataset.declared_labels,
            "hidden_files_ignored": dataset.hidden_files,
            "other_files_ignored": list(dataset.ignored_files),
        },
        "options": conversion.options,
        "labels": dataset.target_labels,
        "split": {"name": split.name, "source": split.source},
        "written": {
            "training": list(split.training),
            "test": list(test),
            "file_counts": dict(sorted(Counter(files.values()).items())),
            "files": dict(sorted(files.items())),
        },
        **({"orientation_of_labels": dict(sorted(orientations.items()))} if orientations else {}),
        "left_out": left_out,
        "warnings": warnings,
        "notes": remarks(dataset, split=split, name=conversion.folder.name),
    }


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
        notes.append(f"labelled: {counted(training, 'patient')} for training, {test} for testing")
    if split.test or split.folds:
        notes.append(f"split {split.name}: {split.source}")
    if split.test and any(not belongs_to_test_set(case, split=split.name) for case in dataset.unlabelled):
        notes.append(
            f"left out {counted(len(dataset.unlabelled), 'unlabelled test image')} of the source: "
            f"the test set of --split {split.name} consists of labelled cases"
        )
    notes += split.remarks
    if split.folds and (file := folds_file(name)):
        notes.append(f"its folds are in {file}")
        if backup := backup_of(file, folds=split.folds):
            notes.append(f"previous folds were kept as {backup.name}")
    elif split.folds:
        notes.append(
            f"its folds are in split.json; set nnUNet_preprocessed, then `pancext splits apply {name}` "
            "writes them where nnU-Net reads them"
        )
    elif note := why_no_folds(split, patients=patients):
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


def summary(result: ConversionResult) -> str:
    """Return the console summary: where, how many, what was left out, what comes next."""
    counts = ", ".join(f"{count} {how}" for how, count in result.file_counts.items())
    cases_left_out = len({problem.case_id for problem in result.left_out})
    return "\n".join(
        [
            f"dataset   {result.folder}",
            f"cases     {len(result.training)} training, {len(result.test)} test ({counts} files)",
            *(f"note      {note}" for note in result.notes),
            *_problem_lines(result.left_out, title=f"left out  {counted(cases_left_out, 'case')}:"),
            *_problem_lines(result.warnings, title="warnings  on cases that were converted:"),
            f"report    {result.report_path}",
            f"next      {_next_command(result)}",
        ]
    )


def _problem_lines(problems: Sequence[Problem], *, title: str) -> list[str]:
    if not problems:
        return []
    lines = [title, *(f"  {problem}" for problem in problems[:MOST_LINES])]
    if len(problems) > MOST_LINES:
        lines.append(f"  … and {len(problems) - MOST_LINES} more, all in {REPORT_NAME}")
    return lines


def _next_command(result: ConversionResult) -> str:
    """The next nnU-Net command, with nnUNet_raw where its value differs."""
    command = f"nnUNetv2_plan_and_preprocess -d {result.dataset_id} --verify_dataset_integrity"
    raw_root = result.folder.parent.resolve()
    current = os.environ.get(RAW, "")  # with --out any value is allowed
    return command if current and Path(current).resolve() == raw_root else f"nnUNet_raw={raw_root} {command}"

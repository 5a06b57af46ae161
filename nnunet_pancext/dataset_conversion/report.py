"""The result of a conversion, its conversion_report.json and the summary on the console."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.target import CONVERTED_BY
from nnunet_pancext.io.files import read_json
from nnunet_pancext.nnunet_files.folders import nnunet_folder
from nnunet_pancext.raw_cases.source import Problem, SourceDataset
from nnunet_pancext.splits.make import Split

REPORT_NAME = "conversion_report.json"
MOST_LINES = 20


@dataclass(frozen=True, kw_only=True)
class ConversionResult:
    """A finished dataset in `folder`.

    `test` are the cases of imagesTs, labelled or not. `left_out` are the problems of excluded cases,
    `warnings` those of converted cases, `notes` remarks on the whole dataset. `file_counts` counts the files
    by how they were made: linked, copied, extracted, converted or re-encoded.
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
    def from_report(cls, folder: Path, *, dataset_id: int) -> ConversionResult:
        """Return the result of the conversion that wrote the report in `folder`."""
        report = read_json(folder / REPORT_NAME, expect=dict)
        written = report["written"]

        def problems(name: str, *, leaves_out: bool) -> tuple[Problem, ...]:
            entries = report[name]
            return tuple(Problem(e["case"], e["kind"], e["message"], leaves_out=leaves_out) for e in entries)

        return cls(
            folder=folder,
            dataset_id=dataset_id,
            training=tuple(written["training"]),
            test=tuple(written["test"]),
            left_out=problems("left_out", leaves_out=True),
            warnings=problems("warnings", leaves_out=False),
            notes=tuple(report["notes"]),
            file_counts=written["file_counts"],
        )

    @property
    def report_path(self) -> Path:
        """The full report."""
        return self.folder / REPORT_NAME


def report_document(
    result: ConversionResult,
    *,
    source: SourceDataset,
    source_path: str,
    options: Mapping[str, Any],
    split: Split,
    files: Mapping[str, str],
    orientations: Mapping[str, str],
) -> dict[str, Any]:
    """Return the content of conversion_report.json.

    `files` maps each path to how the file was made, `orientations` each case to the orientation of its
    label, where that was determined.
    """
    return {
        "converted_by": CONVERTED_BY,
        "source": {
            "dataset": source.title,
            "path": source_path,
            "labels": source.declared_labels,
            "hidden_files_ignored": source.hidden_files,
            "other_files_ignored": list(source.ignored_files),
        },
        "options": dict(options),
        "labels": source.target_labels,
        "split": {"name": split.name, "source": split.source},
        "written": {
            "training": list(result.training),
            "test": list(result.test),
            "file_counts": result.file_counts,
            "files": dict(sorted(files.items())),
        },
        **({"orientation_of_labels": dict(sorted(orientations.items()))} if orientations else {}),
        "left_out": [problem_entry(problem) for problem in result.left_out],
        "warnings": [problem_entry(problem) for problem in result.warnings],
        "notes": list(result.notes),
    }


def problem_entry(problem: Problem) -> dict[str, str]:
    """Return a problem for the report."""
    return {"case": problem.case_id, "kind": problem.kind, "message": problem.message}


def count_files(files: Mapping[str, str]) -> dict[str, int]:
    """Count the files by how they were made."""
    return dict(sorted(Counter(files.values()).items()))


def summary(result: ConversionResult) -> str:
    """Return the console summary: where, how many, what was left out, what comes next."""
    counts = ", ".join(f"{count} {how}" for how, count in result.file_counts.items())
    lines = [
        f"dataset   {result.folder}",
        f"cases     {len(result.training)} training, {len(result.test)} test ({counts} files)",
    ]
    lines += [f"note      {note}" for note in result.notes]
    cases_left_out = len({problem.case_id for problem in result.left_out})
    lines += problem_lines(result.left_out, title=f"left out  {cases_left_out} case(s):")
    lines += problem_lines(result.warnings, title="warnings  on cases that were converted:")
    lines.append(f"report    {result.report_path}")
    lines.append("next      " + next_command(result))
    return "\n".join(lines)


def problem_lines(problems: Sequence[Problem], *, title: str) -> list[str]:
    """Return a titled list of the first problems; empty without any."""
    if not problems:
        return []
    lines = [title, *(f"  warning: {problem}" for problem in problems[:MOST_LINES])]
    if len(problems) > MOST_LINES:
        lines.append(f"  … and {len(problems) - MOST_LINES} more, all in {REPORT_NAME}")
    return lines


def next_command(result: ConversionResult) -> str:
    """Return the next nnU-Net command, with nnUNet_raw where its value differs."""
    command = f"nnUNetv2_plan_and_preprocess -d {result.dataset_id} --verify_dataset_integrity"
    raw_root = result.folder.parent
    current = nnunet_folder("nnUNet_raw")
    if current and current.resolve() == raw_root.resolve():
        return command
    return f"nnUNet_raw={raw_root.resolve()} {command}"

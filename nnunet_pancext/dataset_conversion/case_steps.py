"""What is done to every case: prepare, check, write. What an earlier, killed run did is not done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.build_folder import BuildFolder
from nnunet_pancext.dataset_conversion.preparation import Preparation, prepare_case
from nnunet_pancext.dataset_conversion.raw_dataset import write_case
from nnunet_pancext.io.images import quiet_itk
from nnunet_pancext.raw_cases.case_checks import CaseFindings, check_case, find_duplicates
from nnunet_pancext.raw_cases.source import Problem, SourceCase, SourceDataset, name_of
from nnunet_pancext.splits.make import Split


def examine_cases(
    dataset: SourceDataset,
    cases: Sequence[SourceCase],
    *,
    build: BuildFolder,
    check_orientation: bool,
    in_parallel: Callable[..., list],
) -> tuple[list[SourceCase], list[Problem], dict[str, str]]:
    """Return the usable cases, all problems by case, and how labels lie on their images where looked at."""
    prepared = prepare_cases(
        dataset, cases, build=build, check_orientation=check_orientation, in_parallel=in_parallel
    )
    problems = [problem for one in prepared for problem in one.problems]
    refused = {problem.case_id for problem in problems if problem.leaves_out}
    left = [one.apply(case) for one, case in zip(prepared, cases, strict=True) if case.case_id not in refused]
    problems += check_cases(dataset, left, build=build, in_parallel=in_parallel)
    problems.sort(key=lambda problem: (problem.case_id, problem.kind))
    bad = {problem.case_id for problem in problems if problem.leaves_out}
    usable = [case for case in left if case.case_id not in bad]
    orientations = {
        one.case_id: one.orientation for one in prepared if one.orientation and one.case_id not in bad
    }
    return usable, problems, orientations


def prepare_cases(
    dataset: SourceDataset,
    cases: Sequence[SourceCase],
    *,
    build: BuildFolder,
    check_orientation: bool,
    in_parallel: Callable[..., list[Preparation]],
) -> list[Preparation]:
    """Return what became of each case; what an earlier run prepared is used again."""
    if not (check_orientation or any(case.series for case in cases)):
        return [Preparation(case_id=case.case_id) for case in cases]

    def prepare(case: SourceCase) -> Preparation:
        key = file_state(case)
        former = build.record("prepared", case.case_id, key=key, parse=preparation_from)
        if former and all(Path(path).is_file() for path in (former.image, former.label) if path):
            return former
        made = prepare_case(
            case,
            root=dataset.root,
            folder=build.prepared / case.case_id,
            check_orientation=check_orientation,
            ending=dataset.file_ending,
        )
        build.keep_record("prepared", case.case_id, key=key, outcome=asdict(made))
        return made

    with quiet_itk():
        return in_parallel(prepare, cases, title="reading")


def check_cases(
    dataset: SourceDataset,
    cases: Sequence[SourceCase],
    *,
    build: BuildFolder,
    in_parallel: Callable[..., list[CaseFindings]],
) -> list[Problem]:
    """Return the problems of the layout and of the cases; what an earlier run checked is not read again."""
    declared = sorted(dataset.declared_labels.values())

    def check(case: SourceCase) -> CaseFindings:
        key = [file_state(case), declared]
        if known := build.record("checked", case.case_id, key=key, parse=findings_from):
            return known
        findings = check_case(case, root=dataset.root, declared_values=declared)
        build.keep_record("checked", case.case_id, key=key, outcome=asdict(findings))
        return findings

    with quiet_itk():
        findings = in_parallel(check, cases, title="checking")
    problems = [*dataset.layout_problems, *(problem for found in findings for problem in found.problems)]
    bad = {problem.case_id for problem in problems if problem.leaves_out}
    names = {case.case_id: name_of(case.image, dataset.root) for case in cases}
    return problems + find_duplicates([f for f in findings if f.case_id not in bad], image_names=names)


def write_cases(
    dataset: SourceDataset,
    cases: Sequence[SourceCase],
    *,
    split: Split,
    build: BuildFolder,
    copy: bool,
    in_parallel: Callable[..., list[dict[str, str]]],
) -> dict[str, str]:
    """Write the cases not yet written; return each file's relative path and how it was made.

    With `copy` no file of the source is hard-linked.
    """
    mapping = dataset.label_mapping

    def write(case: SourceCase) -> dict[str, str]:
        subset = "Tr" if case.case_id in split.training else "Ts"
        key = [file_state(case), subset]
        known = build.record("written", case.case_id, key=key, parse=dict)
        if known and all((build.dataset / name).is_file() for name in known):
            return known
        made = write_case(
            case,
            folder=build.dataset,
            subset=subset,
            mapping=mapping,
            ending=dataset.file_ending,
            may_link=lambda path: not copy or build.owns(path),
        )
        for name, path in zip(made, (case.image, case.label), strict=False):  # in this order
            if path and build.owns(path) and made[name] != "re-encoded":
                made[name] = "converted" if path.is_relative_to(build.prepared) else "extracted"
        build.keep_record("written", case.case_id, key=key, outcome=made)
        return made

    made = in_parallel(write, cases, title="writing")
    return {name: how for files in made for name, how in files.items()}


def file_state(case: SourceCase) -> list[list[int] | None]:
    """Return size and modification time of the case's files: a later run sees if they changed."""
    states: list[list[int] | None] = []
    for path in case.files:
        if path.is_file():
            status = path.stat()
            states.append([status.st_size, status.st_mtime_ns])
        else:
            states.append(None)
    return states


def preparation_from(record: dict[str, Any]) -> Preparation:
    """Return what an earlier run prepared."""
    return Preparation(**{**record, "problems": tuple(Problem(**problem) for problem in record["problems"])})


def findings_from(record: dict[str, Any]) -> CaseFindings:
    """Return the findings of an earlier run."""
    problems = tuple(Problem(**problem) for problem in record["problems"])
    return CaseFindings(**{**record, "problems": problems})

"""The work on every case: examine it, then write it. What a killed run has finished is not done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from nnunet_pancext.dataset_conversion.build_folder import BuildFolder
from nnunet_pancext.dataset_conversion.preparation import ExaminedCase, prepare_case
from nnunet_pancext.dataset_conversion.target import case_files, write_case
from nnunet_pancext.io.images import quiet_itk
from nnunet_pancext.raw_cases.case_checks import check_case, find_duplicates
from nnunet_pancext.raw_cases.source import Problem, SourceCase, SourceDataset, name_of
from nnunet_pancext.splits.make import Split


def examine_cases(
    dataset: SourceDataset,
    cases: Sequence[SourceCase],
    *,
    build: BuildFolder,
    check_orientation: bool,
    in_parallel: Callable[..., list[ExaminedCase]],
) -> tuple[list[SourceCase], list[Problem], dict[str, str]]:
    """Return the usable cases, all problems, and the orientation of each label where it was determined."""

    def examine(case: SourceCase) -> ExaminedCase:
        source = [file_states(case), dataset.declared_labels, sorted((dataset.label_mapping or {}).items())]
        if record := build.record(case.case_id, source=source):
            return ExaminedCase.from_record(record)
        for subset in ("Tr", "Ts"):  # written by a killed run, from a source that has changed since
            for name in case_files(case.case_id, subset=subset, ending=dataset.file_ending):
                (build.dataset / name).unlink(missing_ok=True)
        examined = examine_case(dataset, case, build=build, check_orientation=check_orientation)
        build.keep_record(case.case_id, source=source, outcome=asdict(examined))
        return examined

    with quiet_itk():
        examined = in_parallel(examine, cases, title="checking")
    problems = [*dataset.layout_problems, *(problem for case in examined for problem in case.problems)]
    names = {case.case_id: name_of(case.image, dataset.root) for case in cases}
    bad = bad_cases(problems)
    problems += find_duplicates([case for case in examined if case.case_id not in bad], image_names=names)
    bad = bad_cases(problems)
    usable = [e.apply(case) for e, case in zip(examined, cases, strict=True) if e.case_id not in bad]
    orientations = {e.case_id: e.orientation for e in examined if e.orientation and e.case_id not in bad}
    return usable, sorted(problems, key=lambda p: (p.case_id, p.kind)), orientations


def examine_case(
    dataset: SourceDataset, case: SourceCase, *, build: BuildFolder, check_orientation: bool
) -> ExaminedCase:
    """Prepare the case and check the result."""
    prepared = prepare_case(
        case,
        root=dataset.root,
        folder=build.case_folder(case.case_id),
        check_orientation=check_orientation,
        ending=dataset.file_ending,
    )
    if bad_cases(prepared.problems):
        return prepared
    findings = check_case(
        prepared.apply(case), root=dataset.root, declared_values=sorted(dataset.declared_labels.values())
    )
    return replace(
        prepared, problems=(*prepared.problems, *findings.problems), image_hash=findings.image_hash
    )


def bad_cases(problems: Sequence[Problem]) -> set[str]:
    """Return the cases that these problems exclude."""
    return {problem.case_id for problem in problems if problem.leaves_out}


def write_cases(
    dataset: SourceDataset,
    cases: Sequence[SourceCase],
    *,
    split: Split,
    build: BuildFolder,
    copy: bool,
    in_parallel: Callable[..., list[dict[str, str]]],
) -> dict[str, str]:
    """Write the files not yet written; return the relative path of each, and how it was made.

    With `copy` no file of the source is hard-linked.
    """
    training = set(split.training)

    def write(case: SourceCase) -> dict[str, str]:
        made = write_case(
            case,
            folder=build.dataset,
            subset="Tr" if case.case_id in training else "Ts",
            mapping=dataset.label_mapping,
            ending=dataset.file_ending,
            may_link=lambda path: not copy or path.is_relative_to(build.root),
        )
        for name, path in zip(made, (case.image, case.label), strict=False):
            if path and path.is_relative_to(build.root) and made[name] != "re-encoded":
                is_new = path.is_relative_to(build.case_folder(case.case_id))
                made[name] = "converted" if is_new else "extracted"
        return made

    written = in_parallel(write, cases, title="writing")
    return {name: how for files in written for name, how in files.items()}


def file_states(case: SourceCase) -> list[list[Any] | None]:
    """Return size and modification time of the case's files, by which a later run sees changes."""
    states: list[list[Any] | None] = []
    for path in case.files:
        status = path.stat() if path.is_file() else None
        states.append(status and [path.name, status.st_size, status.st_mtime_ns])
    return states

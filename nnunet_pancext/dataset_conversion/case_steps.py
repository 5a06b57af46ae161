"""The work on every case: examine it, then write it. What a killed run has finished is not done again."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from nnunet_pancext.dataset_conversion.build_folder import BuildFolder
from nnunet_pancext.dataset_conversion.options import Conversion
from nnunet_pancext.dataset_conversion.preparation import ExaminedCase, prepare_case
from nnunet_pancext.dataset_conversion.target import case_files, compress, place, remap_label
from nnunet_pancext.io.images import quiet_itk
from nnunet_pancext.raw_cases.case_checks import check_case, find_duplicates
from nnunet_pancext.raw_cases.source import PLAIN, Problem, SourceCase, SourceDataset, name_of


def examine_cases(
    conversion: Conversion, dataset: SourceDataset, cases: Sequence[SourceCase], *, build: BuildFolder
) -> tuple[list[SourceCase], list[Problem], dict[str, str]]:
    """Return the usable cases, all problems, and the orientation of each label where it was determined."""

    def examine(case: SourceCase) -> ExaminedCase:
        source = [_file_states(case), dataset.declared_labels, sorted((dataset.label_mapping or {}).items())]
        if record := build.record(case.case_id, source=source):
            return ExaminedCase.from_record(record)
        for subset in ("Tr", "Ts"):  # written by a killed run, from a source that has changed since
            for name in case_files(case.case_id, subset=subset, ending=dataset.file_ending):
                (build.dataset / name).unlink(missing_ok=True)
        examined = prepare_case(
            case,
            root=dataset.root,
            folder=build.case_folder(case.case_id),
            check_orientation=conversion.check_orientation,
            ending=dataset.file_ending,
        )
        if not _bad_cases(examined.problems):
            values = sorted(dataset.declared_labels.values())
            findings = check_case(examined.apply(case), root=dataset.root, declared_values=values)
            problems = (*examined.problems, *findings.problems)
            examined = replace(examined, problems=problems, image_hash=findings.image_hash)
        build.keep_record(case.case_id, source=source, outcome=asdict(examined))
        return examined

    with quiet_itk(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pydicom")  # of values against the standard that do no harm
        examined = conversion.in_parallel(examine, cases, title="checking")
    problems = [*dataset.layout_problems, *(problem for case in examined for problem in case.problems)]
    names = {case.case_id: name_of(case.image, dataset.root) for case in cases}
    bad = _bad_cases(problems)
    problems += find_duplicates([case for case in examined if case.case_id not in bad], image_names=names)
    bad = _bad_cases(problems)
    usable = [e.apply(case) for e, case in zip(examined, cases, strict=True) if e.case_id not in bad]
    orientations = {e.case_id: e.orientation for e in examined if e.orientation and e.case_id not in bad}
    return usable, sorted(problems, key=lambda p: (p.case_id, p.kind)), orientations


def write_cases(
    conversion: Conversion,
    dataset: SourceDataset,
    cases: Sequence[SourceCase],
    *,
    training: set[str],
    build: BuildFolder,
) -> dict[str, str]:
    """Write the files not yet written, and return the relative path of each with how it was made.

    'linked' and 'copied' files are the source's bytes, 'extracted' ones those of its archive, 'converted'
    ones were prepared, 'compressed' ones are .nii files in gzip, and 're-encoded' labels had values to map.
    Files that exist are whole and are kept.
    """

    def write(case: SourceCase) -> dict[str, str]:
        subset = "Tr" if case.case_id in training else "Ts"
        names = case_files(case.case_id, subset=subset, ending=dataset.file_ending)
        made = {}
        for source, name in zip((case.image, case.label), names, strict=True):
            target = build.dataset / name
            if source is None:
                continue
            if source == case.label and dataset.label_mapping is not None:
                if not target.exists():
                    remap_label(source, target, mapping=dataset.label_mapping)
                made[name] = "re-encoded"
                continue
            if source.suffix == PLAIN:
                compress(source, target)
                made[name] = "compressed"
                continue
            is_temporary = source.is_relative_to(build.root)
            made[name] = place(source, target, may_link=is_temporary or not conversion.copy)
            if is_temporary:
                is_new = source.is_relative_to(build.case_folder(case.case_id))
                made[name] = "converted" if is_new else "extracted"
        return made

    written = conversion.in_parallel(write, cases, title="writing")
    return {name: how for files in written for name, how in files.items()}


def _bad_cases(problems: Sequence[Problem]) -> set[str]:
    return {problem.case_id for problem in problems if problem.leaves_out}


def _file_states(case: SourceCase) -> list[list[Any] | None]:
    """Size and modification time of the case's files, by which a later run sees changes."""
    states = [(path, path.stat() if path.is_file() else None) for path in case.files]
    return [status and [path.name, status.st_size, status.st_mtime_ns] for path, status in states]

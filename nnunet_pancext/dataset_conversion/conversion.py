"""From any source layout to a finished nnU-Net raw dataset: check, split, write, report, publish."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from nnunet_pancext.dataset_conversion.archive import opened_sources, require_source
from nnunet_pancext.dataset_conversion.build_folder import BuildFolder, opened_build_folder
from nnunet_pancext.dataset_conversion.case_checks import CaseFindings, check_case, find_duplicates
from nnunet_pancext.dataset_conversion.disk import can_link, require_free_space, told_write_errors
from nnunet_pancext.dataset_conversion.parallel import default_jobs, for_each
from nnunet_pancext.dataset_conversion.preparation import Preparation, prepare_case
from nnunet_pancext.dataset_conversion.published_splits import PUBLISHED
from nnunet_pancext.dataset_conversion.raw_dataset import RawTarget, dataset_json, host_folder, write_case
from nnunet_pancext.dataset_conversion.report import (
    REPORT_NAME,
    ConversionResult,
    count_files,
    report_document,
)
from nnunet_pancext.dataset_conversion.source import Problem, SourceCase, SourceDataset, name_of
from nnunet_pancext.dataset_conversion.splits import (
    FOLDS,
    NNUNET_SPLIT,
    SPLITS_FILE,
    Folds,
    Split,
    make_split,
    parse_split,
    require_count,
    split_document,
)
from nnunet_pancext.errors import PancextError
from nnunet_pancext.files import write_json


def convert_source(
    sources: Sequence[Path],
    *,
    read: Callable[..., SourceDataset],
    target: RawTarget,
    layout: str,
    labels: str,
    split: str,
    jobs: int | None,
    strict: bool,
    overwrite: bool,
    show_progress: bool,
    check_orientation: bool = False,
) -> ConversionResult:
    """Convert `sources`, folders or archives whose layout `read` understands, to `target`.

    `layout` is the source as `pancext convert` calls it; `read` is called with the folders. Labels of DICOM
    series, and with `check_orientation` all, are laid onto their images as these tell. Nothing appears at the
    target before all is written. Raises PancextError, also for bad cases if `strict`.
    """
    counts = parse_split(split, layout=layout)
    for source in sources:
        require_source(source)
        target.require_free(source=source, overwrite=overwrite)
    named = " and ".join(map(str, sources))
    options = {
        "id": target.dataset_id,
        "name": target.name,
        "labels": labels,
        "split": split,
        "check_orientation": check_orientation,
    }
    in_parallel = partial(
        for_each, jobs=default_jobs() if jobs is None else jobs, show_progress=show_progress
    )
    with (
        opened_build_folder(
            target.folder, source=[str(source.resolve()) for source in sources], options=options
        ) as build,
        opened_sources(sources, extract_under=build.root, show_progress=show_progress) as opened,
    ):
        try:
            dataset = read(*(one.folder for one in opened))
        except OSError as error:
            raise PancextError(
                f"cannot read {named}: {error}. Check the permissions and the disk."
            ) from error
        hidden_members = sum(one.hidden_members for one in opened)
        dataset = replace(dataset, hidden_files=dataset.hidden_files + hidden_members)
        patients = {case.case_id: case.patient or case.case_id for case in dataset.cases}
        people = len(set(patients.values()))
        if counts and people < sum(counts):
            require_count(people, counts=counts, what="cases" if people == len(patients) else "patients")
        tested = tuple(case for case in dataset.unlabelled if belongs(case, split=split))
        candidates = (*dataset.cases, *tested)
        require_room(dataset, candidates, build=build)
        usable, problems, orientations = examine_cases(
            dataset, candidates, build=build, check_orientation=check_orientation, in_parallel=in_parallel
        )
        lines = "\n".join(f"  {problem}" for problem in problems)
        if strict and problems:
            raise PancextError(f"--strict: {len(problems)} problem(s) in {named}:\n{lines}")
        labelled = [case.case_id for case in usable if case.label is not None]
        if not labelled:
            raise PancextError(f"no usable case in {named}:\n{lines}")
        chosen = make_split(
            labelled,
            name=split,
            left_out=len(dataset.cases) - len(labelled),
            layout=layout,
            patients=patients,
            held_out={case.case_id for case in dataset.cases if case.held_out},
        )
        listed = {*chosen.training, *chosen.test}
        usable = [case for case in usable if case.label is None or case.case_id in listed]
        files = write_cases(dataset, usable, split=chosen, build=build, in_parallel=in_parallel)
        if any(one.extracted for one in opened):
            files = {name: "extracted" if how == "linked" else how for name, how in files.items()}
        result = ConversionResult(
            folder=target.folder,
            dataset_id=target.dataset_id,
            training=chosen.training,
            test=tuple(sorted(case.case_id for case in usable if case.case_id not in chosen.training)),
            left_out=tuple(problem for problem in problems if problem.leaves_out),
            warnings=tuple(problem for problem in problems if not problem.leaves_out),
            notes=tuple(remarks(dataset, split=chosen, target=target)),
            file_counts=count_files(files),
        )
        documents = {
            "dataset.json": dataset_json(dataset, name=target.name, training_count=len(chosen.training)),
            "split.json": split_document(chosen, patients=patients),
            REPORT_NAME: report_document(
                result,
                source=dataset,
                source_paths=sources,
                options=options,
                split=chosen,
                files=files,
                orientations=orientations,
            ),
        }
        for name, content in documents.items():
            with told_write_errors(build.dataset / name):
                write_json(build.dataset / name, content)
        # Again: an exchange killed half-way may have been undone since, or another program made the target.
        for source in sources:
            target.require_free(source=source, overwrite=overwrite)
        build.publish(expected={*files, *documents})
        if chosen.folds:
            place_folds(chosen.folds, dataset=target.folder.name)
        return result


def belongs(case: SourceCase, *, split: str) -> bool:
    """Say whether an unlabelled case goes into the test set of the split."""
    if split in PUBLISHED:
        return (case.patient or case.case_id) in PUBLISHED[split].test
    return split == NNUNET_SPLIT


def place_folds(folds: Folds, *, dataset: str) -> Path | None:
    """Write the folds where nnU-Net reads them; None where nnUNet_preprocessed is not set."""
    preprocessed = host_folder("nnUNet_preprocessed")
    if preprocessed is None:
        return None
    target = preprocessed / dataset / SPLITS_FILE
    with told_write_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_json(target, folds)
    return target


def require_room(dataset: SourceDataset, cases: Sequence[SourceCase], *, build: BuildFolder) -> None:
    """Raise PancextError when the files that cannot be linked will not fit on the target's disk."""
    labels = [case.label for case in cases if case.label is not None and case.label.is_file()]
    images = [case.image for case in cases if not case.series and case.image.is_file()]
    slices = [path for case in cases for path in case.series]
    if not (images or slices):
        return
    files = list(slices)
    if dataset.label_mapping or slices:
        files += labels
    if images and not can_link(images[0], folder=build.dataset):
        files = [*slices, *images, *labels]
    needed = sum(path.stat().st_size for path in files)
    there = sum(path.stat().st_size for path in build.dataset.rglob("*") if path.is_file()) if files else 0
    require_free_space(build.dataset, needed_bytes=max(0, needed - there))


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
        known = build.record("prepared", case.case_id, key=key)
        if known is not None:
            problems = tuple(Problem(**problem) for problem in known["problems"])
            former = Preparation(**{**known, "problems": problems})
            if all(Path(path).is_file() for path in (former.image, former.label) if path):
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


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep ITK from printing: what it would say becomes a named problem."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


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
        known = build.record("checked", case.case_id, key=key)
        if known is not None:
            return findings_from(known)
        findings = check_case(
            case, root=dataset.root, declared_values=declared, may_be_empty=dataset.may_be_empty
        )
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
    in_parallel: Callable[..., list[dict[str, str]]],
) -> dict[str, str]:
    """Write the cases not yet written; return each file's relative path and how it was made."""
    mapping = dataset.label_mapping

    def write(case: SourceCase) -> dict[str, str]:
        subset = "Tr" if case.case_id in split.training else "Ts"
        key = [file_state(case), subset]
        known = build.record("written", case.case_id, key=key)
        if known is not None and all((build.dataset / name).is_file() for name in known):
            return known
        made = write_case(
            case, folder=build.dataset, subset=subset, mapping=mapping, ending=dataset.file_ending
        )
        for name, path in zip(made, (case.image, case.label), strict=False):  # in this order
            if made[name] == "linked" and path and path.is_relative_to(build.prepared):
                made[name] = "converted"
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


def findings_from(record: dict[str, Any]) -> CaseFindings:
    """Return the findings of an earlier run."""
    problems = tuple(Problem(**problem) for problem in record["problems"])
    return CaseFindings(**{**record, "problems": problems})


def remarks(dataset: SourceDataset, *, split: Split, target: RawTarget) -> list[str]:
    """Return what the user should know about the whole dataset."""
    notes = []
    preprocessed = host_folder("nnUNet_preprocessed")
    if split.test or split.folds:
        notes.append(f"split {split.name}: {split.source}")
    if split.test and any(not belongs(case, split=split.name) for case in dataset.unlabelled):
        notes.append(
            f"the source's {len(dataset.unlabelled)} unlabelled test image(s) are left out: "
            f"--split {split.name} makes the test set of labelled cases"
        )
    notes += split.remarks
    if split.folds and preprocessed:
        notes.append(f"its folds are in {preprocessed / target.folder.name / SPLITS_FILE}")
    elif split.folds:
        notes.append(
            f"its folds are in split.json; set nnUNet_preprocessed, then `pancext splits apply "
            f"{target.folder.name}` puts them where nnU-Net reads them"
        )
    elif len(split.training) < FOLDS:
        notes.append(
            f"{len(split.training)} training cases are too few for nnU-Net's {FOLDS} folds: "
            "train with fold 'all'"
        )
    former = preprocessed / target.folder.name if preprocessed else None
    left_over = [path.name for path in former.iterdir()] if former and former.is_dir() else []
    if set(left_over) - ({SPLITS_FILE.name} if split.folds else set()):
        notes.append(
            f"{former} is preprocessed data of an earlier dataset of this name: "
            "remove it, or nnU-Net trains on that"
        )
    return notes

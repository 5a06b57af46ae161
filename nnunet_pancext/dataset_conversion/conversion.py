"""From any source layout to a finished nnU-Net raw dataset: check, split, write, report, publish."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.archive import opened_sources, require_source
from nnunet_pancext.dataset_conversion.build_folder import (
    BuildFolder,
    killed_after_publishing,
    only_user_of,
    opened_build_folder,
)
from nnunet_pancext.dataset_conversion.case_steps import examine_cases, write_cases
from nnunet_pancext.dataset_conversion.raw_dataset import CONVERTED_BY, RawTarget, dataset_json
from nnunet_pancext.dataset_conversion.report import (
    REPORT_NAME,
    ConversionResult,
    count_files,
    report_document,
)
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.disk import can_link, require_free_space, write_errors_as_pancext
from nnunet_pancext.io.files import write_json
from nnunet_pancext.io.parallel import default_jobs, for_each
from nnunet_pancext.nnunet_files.folders import nnunet_folder
from nnunet_pancext.raw_cases.source import SourceCase, SourceDataset
from nnunet_pancext.splits.in_place import backup_of, folds_file, place_folds
from nnunet_pancext.splits.make import (
    NNUNET_SPLIT,
    SPLITS_FILE,
    Split,
    make_split,
    parse_split,
    require_count,
    split_document,
    why_no_folds,
)
from nnunet_pancext.splits.published import PUBLISHED


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
    copy: bool,
    show_progress: bool,
    check_orientation: bool = False,
) -> ConversionResult:
    """Convert `sources`, folders or archives whose layout `read` understands, to `target`.

    `layout` is the source as `pancext convert` calls it; `read` is called with the folders. Labels of DICOM
    series, and with `check_orientation` all, are laid onto their images as these tell. Files that need no
    change are hard-linked where the file system allows, unless `copy`. Nothing appears at the target before
    all is written. Raises PancextError, also for bad cases if `strict`.
    """
    counts = parse_split(split, layout=layout)
    for source in sources:
        require_source(source)
    options = {
        "id": target.dataset_id,
        "name": target.name,
        "labels": labels,
        "split": split,
        "check_orientation": check_orientation,
        "copy": copy,
    }
    job = {
        "program": CONVERTED_BY,  # whose records another version may not understand
        "layout": layout,
        "source": [str(source.resolve()) for source in sources],
        "options": options,
    }
    if not overwrite and (left := killed_after_publishing(target.folder, job=job)):
        build, outcome = left
        with only_user_of(build.root):
            return finish(build, outcome)
    for source in sources:
        target.require_free(source=source, overwrite=overwrite)
    named = " and ".join(map(str, sources))
    in_parallel = partial(
        for_each, jobs=default_jobs() if jobs is None else jobs, show_progress=show_progress
    )
    with (
        opened_build_folder(target.folder, job=job) as build,
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
        if split in PUBLISHED:  # whether the right patients are there is known before hours of reading
            make_split(patients, name=split, layout=layout, patients=patients)
        tested = tuple(case for case in dataset.unlabelled if belongs(case, split=split))
        candidates = (*dataset.cases, *tested)
        require_room(dataset, candidates, build=build, copy=copy)
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
        if strict and chosen.gaps:
            raise PancextError(f"--strict: {chosen.gaps}. Download what is missing, or take another --split.")
        listed = {*chosen.training, *chosen.test}
        usable = [case for case in usable if case.label is None or case.case_id in listed]
        files = write_cases(dataset, usable, split=chosen, build=build, copy=copy, in_parallel=in_parallel)
        result = ConversionResult(
            folder=target.folder,
            dataset_id=target.dataset_id,
            training=chosen.training,
            test=tuple(sorted(case.case_id for case in usable if case.case_id not in chosen.training)),
            left_out=tuple(problem for problem in problems if problem.leaves_out),
            warnings=tuple(problem for problem in problems if not problem.leaves_out),
            notes=tuple(remarks(dataset, split=chosen, patients=patients, target=target)),
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
            with write_errors_as_pancext(build.dataset / name):
                write_json(build.dataset / name, content)
        # Again: an exchange killed half-way may have been undone since, or another program made the target.
        for source in sources:
            target.require_free(source=source, overwrite=overwrite)
        outcome = {"job": job, "result": result.document(), "folds": chosen.folds}
        build.publish(expected={*files, *documents}, outcome=outcome)
        return finish(build, outcome)


def finish(build: BuildFolder, outcome: Mapping[str, Any]) -> ConversionResult:
    """Do what is left when the dataset has its final name, and return the result."""
    if outcome["folds"]:
        place_folds(outcome["folds"], dataset=build.target.name)
    build.discard()
    return ConversionResult.from_document(outcome["result"])


def belongs(case: SourceCase, *, split: str) -> bool:
    """Say whether an unlabelled case goes into the test set of the split."""
    if split in PUBLISHED:
        test = PUBLISHED[split].test
        return not test or (case.patient or case.case_id) in test
    return split == NNUNET_SPLIT


def require_room(
    dataset: SourceDataset, cases: Sequence[SourceCase], *, build: BuildFolder, copy: bool
) -> None:
    """Raise PancextError when the files that will not be linked will not fit on the target's disk."""
    labels = [case.label for case in cases if case.label is not None and case.label.is_file()]
    images = [case.image for case in cases if not case.series and case.image.is_file()]
    slices = [path for case in cases for path in case.series]
    if not (images or slices):
        return
    files = list(slices)
    if dataset.label_mapping or slices:
        files += labels
    copied = copy and not (images and build.owns(images[0]))
    if images and (copied or not can_link(images[0], folder=build.dataset)):
        files = [*slices, *images, *labels]
    needed = sum(path.stat().st_size for path in files)
    there = sum(path.stat().st_size for path in build.dataset.rglob("*") if path.is_file()) if files else 0
    require_free_space(build.dataset, needed_bytes=max(0, needed - there))


def remarks(
    dataset: SourceDataset, *, split: Split, patients: Mapping[str, str], target: RawTarget
) -> list[str]:
    """Return what the user should know about the whole dataset."""
    notes = []
    if any(case.patient for case in dataset.cases):
        sides = [
            len({patients[one] for one in part if one in patients}) for part in (split.training, split.test)
        ]
        notes.append(
            f"the labelled cases are of {sides[0]} patient(s) for training and {sides[1]} for testing"
        )
    preprocessed = nnunet_folder("nnUNet_preprocessed")
    if split.test or split.folds:
        notes.append(f"split {split.name}: {split.source}")
    if split.test and any(not belongs(case, split=split.name) for case in dataset.unlabelled):
        notes.append(
            f"the source's {len(dataset.unlabelled)} unlabelled test image(s) are left out: "
            f"--split {split.name} makes the test set of labelled cases"
        )
    notes += split.remarks
    file = folds_file(target.folder.name)
    if split.folds and file:
        notes.append(f"its folds are in {file}")
        if backup := backup_of(file, folds=split.folds):
            notes.append(f"other folds were there; they are kept as {backup.name}")
    elif split.folds:
        notes.append(
            f"its folds are in split.json; set nnUNet_preprocessed, then `pancext splits apply "
            f"{target.folder.name}` puts them where nnU-Net reads them"
        )
    elif note := why_no_folds(split, patients=patients):
        notes.append(note)
    former = preprocessed / target.folder.name if preprocessed else None
    left_over = [path.name for path in former.iterdir()] if former and former.is_dir() else []
    if any(not (split.folds and name.startswith(SPLITS_FILE.stem)) for name in left_over):
        notes.append(
            f"{former} is preprocessed data of an earlier dataset of this name: "
            "remove it, or nnU-Net trains on that"
        )
    return notes

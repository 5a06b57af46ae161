"""From any source layout to a finished nnU-Net raw dataset: check, split, write, report, publish."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.archive import opened_sources, require_source
from nnunet_pancext.dataset_conversion.build_folder import BuildFolder, locked_build_folder, read_record
from nnunet_pancext.dataset_conversion.case_steps import examine_cases, write_cases
from nnunet_pancext.dataset_conversion.options import CONVERTED_BY, REPORT_NAME, Conversion
from nnunet_pancext.dataset_conversion.report import ConversionResult, belongs_to_test_set, report_document
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.disk import can_link, require_free_space, write_errors_as_pancext
from nnunet_pancext.io.files import write_json
from nnunet_pancext.nnunet_files.folders import PREPROCESSED, nnunet_folder
from nnunet_pancext.nnunet_files.splits_final import place_folds
from nnunet_pancext.raw_cases.dicom_search import PASSED_OVER
from nnunet_pancext.raw_cases.source import PLAIN, Problem, SourceCase, SourceDataset
from nnunet_pancext.splits.make import Split, make_split, parse_split, require_count, split_document
from nnunet_pancext.splits.published import PUBLISHED


def convert_source(sources: Sequence[Path], **options: Any) -> ConversionResult:
    """Convert the sources to the target, where the dataset appears when it is complete.

    A killed conversion is continued by the same call. `options` are the fields of `Conversion`.

    Raises:
        PancextError: for anything the user can correct, including bad cases if `strict`; nothing is then left
            at the target.
    """
    conversion = Conversion(sources=sources, **options)
    parse_split(conversion.split, layout=conversion.layout)
    nnunet_folder(PREPROCESSED)  # where folds will be written: a value that cannot work fails now
    for source in sources:
        require_source(source)
    raw_root = conversion.raw_root
    if raw_root.exists() and not raw_root.is_dir():
        raise PancextError(f"{raw_root} is a file, not the folder of raw datasets. Give another --out.")
    with locked_build_folder(conversion.folder) as build:
        is_ours = build.is_of(conversion.command) or (
            not conversion.overwrite and conversion.has_made_target()
        )
        if not (build.is_published and is_ours):
            conversion.require_free_target()
            build.begin(conversion.command)
            with opened_sources(
                sources, extract_under=build.root, show_progress=conversion.show_progress
            ) as opened:
                files, folds = build_dataset(conversion, read_dataset(conversion, opened), build=build)
            conversion.require_free_target()  # another program may have created it meanwhile
            build.publish(expected=files, folds=folds)
        if folds := read_record(build.folds):
            place_folds(folds, dataset=conversion.folder.name)
        shutil.rmtree(build.root, ignore_errors=True)
        return ConversionResult.from_report(conversion.folder, dataset_id=conversion.dataset_id)


def read_dataset(conversion: Conversion, opened: Sequence[tuple[Path, int]]) -> SourceDataset:
    """Return the cases found in the opened sources; PancextError where they cannot give the split."""
    try:
        dataset = conversion.read(*(folder for folder, _ in opened))
    except OSError as error:
        raise PancextError(
            f"cannot read {conversion.sources_text}: {error}. Check the permissions and the disk."
        ) from error
    hidden_members = sum(hidden for _, hidden in opened)
    dataset = replace(dataset, hidden_files=dataset.hidden_files + hidden_members)
    patients = dataset.patients
    counts = parse_split(conversion.split, layout=conversion.layout)
    if counts and len(set(patients.values())) < sum(counts):
        require_count(patients, counts=counts)
    if conversion.split in PUBLISHED:  # fails now, and not after hours of reading, if patients are missing
        make_split(patients, name=conversion.split, layout=conversion.layout, patients=patients)
    return dataset


def build_dataset(
    conversion: Conversion, dataset: SourceDataset, *, build: BuildFolder
) -> tuple[set[str], Any]:
    """Check and write all cases and documents; return the files of the dataset, and folds to be placed."""
    tested = [case for case in dataset.unlabelled if belongs_to_test_set(case, split=conversion.split)]
    candidates = (*dataset.cases, *tested)
    require_room(dataset, candidates, build=build, copy=conversion.copy)
    usable, problems, orientations = examine_cases(conversion, dataset, candidates, build=build)
    split = choose_split(conversion, dataset, usable, problems)
    listed = {*split.training, *split.test}
    usable = [case for case in usable if case.label is None or case.case_id in listed]
    files = write_cases(conversion, dataset, usable, training=set(split.training), build=build)
    documents: dict[str, Any] = {
        "dataset.json": {
            "channel_names": dataset.channel_names,
            "labels": dataset.target_labels,
            "numTraining": len(split.training),
            "file_ending": dataset.file_ending,
            "name": conversion.name,
            **dataset.provenance,
            "converted_by": CONVERTED_BY,
        },
        "split.json": split_document(split, patients=dataset.patients),
        REPORT_NAME: report_document(
            conversion,
            dataset,
            split=split,
            test=sorted(case.case_id for case in usable if case.case_id not in split.training),
            problems=problems,
            files=files,
            orientations=orientations,
        ),
    }
    for name, content in documents.items():
        with write_errors_as_pancext(build.dataset / name):
            write_json(build.dataset / name, content)
    return {*files, *documents}, split.folds


def choose_split(
    conversion: Conversion, dataset: SourceDataset, usable: Sequence[SourceCase], problems: Sequence[Problem]
) -> Split:
    """Return the split of the usable cases; PancextError without any, or where `strict` forbids it."""
    lines = "\n".join(f"  {problem}" for problem in problems)
    # A file that is none of the case's does not make the case a bad one.
    if conversion.strict and any(problem.kind != PASSED_OVER for problem in problems):
        count = counted(len(problems), "problem")
        raise PancextError(f"--strict: {count} in {conversion.sources_text}:\n{lines}")
    labelled = [case.case_id for case in usable if case.label is not None]
    if not labelled:
        raise PancextError(f"no usable case in {conversion.sources_text}:\n{lines}")
    split = make_split(
        labelled,
        name=conversion.split,
        left_out=len(dataset.cases) - len(labelled),
        layout=conversion.layout,
        patients=dataset.patients,
        test_cases={case.case_id for case in dataset.cases if case.held_out},
    )
    if conversion.strict and split.gaps:
        raise PancextError(f"--strict: {split.gaps}. Download what is missing, or choose another --split.")
    return split


def require_room(
    dataset: SourceDataset, cases: Sequence[SourceCase], *, build: BuildFolder, copy: bool
) -> None:
    """Raise PancextError when the files that will not be linked do not fit on the target's disk."""
    labels = [case.label for case in cases if case.label is not None and case.label.is_file()]
    images = [case.image for case in cases if not case.series and case.image.is_file()]
    slices = [path for case in cases for path in case.series]
    plain = [path for path in (*images, *labels) if path.suffix == PLAIN]
    new_files = {*slices, *plain, *(labels if dataset.label_mapping or slices else ())}
    if images:
        must_copy = copy and not images[0].is_relative_to(build.root)
        if must_copy or not can_link(images[0], folder=build.dataset):
            new_files = {*slices, *images, *labels}
    if new_files:
        needed = sum(path.stat().st_size for path in new_files)
        written = sum(path.stat().st_size for path in build.dataset.rglob("*") if path.is_file())
        require_free_space(build.dataset, needed_bytes=max(0, needed - written))

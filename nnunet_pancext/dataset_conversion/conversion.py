"""From any source layout to a finished nnU-Net raw dataset: check, split, write, report, publish."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_conversion.archive import OpenedSource, opened_sources, require_source
from nnunet_pancext.dataset_conversion.build_folder import BuildFolder, locked_build_folder, read_record
from nnunet_pancext.dataset_conversion.case_steps import examine_cases, write_cases
from nnunet_pancext.dataset_conversion.remarks import belongs_to_test_set, remarks
from nnunet_pancext.dataset_conversion.report import (
    REPORT_NAME,
    ConversionResult,
    count_files,
    report_document,
)
from nnunet_pancext.dataset_conversion.target import CONVERTED_BY, RawTarget, dataset_json
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.disk import can_link, require_free_space, write_errors_as_pancext
from nnunet_pancext.io.files import write_json
from nnunet_pancext.io.parallel import default_jobs, for_each
from nnunet_pancext.nnunet_files.splits_final import place_folds
from nnunet_pancext.raw_cases.source import Problem, SourceCase, SourceDataset
from nnunet_pancext.splits.make import Split, make_split, parse_split, require_count, split_document
from nnunet_pancext.splits.published import PUBLISHED


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """One call of `pancext convert`: where from, where to, and its options."""

    sources: Sequence[Path]
    target: RawTarget
    layout: str
    labels: str
    split: str
    strict: bool
    overwrite: bool
    copy: bool
    check_orientation: bool

    @property
    def sources_text(self) -> str:
        """The sources in a message."""
        return " and ".join(map(str, self.sources))

    @property
    def options(self) -> dict[str, Any]:
        """What the report lists, and what a continued conversion must share."""
        return {
            "id": self.target.dataset_id,
            "name": self.target.name,
            "labels": self.labels,
            "split": self.split,
            "check_orientation": self.check_orientation,
            "copy": self.copy,
        }

    @property
    def source_entry(self) -> str:
        """The sources as the report names them."""
        return " and ".join(str(path.resolve()) for path in self.sources)

    @property
    def command(self) -> dict[str, Any]:
        """What must be the same for the work of a killed run to be used: program, options and sources."""
        archives = [path.stat() for path in self.sources if path.is_file()]
        return {
            "program": CONVERTED_BY,
            "layout": self.layout,
            "options": self.options,
            "source": self.source_entry,
            "archives": [[status.st_size, status.st_mtime_ns] for status in archives],
        }

    def has_made(self, folder: Path) -> bool:
        """Whether this version of the program made the dataset in `folder` by the same call."""
        report = read_record(folder / REPORT_NAME)
        return (
            isinstance(report, dict)
            and report.get("converted_by") == CONVERTED_BY
            and report.get("options") == self.options
            and report.get("source", {}).get("path") == self.source_entry
        )

    def require_free_target(self) -> None:
        """Raise PancextError unless the dataset may be written to the target."""
        for source in self.sources:
            self.target.require_free(source=source, overwrite=self.overwrite)


def convert_source(
    sources: Sequence[Path],
    *,
    read: Callable[..., SourceDataset],
    target: RawTarget,
    layout: str,
    labels: str,
    split: str = "nnunet",
    jobs: int | None = None,
    check_orientation: bool = False,
    strict: bool = False,
    overwrite: bool = False,
    copy: bool = False,
    show_progress: bool = True,
) -> ConversionResult:
    """Convert `sources`, folders or archives that `read` understands, to `target`.

    The dataset appears at the target when it is complete. A killed conversion is continued by the same call.

    Args:
        read: is called with the folders.
        layout: the source's name in `pancext convert`.
        split: 'nnunet' (all labelled cases train), 'A/B' (A patients for training, B for testing), or the
            name of a published one.
        check_orientation: reorient all labels by the image's intensities, not only those of DICOM series.
        copy: hard-link no file to the source.

    Raises:
        PancextError: for anything the user can correct, including bad cases if `strict`; nothing is then left
            at the target.
    """
    conversion = Conversion(
        sources=sources,
        target=target,
        layout=layout,
        labels=labels,
        split=split,
        strict=strict,
        overwrite=overwrite,
        copy=copy,
        check_orientation=check_orientation,
    )
    parse_split(split, layout=layout)
    for source in sources:
        require_source(source)
    target.require_usable_root()
    in_parallel = partial(
        for_each, jobs=default_jobs() if jobs is None else jobs, show_progress=show_progress
    )
    with locked_build_folder(target.folder) as build:
        if build.is_published and not overwrite and conversion.has_made(target.folder):
            return finish(build, target=target)
        conversion.require_free_target()
        build.begin(conversion.command)
        with opened_sources(sources, extract_under=build.root, show_progress=show_progress) as opened:
            dataset = read_dataset(conversion, opened, read=read)
            files, folds = build_dataset(conversion, dataset, build=build, in_parallel=in_parallel)
        conversion.require_free_target()  # another program may have created it meanwhile
        build.publish(expected=files, folds=folds)
        return finish(build, target=target)


def finish(build: BuildFolder, *, target: RawTarget) -> ConversionResult:
    """Do what remains after the publication, and return the result."""
    if folds := read_record(build.folds):
        place_folds(folds, dataset=target.folder.name)
    shutil.rmtree(build.root, ignore_errors=True)
    return ConversionResult.from_report(target.folder, dataset_id=target.dataset_id)


def read_dataset(
    conversion: Conversion, opened: Sequence[OpenedSource], *, read: Callable[..., SourceDataset]
) -> SourceDataset:
    """Return the cases found in the opened sources; PancextError where they cannot give the split."""
    try:
        dataset = read(*(source.folder for source in opened))
    except OSError as error:
        raise PancextError(
            f"cannot read {conversion.sources_text}: {error}. Check the permissions and the disk."
        ) from error
    hidden_members = sum(source.hidden_members for source in opened)
    dataset = replace(dataset, hidden_files=dataset.hidden_files + hidden_members)
    patients = dataset.patients
    patient_count = len(set(patients.values()))
    counts = parse_split(conversion.split, layout=conversion.layout)
    if counts and patient_count < sum(counts):
        what = "cases" if patient_count == len(patients) else "patients"
        require_count(patient_count, counts=counts, what=what)
    if conversion.split in PUBLISHED:  # fails now, and not after hours of reading, if patients are missing
        make_split(patients, name=conversion.split, layout=conversion.layout, patients=patients)
    return dataset


def build_dataset(
    conversion: Conversion, dataset: SourceDataset, *, build: BuildFolder, in_parallel: Callable[..., list]
) -> tuple[set[str], Any]:
    """Check and write all cases and documents; return the files of the dataset, and folds to be placed."""
    candidates = (
        *dataset.cases,
        *(case for case in dataset.unlabelled if belongs_to_test_set(case, split=conversion.split)),
    )
    require_room(dataset, candidates, build=build, copy=conversion.copy)
    usable, problems, orientations = examine_cases(
        dataset,
        candidates,
        build=build,
        check_orientation=conversion.check_orientation,
        in_parallel=in_parallel,
    )
    split = choose_split(conversion, dataset, usable=usable, problems=problems)
    listed = {*split.training, *split.test}
    usable = [case for case in usable if case.label is None or case.case_id in listed]
    files = write_cases(
        dataset, usable, split=split, build=build, copy=conversion.copy, in_parallel=in_parallel
    )
    result = ConversionResult(
        folder=conversion.target.folder,
        dataset_id=conversion.target.dataset_id,
        training=split.training,
        test=tuple(sorted(case.case_id for case in usable if case.case_id not in split.training)),
        left_out=tuple(problem for problem in problems if problem.leaves_out),
        warnings=tuple(problem for problem in problems if not problem.leaves_out),
        notes=tuple(remarks(dataset, split=split, target=conversion.target)),
        file_counts=count_files(files),
    )
    documents: dict[str, Any] = {
        "dataset.json": dataset_json(
            dataset, name=conversion.target.name, training_count=len(split.training)
        ),
        "split.json": split_document(split, patients=dataset.patients),
        REPORT_NAME: report_document(
            result,
            source=dataset,
            source_path=conversion.source_entry,
            options=conversion.options,
            split=split,
            files=files,
            orientations=orientations,
        ),
    }
    for name, content in documents.items():
        with write_errors_as_pancext(build.dataset / name):
            write_json(build.dataset / name, content)
    return {*files, *documents}, split.folds


def choose_split(
    conversion: Conversion,
    dataset: SourceDataset,
    *,
    usable: Sequence[SourceCase],
    problems: Sequence[Problem],
) -> Split:
    """Return the split of the usable cases; PancextError without any, or where `strict` forbids it."""
    lines = "\n".join(f"  {problem}" for problem in problems)
    if conversion.strict and problems:
        raise PancextError(f"--strict: {len(problems)} problem(s) in {conversion.sources_text}:\n{lines}")
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
    new_files = list(slices)
    if dataset.label_mapping or slices:
        new_files += labels
    if images:
        must_copy = copy and not images[0].is_relative_to(build.root)
        if must_copy or not can_link(images[0], folder=build.dataset):
            new_files = [*slices, *images, *labels]
    if not new_files:
        return
    needed = sum(path.stat().st_size for path in new_files)
    written = sum(path.stat().st_size for path in build.dataset.rglob("*") if path.is_file())
    require_free_space(build.dataset, needed_bytes=max(0, needed - written))

"""`check_dataset`: all cases of a raw dataset, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_check.channels import find_channels, find_twins
from nnunet_pancext.dataset_check.judge import ERROR, WARNING, Finding, judge_cases
from nnunet_pancext.dataset_check.measure import CaseMeasure, measure_case
from nnunet_pancext.dataset_check.report import MOST_PICTURES, draw_cases, write_check_report
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.io.images import quiet_itk
from nnunet_pancext.io.parallel import default_jobs, for_each
from nnunet_pancext.nnunet_files.raw_dataset import file_ending
from nnunet_pancext.raw_cases.case_checks import CaseFindings, find_duplicates
from nnunet_pancext.raw_cases.source import Problem, SourceCase


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What was found, the worst case first, and where the report lies."""

    report: Path
    measures: dict[str, CaseMeasure]
    findings: dict[str, list[Finding]]

    def count(self, level: str) -> int:
        """Return how many cases have a finding of the level."""
        return sum(any(one.level == level for one in found) for found in self.findings.values())

    @property
    def is_sound(self) -> bool:
        """Say whether no case has an error."""
        return not self.count(ERROR)


def check_dataset(
    folder: Path, *, out: Path, jobs: int | None = None, show_progress: bool = True
) -> CheckResult:
    """Look through the raw dataset in `folder`, write report.html, report.json and pictures to `out`.

    Geometry and NaN of all channels, label values, images that are there twice, empty and tiny labels; in CT
    also implausible HU, labels whose mean HU differs from the others' and labels that lie the wrong way
    round. Memory is that of `jobs` cases.

    Raises:
        PancextError: the folder is no raw dataset, or `out` cannot be written.
    """
    declared = read_json(folder / "dataset.json", expect=dict)
    labels, allowed = declared_labels(declared, folder=folder)
    names = declared_channels(declared, folder=folder)
    cases, channels = find_cases(folder, ending=file_ending(declared, folder=folder))
    is_ct = str(next(iter(names.values()))).upper() == "CT"
    in_parallel = partial(
        for_each, jobs=default_jobs() if jobs is None else jobs, show_progress=show_progress
    )
    measure = partial(
        measure_case,
        root=folder,
        labels=labels,
        allowed=allowed,
        channels=channels,
        channel_count=len(names),
    )
    with quiet_itk():
        measures = with_duplicates(in_parallel(measure, cases, title="reading"), cases)
    findings = judge_cases(measures, is_ct=is_ct)
    by_case = {one.case_id: one for one in measures}
    try:
        out.mkdir(parents=True, exist_ok=True)
        worst_first = {case: at for at, case in enumerate(findings)}
        pictures = draw_cases(
            sorted(cases, key=lambda case: worst_first[case.case_id])[:MOST_PICTURES],
            measures=by_case,
            labels=labels,
            is_ct=is_ct,
            folder=out / "pictures",
            in_parallel=in_parallel,
        )
        report = write_check_report(
            out, dataset=folder, measures=by_case, findings=findings, pictures=pictures
        )
    except OSError as error:
        raise PancextError(
            f"cannot write to {out}: {error.strerror}. Give another folder with -o."
        ) from error
    return CheckResult(report=report, measures=by_case, findings=findings)


def declared_labels(
    declared: Mapping[str, Any], *, folder: Path
) -> tuple[dict[str, tuple[int, ...]], set[int]]:
    """Return the values of each label or region, and every value that a label may hold."""
    where = folder / "dataset.json"
    found = declared.get("labels")
    if not isinstance(found, dict) or not found:
        raise PancextError(f"{where} declares no labels. Is this an nnU-Net raw dataset?")
    if all(str(name).isdecimal() for name in found) and all(isinstance(one, str) for one in found.values()):
        first, name = next(iter(found.items()))
        raise PancextError(
            f'{where} declares labels as the Decathlon does, {{"{first}": "{name}"}}; nnU-Net v2 has it the '
            f'other way round, {{"{name}": {first}}}. Swap names and values, or make the dataset with '
            "`pancext convert msd`."
        )
    values = {}
    for name, value in found.items():
        several = value if isinstance(value, list) else [value]
        if not several or not all(type(one) is int for one in several):
            raise PancextError(
                f"{where} declares the label {name!r} as {json.dumps(value)}; expected is a whole number, "
                "or for a region a list of them. Correct it."
            )
        values[str(name)] = tuple(several)
    allowed = {0, *(one for several in values.values() for one in several)}
    labels = {name: several for name, several in values.items() if several != (0,) and name != "ignore"}
    return labels, allowed


def declared_channels(declared: Mapping[str, Any], *, folder: Path) -> dict[str, str]:
    """Return the names of the channels by their number as text; one without a name where none is declared."""
    names = declared.get("channel_names", declared.get("modality")) or {"0": ""}
    if not isinstance(names, dict):
        raise PancextError(
            f"{folder / 'dataset.json'} has {json.dumps(names)} as channel_names; expected are the names by "
            'number, as {"0": "CT"}. Correct it.'
        )
    return names


def find_cases(folder: Path, *, ending: str) -> tuple[list[SourceCase], dict[str, dict[int, Path]]]:
    """Return the cases, and the images of each by the number of the channel.

    A case is what has an image of any channel or a label. One of the test set whose id is a training case's
    too is called imagesTs/ID.
    """
    cases: list[SourceCase] = []
    channels: dict[str, dict[int, Path]] = {}
    for subset in ("Tr", "Ts"):
        images, labels = folder / f"images{subset}", folder / f"labels{subset}"
        found = find_channels(images, ending=ending)
        if subset == "Tr" and not found:
            raise PancextError(f"no images *_0000{ending} in {images}. Is this an nnU-Net raw dataset?")
        labelled = {path.name.removesuffix(ending) for path in labels.glob(f"[!.]*{ending}")}
        for name in sorted({*found, *labelled}):
            case = f"{images.name}/{name}" if name in channels else name
            channels[case] = found.get(name, {})
            label = labels / f"{name}{ending}" if subset == "Tr" or name in labelled else None
            cases.append(SourceCase(case_id=case, image=images / f"{name}_0000{ending}", label=label))
    return cases, channels


def ids_there_twice(cases: Sequence[SourceCase]) -> list[Problem]:
    """Return a problem for each case of the test set that has the id of a training case."""
    return [
        Problem(
            case_id=case.case_id,
            kind="id in training and test",
            message=f"{case.case_id} has the name of a training case. Remove one of them, or if they are two "
            "patients, give one another name.",
        )
        for case in cases
        if case.case_id.startswith(f"{case.image.parent.name}/")
    ]


def with_duplicates(measures: list[CaseMeasure], cases: list[SourceCase]) -> list[CaseMeasure]:
    """Add to each case of which a channel, or the id, is another's that problem."""
    names = {case.case_id: f"{case.image.parent.name}/{case.image.name}" for case in cases}
    findings = [
        CaseFindings(case_id=one.case_id, problems=(), image_hash=one.image_hash, size=None, spacing_mm=None)
        for one in measures
    ]
    hashes = {
        one.case_id: {**({0: one.image_hash} if one.image_hash else {}), **one.channel_hashes}
        for one in measures
    }
    twins: dict[str, list[Problem]] = {}
    for problem in (
        *find_duplicates(findings, image_names=names),
        *find_twins(hashes),
        *ids_there_twice(cases),
    ):
        twins.setdefault(problem.case_id, []).append(problem)
    return [replace(one, problems=(*one.problems, *twins.get(one.case_id, ()))) for one in measures]


def summary(result: CheckResult) -> str:
    """Return what the user wants to read at the end."""
    lines = []
    for case, found in result.findings.items():
        lines += [f"{case}: {finding}" for finding in found]
    shown = lines[:20]
    if len(lines) > len(shown):
        shown.append(f"… and {len(lines) - len(shown)} more, all in the report")
    errors, warnings = result.count(ERROR), result.count(WARNING)
    shown.append(f"{len(result.measures)} cases, {errors} with errors, {warnings} with warnings")
    shown.append(f"report    {result.report}")
    return "\n".join(shown)

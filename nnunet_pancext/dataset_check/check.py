"""`check_dataset`: all cases of a raw dataset, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from nnunet_pancext.dataset_check.channels import find_channels, find_twins
from nnunet_pancext.dataset_check.judge import ERROR, WARNING, Finding, judge_cases
from nnunet_pancext.dataset_check.measure import CaseMeasure, measure_case
from nnunet_pancext.dataset_check.report import MOST_PICTURES, draw_cases, write_check_report
from nnunet_pancext.dataset_conversion.case_checks import CaseFindings, find_duplicates
from nnunet_pancext.dataset_conversion.case_steps import quiet_itk
from nnunet_pancext.dataset_conversion.image_scan import PNG
from nnunet_pancext.dataset_conversion.source import Problem, SourceCase
from nnunet_pancext.dataset_conversion.split_files import read_json
from nnunet_pancext.errors import PancextError
from nnunet_pancext.parallel import default_jobs, for_each


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
    declared = read_json(folder / "dataset.json")
    labels, allowed = declared_labels(declared, folder=folder)
    ending = declared.get("file_ending", ".nii.gz")
    cases = find_cases(folder, ending=ending)
    channels = {
        case: found
        for part in ("imagesTr", "imagesTs")
        for case, found in find_channels(folder / part, ending=ending).items()
    }
    names = declared.get("channel_names") or {"0": ""}
    is_ct = str(next(iter(names.values()))).upper() == "CT"
    may_be_empty = ending == PNG
    in_parallel = partial(for_each, jobs=jobs or default_jobs(), show_progress=show_progress)
    measure = partial(
        measure_case,
        root=folder,
        labels=labels,
        allowed=allowed,
        channels=channels,
        channel_count=len(names),
        may_be_empty=may_be_empty,
    )
    with quiet_itk():
        measures = with_duplicates(in_parallel(measure, cases, title="reading"), cases)
    findings = judge_cases(measures, is_ct=is_ct, may_be_empty=may_be_empty)
    by_case = {one.case_id: one for one in measures}
    try:
        out.mkdir(parents=True, exist_ok=True)
        worst_first = {case: at for at, case in enumerate(findings)}
        drawn = [case for case in cases if by_case[case.case_id].labels]
        drawn = sorted(drawn, key=lambda case: worst_first[case.case_id])[:MOST_PICTURES]
        pictures = draw_cases(
            drawn,
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
    found = declared.get("labels")
    if not isinstance(found, dict):
        raise PancextError(f"{folder / 'dataset.json'} declares no labels. Is this an nnU-Net raw dataset?")
    values = {
        str(name): tuple(value) if isinstance(value, (list, tuple)) else (int(value),)
        for name, value in found.items()
    }
    allowed = {0, *(one for several in values.values() for one in several)}
    labels = {name: several for name, several in values.items() if several != (0,) and name != "ignore"}
    return labels, allowed


def find_cases(folder: Path, *, ending: str) -> list[SourceCase]:
    """Return the training cases, and the test cases whose labels are there."""
    cases = []
    for subset in ("Tr", "Ts"):
        for image in sorted((folder / f"images{subset}").glob(f"[!.]*_0000{ending}")):
            case = image.name.removesuffix(f"_0000{ending}")
            label = folder / f"labels{subset}" / f"{case}{ending}"
            cases.append(
                SourceCase(
                    case_id=case, image=image, label=label if subset == "Tr" or label.is_file() else None
                )
            )
    if not any(case.label for case in cases):
        raise PancextError(
            f"no images *_0000{ending} in {folder / 'imagesTr'}. Is this an nnU-Net raw dataset?"
        )
    return cases


def with_duplicates(measures: list[CaseMeasure], cases: list[SourceCase]) -> list[CaseMeasure]:
    """Add to each case of which a channel is another one that problem."""
    names = {case.case_id: f"{case.image.parent.name}/{case.image.name}" for case in cases}
    findings = [
        CaseFindings(case_id=one.case_id, problems=(), image_hash=one.image_hash, size=None, spacing_mm=None)
        for one in measures
    ]
    hashes = {
        one.case_id: {0: one.image_hash, **one.channel_hashes}
        for one in measures
        if one.image_hash is not None
    }
    twins: dict[str, list[Problem]] = {}
    for problem in (*find_duplicates(findings, image_names=names), *find_twins(hashes)):
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

"""Checking a raw dataset: `inspect_dataset` measures and judges, `check_dataset` also writes a report."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from nnunet_pancext.dataset_check.judge import ERROR, WARNING, CheckResult, judge_cases
from nnunet_pancext.dataset_check.measure import CaseMeasure, find_channels, find_twins, measure_case
from nnunet_pancext.dataset_check.report import MOST_PICTURES, draw_cases, write_check_report
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import cannot_write, encoding_fault
from nnunet_pancext.io.images import quiet_itk
from nnunet_pancext.io.parallel import default_jobs, for_each
from nnunet_pancext.nnunet_files.dataset_json import NAME, read_dataset_json
from nnunet_pancext.raw_cases.case_checks import CaseFindings, find_duplicates
from nnunet_pancext.raw_cases.source import Problem, SourceCase


def check_dataset(
    folder: Path, *, out: Path, jobs: int | None = None, show_progress: bool = True
) -> CheckResult:
    """Inspect the raw dataset in `folder` and write report.html, report.json and figures to `out`.

    Raises:
        PancextError: as `inspect_dataset`, or `out` cannot be written.
    """
    result = inspect_dataset(folder, jobs=jobs, show_progress=show_progress)
    try:
        out.mkdir(parents=True, exist_ok=True)
        worst = [result.cases[case] for case in result.findings][:MOST_PICTURES]
        in_parallel = _in_parallel(jobs, show_progress)
        figures = draw_cases(worst, result, folder=out / "pictures", in_parallel=in_parallel)
        report = write_check_report(out, result, pictures=figures)
    except OSError as error:
        raise cannot_write(out, error) from error
    return replace(result, report=report)


def inspect_dataset(folder: Path, *, jobs: int | None = None, show_progress: bool = True) -> CheckResult:
    """Measure and judge every case of a raw dataset, without drawing or writing anything.

    Checked are geometry and NaN of all channels, label values, duplicate images, empty and tiny labels, and
    in CT also implausible HU, labels whose mean HU is an outlier and misoriented labels. At most `jobs` cases
    are in memory.

    Raises:
        PancextError: the folder is not a raw dataset, or nnU-Net cannot read its dataset.json.
    """
    declared = read_dataset_json(folder / NAME)
    if fault := encoding_fault(folder / NAME):
        raise PancextError(fault)
    values, is_ct = declared.values, declared.is_ct  # before the long reading, as they may be refused
    labels = {name: several for name, several in values.items() if several != (0,) and name != "ignore"}
    cases, channels = list_cases(folder, ending=declared.file_ending)
    measure = partial(measure_case, declared=declared, labels=labels, channels=channels)
    with quiet_itk():
        measures = _in_parallel(jobs, show_progress)(measure, cases, title="reading")
    measures = add_duplicates(measures, cases)
    return CheckResult(
        dataset=folder,
        labels=labels,
        is_ct=is_ct,
        cases={case.case_id: case for case in cases},
        measures={measure.case_id: measure for measure in measures},
        findings=judge_cases(measures, is_ct=is_ct),
    )


def list_cases(folder: Path, *, ending: str) -> tuple[list[SourceCase], dict[str, dict[int, Path]]]:
    """Return the cases, and the images of each by channel number.

    A case has an image of some channel, or a label. A test case with the id of a training case is called
    imagesTs/ID.
    """
    cases: list[SourceCase] = []
    channels: dict[str, dict[int, Path]] = {}
    for subset in ("Tr", "Ts"):
        images, labels = folder / f"images{subset}", folder / f"labels{subset}"
        images_of = find_channels(images, ending=ending)
        if subset == "Tr" and not images_of:
            raise PancextError(f"No images *_0000{ending} in {images}. Is this an nnU-Net raw dataset?")
        labelled = {path.name.removesuffix(ending) for path in labels.glob(f"[!.]*{ending}")}
        for name in sorted({*images_of, *labelled}):
            case = f"{images.name}/{name}" if name in channels else name
            channels[case] = images_of.get(name, {})
            label = labels / f"{name}{ending}" if subset == "Tr" or name in labelled else None
            cases.append(SourceCase(case_id=case, image=images / f"{name}_0000{ending}", label=label))
    return cases, channels


def add_duplicates(measures: list[CaseMeasure], cases: list[SourceCase]) -> list[CaseMeasure]:
    """Return the measures with a problem added for each channel or case id that occurs twice."""
    image_names = {case.case_id: f"{case.image.parent.name}/{case.image.name}" for case in cases}
    images = [CaseFindings(case_id=measure.case_id, image_hash=measure.image_hash) for measure in measures]
    hashes = {
        measure.case_id: {**({0: measure.image_hash} if measure.image_hash else {}), **measure.channel_hashes}
        for measure in measures
    }
    same_ids = [
        Problem(
            case_id=case.case_id,
            kind="id in training and test",
            message=f"{case.case_id} has the name of a training case. Remove one of the two, or rename one "
            "if they show different patients.",
        )
        for case in cases
        if case.case_id.startswith(f"{case.image.parent.name}/")
    ]
    added: dict[str, list[Problem]] = {}
    for problem in (*find_duplicates(images, image_names=image_names), *find_twins(hashes), *same_ids):
        added.setdefault(problem.case_id, []).append(problem)
    return [
        replace(measure, problems=(*measure.problems, *added.get(measure.case_id, ())))
        for measure in measures
    ]


def summary(result: CheckResult, *, most_lines: int = 20) -> str:
    """Return the first findings, the number of cases with errors and warnings, and the report's path."""
    findings = [f"{case}: {finding}" for case, several in result.findings.items() for finding in several]
    lines = findings[:most_lines]
    if len(findings) > most_lines:
        lines.append(f"… and {len(findings) - most_lines} more, all in the report")
    errors, warnings = result.count(ERROR), result.count(WARNING)
    lines.append(f"{len(result.measures)} cases, {errors} with errors, {warnings} with warnings")
    return "\n".join([*lines, f"report    {result.report}"])


def _in_parallel(jobs: int | None, show_progress: bool) -> partial:
    return partial(for_each, jobs=default_jobs() if jobs is None else jobs, show_progress=show_progress)

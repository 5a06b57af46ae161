"""Checking a raw dataset: `inspect_dataset` measures and judges, `check_dataset` also writes a report."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from nnunet_pancext.dataset_check.channel_images import find_twins
from nnunet_pancext.dataset_check.dataset_rules import judge_dataset_json, judge_files, judge_reader_choice
from nnunet_pancext.dataset_check.finding import ERROR, WARNING, Finding
from nnunet_pancext.dataset_check.judge import CheckResult, judge_cases
from nnunet_pancext.dataset_check.label_rules import readable_labels
from nnunet_pancext.dataset_check.measure import CaseMeasure, measure_case
from nnunet_pancext.dataset_check.normalization import judge_channels
from nnunet_pancext.dataset_check.report import MOST_PICTURES, draw_cases, write_check_report
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted, is_utf8, shown_name
from nnunet_pancext.io.files import cannot_write, encoding_fault, output_folder
from nnunet_pancext.io.images import quiet_itk
from nnunet_pancext.io.parallel import default_jobs, for_each
from nnunet_pancext.nnunet_files.case_files import CaseFiles, testing_files, training_files
from nnunet_pancext.nnunet_files.dataset_json import NAME, DatasetJson, read_dataset_json
from nnunet_pancext.raw_cases.case_checks import CaseFindings, find_duplicates
from nnunet_pancext.raw_cases.reader_choice import find_reader
from nnunet_pancext.raw_cases.source import Problem, SourceCase


def check_dataset(
    folder: Path, *, out: Path, jobs: int | None = None, show_progress: bool = True
) -> CheckResult:
    """Inspect the raw dataset in `folder` and write report.html, report.json and figures to `out`.

    Raises:
        PancextError: as `inspect_dataset`, or `out` cannot be written, which is found out first.
    """
    with output_folder(out):
        result = inspect_dataset(folder, jobs=jobs, show_progress=show_progress)
        try:
            worst = [result.cases[case] for case in result.findings][:MOST_PICTURES]
            in_parallel = _in_parallel(jobs, show_progress)
            with quiet_itk():
                figures = draw_cases(worst, result, folder=out / "pictures", in_parallel=in_parallel)
            report = write_check_report(out, result, pictures=figures)
        except OSError as error:
            raise cannot_write(out, error) from error
    return replace(result, report=report)


def inspect_dataset(folder: Path, *, jobs: int | None = None, show_progress: bool = True) -> CheckResult:
    """Measure and judge every case of a raw dataset, without drawing or writing anything.

    Checked are dataset.json by nnU-Net's rules, geometry and NaN of all channels, label values, duplicate
    images, empty and tiny labels, and in CT also implausible HU, labels whose mean HU is an outlier and
    misoriented labels. Files are read as nnU-Net's reader does. At most `jobs` cases are in memory.

    Raises:
        PancextError: the folder is not a raw dataset, or nnU-Net has no reader for its files.
    """
    declared = read_dataset_json(folder / NAME)
    findings = list(judge_dataset_json(declared))
    if fault := encoding_fault(folder / NAME):
        findings.append(Finding(ERROR, "encoding", fault))
    try:
        training, testing = training_files(declared), testing_files(declared)
        example = _first_image(training)
        reader = find_reader(declared, example=example)
    except PancextError as error:
        errors = [finding for finding in findings if finding.level == ERROR]
        raise PancextError("\n".join([str(error), *(f"{NAME}: {finding}" for finding in errors)])) from error
    findings += judge_reader_choice(declared, reader.name, example=example.name)
    findings += judge_files(declared, cases=sum(bool(files.images) for files in training.values()))
    cases, images = list_cases(folder, training=training, testing=testing, ending=declared.file_ending)
    names = _channel_names(declared)
    is_ct = next(iter(names.values()), "").casefold() == "ct"
    values = readable_labels(declared.content)
    foreground = {name: several for name, several in values.items() if several != (0,) and name != "ignore"}
    labels = foreground or {"label 1": (1,)}  # something to measure and draw if the labels are malformed
    measure = partial(
        measure_case,
        root=folder,
        reader=reader,
        images=images,
        labels=labels,
        values=sorted({0, *(value for several in values.values() for value in several)})
        if foreground
        else (),
        count=len(names),
        is_listed="dataset" in declared.content,
    )
    with quiet_itk():
        measures = _in_parallel(jobs, show_progress)(measure, cases, title="reading")
    measures = add_duplicates(measures, cases)
    findings += judge_channels(names, [measure.ranges for measure in measures])
    return CheckResult(
        dataset=folder,
        labels=labels,
        is_ct=is_ct,
        cases={case.case_id: case for case in cases},
        measures={measure.case_id: measure for measure in measures},
        findings=judge_cases(measures, is_ct=is_ct),
        dataset_findings=sorted(findings, key=lambda finding: finding.level != ERROR),
        reader=reader,
    )


def list_cases(
    folder: Path, *, training: Mapping[str, CaseFiles], testing: Mapping[str, CaseFiles], ending: str
) -> tuple[list[SourceCase], dict[str, Mapping[int, Path]]]:
    """Return the cases, and the images of each by channel number.

    A case has an image of some channel, or a label. A test case with the id of a training case is called
    imagesTs/ID.
    """
    cases: list[SourceCase] = []
    images: dict[str, Mapping[int, Path]] = {}
    for subset, of_subset in (("imagesTr", training), ("imagesTs", testing)):
        for name, files in of_subset.items():
            case = shown_name(f"{subset}/{name}" if subset == "imagesTs" and name in training else name)
            images[case] = files.images
            image = files.images.get(0, folder / subset / f"{name}_0000{ending}")
            cases.append(SourceCase(case_id=case, image=image, label=files.label))
    return cases, images


def add_duplicates(measures: list[CaseMeasure], cases: list[SourceCase]) -> list[CaseMeasure]:
    """Return the measures with a problem added for each channel or case id that occurs twice."""
    image_names = {case.case_id: f"{case.image.parent.name}/{case.image.name}" for case in cases}
    images = [CaseFindings(case_id=measure.case_id, image_hash=measure.hashes.get(0)) for measure in measures]
    hashes = {measure.case_id: measure.hashes for measure in measures}
    same_ids = [
        Problem(
            case_id=case.case_id,
            kind="id in training and test",
            message=f"{case.case_id} has the name of a training case. Remove one of the two, or rename one "
            "if they show different patients.",
        )
        for case in cases
        if case.case_id.startswith("imagesTs/")
    ]
    added: dict[str, list[Problem]] = {}
    for problem in (*find_duplicates(images, image_names=image_names), *find_twins(hashes), *same_ids):
        added.setdefault(problem.case_id, []).append(problem)
    return [
        replace(measure, problems=(*measure.problems, *added.get(measure.case_id, ())))
        for measure in measures
    ]


def summary(result: CheckResult, *, most_lines: int = 20) -> str:
    """Return findings, those of the dataset first, the numbers of cases with any, and the report's path."""
    lines = [f"dataset: {finding}" for finding in result.dataset_findings]
    findings = [f"{case}: {finding}" for case, several in result.findings.items() for finding in several]
    lines += findings[:most_lines]
    if len(findings) > most_lines:
        lines.append(f"… and {len(findings) - most_lines} more, all in the report")
    lines.append(_counts(result))
    return "\n".join([*lines, f"report    {result.report}"])


def _counts(result: CheckResult) -> str:
    errors, warnings = result.count(ERROR), result.count(WARNING)
    cases = f"{len(result.measures)} cases, {errors} with errors, {warnings} with warnings"
    if not result.dataset_findings:
        return cases
    levels = [finding.level for finding in result.dataset_findings]
    of_dataset = [counted(levels.count(level), level) for level in (ERROR, WARNING) if level in levels]
    clean = f"{len(result.measures)} cases without a finding"
    return f"{' and '.join(of_dataset)} of the dataset as a whole; {cases if errors or warnings else clean}"


def _channel_names(declared: DatasetJson) -> dict[str, str]:
    """Return the names of the channels, empty if they are malformed, which has its own finding."""
    names = declared.content.get("channel_names", declared.content.get("modality"))
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        return {}
    return names


def _first_image(training: Mapping[str, CaseFiles]) -> Path:
    images = [image for files in training.values() for image in files.images.values()]
    return next(filter(is_utf8, images), images[0])


def _in_parallel(jobs: int | None, show_progress: bool) -> partial:
    return partial(for_each, jobs=default_jobs() if jobs is None else jobs, show_progress=show_progress)

"""What is wrong with a case, by itself and compared with the other cases of its dataset."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from nnunet_pancext.dataset_check.finding import ERROR, WARNING, Finding
from nnunet_pancext.dataset_check.measure import CaseMeasure
from nnunet_pancext.dataset_check.normalization import AIR_HU, HIGHEST_HU, LOWEST_HU, SOFT_TISSUE_HU
from nnunet_pancext.raw_cases.case_checks import rounded
from nnunet_pancext.raw_cases.orientation import Reorientation
from nnunet_pancext.raw_cases.readers import Reader
from nnunet_pancext.raw_cases.source import SourceCase

WEIGHT = {ERROR: 100.0, WARNING: 10.0}

TINY_VOXELS = 10
SPACING_FACTOR = 4.0
MOST_DEVIATIONS = 5.0
LEAST_SPREAD = 8.0  # of a label's mean, in HU: the variation between healthy patients
LEAST_CASES = 4  # to compare with


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """Measures and findings by case, the worst case first in `findings`; `report` is None until written.

    `dataset_findings` are those of dataset.json and of the dataset as a whole; `reader` reads its files.
    """

    dataset: Path
    labels: Mapping[str, tuple[int, ...]]
    is_ct: bool
    cases: Mapping[str, SourceCase]
    measures: dict[str, CaseMeasure]
    findings: dict[str, list[Finding]]
    dataset_findings: Sequence[Finding]
    reader: Reader
    report: Path | None = None

    def count(self, level: str) -> int:
        """Return the number of cases with a finding of this level."""
        return sum(any(finding.level == level for finding in findings) for findings in self.findings.values())

    @property
    def is_sound(self) -> bool:
        """Whether neither a case nor the dataset itself has an error."""
        return not self.count(ERROR) and not any(finding.level == ERROR for finding in self.dataset_findings)


def judge_cases(measures: Sequence[CaseMeasure], *, is_ct: bool) -> dict[str, list[Finding]]:
    """Return the findings of each case, the worst case first; with `is_ct`, intensities are judged as HU."""
    findings = {measure.case_id: list(_findings(measure, is_ct=is_ct)) for measure in measures}
    outliers = [*_spacing_outliers(measures), *(_mean_outliers(measures) if is_ct else ())]
    for case, finding in outliers:
        findings[case].append(finding)

    def weight(case: str) -> float:
        return sum(WEIGHT[finding.level] for finding in findings[case])

    return {case: findings[case] for case in sorted(findings, key=lambda case: (-weight(case), case))}


def _findings(measure: CaseMeasure, *, is_ct: bool) -> Iterator[Finding]:
    for problem in measure.problems:
        yield Finding(ERROR, problem.kind, problem.message)
    if len(measure.size or ()) != 2 and measure.labels and 0 < measure.foreground_voxels < TINY_VOXELS:
        message = f"only {measure.foreground_voxels} labelled voxels. Is the label complete?"
        yield Finding(WARNING, "tiny foreground", message)
    if not is_ct:
        return
    if message := _implausible_hu(measure):
        yield Finding(WARNING, "implausible HU", message)
    fit = measure.orientation
    if fit is not None and fit.turn != Reorientation() and fit.is_clear:
        message = f"the label matches its image only with {fit} (as stored {fit.as_it_is:.2f})"
        yield Finding(ERROR, "label turned", f"{message}. Convert with --check-orientation.")


def _implausible_hu(measure: CaseMeasure) -> str:
    if measure.lowest is None or measure.highest is None:
        return ""
    span = f"values range from {measure.lowest:g} to {measure.highest:g}"
    if measure.lowest < LOWEST_HU or measure.highest > HIGHEST_HU:
        return f"{span}. Is the rescale slope applied twice?"
    if measure.lowest > AIR_HU:
        return f"{span}, without air. Is the rescale intercept missing?"
    if measure.highest < SOFT_TISSUE_HU:
        return f"{span}, without bone or contrast. Was the image windowed?"
    return ""


def _spacing_outliers(measures: Sequence[CaseMeasure]) -> Iterator[tuple[str, Finding]]:
    spacings = {measure.case_id: measure.spacing_mm for measure in measures if measure.spacing_mm is not None}
    most_axes = max(map(len, spacings.values()), default=0)
    spacings = {case: spacing for case, spacing in spacings.items() if len(spacing) == most_axes}
    if len(spacings) < LEAST_CASES:
        return
    usual = [median(axis) for axis in zip(*spacings.values(), strict=True)]
    for case, spacing in spacings.items():
        factors = [step / typical for step, typical in zip(spacing, usual, strict=True)]
        if max(factors) > SPACING_FACTOR or min(factors) < 1 / SPACING_FACTOR:
            message = f"{rounded(spacing)} mm, the dataset's median is {rounded(usual)} mm"
            yield case, Finding(WARNING, "spacing outlier", message)


def _mean_outliers(measures: Sequence[CaseMeasure]) -> Iterator[tuple[str, Finding]]:
    for name in sorted({name for measure in measures for name in measure.labels}):
        labels = {measure.case_id: measure.labels[name] for measure in measures if name in measure.labels}
        means = {case: label.mean for case, label in labels.items() if not math.isnan(label.mean)}
        if len(means) < LEAST_CASES:
            continue
        middle = median(means.values())
        spread = max(LEAST_SPREAD, 1.4826 * median(abs(mean - middle) for mean in means.values()))
        for case, mean in means.items():
            deviations = abs(mean - middle) / spread
            if deviations > MOST_DEVIATIONS:
                message = (
                    f"the mean of {name} is {mean:.0f} HU, {deviations:.0f} deviations from the dataset's "
                    f"median of {middle:.0f} HU. Is the label on the organ?"
                )
                yield case, Finding(WARNING, "mean HU outlier", message)

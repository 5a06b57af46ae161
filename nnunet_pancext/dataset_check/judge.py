"""What is wrong with a case, by itself and beside the others of its dataset."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from nnunet_pancext.dataset_check.measure import CaseMeasure
from nnunet_pancext.raw_cases.case_checks import rounded
from nnunet_pancext.raw_cases.orientation import Reorientation

ERROR, WARNING = "error", "warning"
WEIGHT = {ERROR: 100.0, WARNING: 10.0}

AIR_HU = -500.0  # a CT has air in or around the body
LOWEST_HU, HIGHEST_HU = -3100.0, 10000.0  # paddings of scanners, and metal
SOFT_TISSUE_HU = 100.0
TINY_VOXELS = 10
SPACING_FACTOR = 4.0
MOST_DEVIATIONS = 5.0
LEAST_SPREAD = 8.0  # of a label's mean, in HU: so much do healthy patients differ
LEAST_CASES = 4  # to compare with


@dataclass(frozen=True)
class Finding:
    """Something about a case: an error spoils a training, a warning should be looked at."""

    level: str
    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.level}: {self.kind}: {self.message}"


def judge_cases(measures: Sequence[CaseMeasure], *, is_ct: bool) -> dict[str, list[Finding]]:
    """Return the findings of each case, the worst case first.

    Args:
        measures: of all cases.
        is_ct: intensities are HU.
    """
    found: dict[str, list[Finding]] = {}
    for one in measures:
        found[one.case_id] = [
            *(Finding(ERROR, problem.kind, problem.message) for problem in one.problems),
            *_size_findings(one),
            *(_hu_findings(one) if is_ct else ()),
            *(_place_findings(one) if is_ct else ()),
        ]
    _compare_spacing(measures, found)
    if is_ct:
        _compare_means(measures, found)
    return dict(sorted(found.items(), key=lambda item: (-_weight(item[1]), item[0])))


def _weight(findings: Sequence[Finding]) -> float:
    return sum(WEIGHT[finding.level] for finding in findings)


def _size_findings(one: CaseMeasure) -> list[Finding]:
    if len(one.size or ()) == 2 or not one.labels or not 0 < one.foreground_voxels < TINY_VOXELS:
        return []
    message = f"{one.foreground_voxels} labelled voxels in all. Is that the whole label?"
    return [Finding(WARNING, "tiny foreground", message)]


def _hu_findings(one: CaseMeasure) -> list[Finding]:
    if one.lowest is None or one.highest is None:
        return []
    span = f"its values go from {one.lowest:g} to {one.highest:g}"
    if one.lowest < LOWEST_HU or one.highest > HIGHEST_HU:
        return [Finding(WARNING, "implausible HU", f"{span}. Is the rescale slope applied twice?")]
    if one.lowest > AIR_HU:
        return [Finding(WARNING, "implausible HU", f"{span}, without air. Is the rescale intercept missing?")]
    if one.highest < SOFT_TISSUE_HU:
        return [Finding(WARNING, "implausible HU", f"{span}, without bone or contrast. Was it windowed?")]
    return []


def _place_findings(one: CaseMeasure) -> list[Finding]:
    seen = one.orientation
    if seen is None or seen.turn == Reorientation() or not seen.is_clear:
        return []
    message = f"the label lies on its image only with {seen} (as it is {seen.as_it_is:.2f})"
    return [Finding(ERROR, "label turned", f"{message}. Convert with --check-orientation.")]


def _compare_spacing(measures: Sequence[CaseMeasure], found: dict[str, list[Finding]]) -> None:
    spacings = [one.spacing_mm for one in measures if one.spacing_mm is not None]
    if len(spacings) < LEAST_CASES:
        return
    usual = [median(axis) for axis in zip(*spacings, strict=True)]
    for one in measures:
        if one.spacing_mm is None:
            continue
        factors = [mine / theirs for mine, theirs in zip(one.spacing_mm, usual, strict=True)]
        if max(factors) > SPACING_FACTOR or min(factors) < 1 / SPACING_FACTOR:
            message = f"{rounded(one.spacing_mm)} mm, the dataset's median is {rounded(usual)} mm"
            found[one.case_id].append(Finding(WARNING, "spacing outlier", message))


def _compare_means(measures: Sequence[CaseMeasure], found: dict[str, list[Finding]]) -> None:
    names = {name for one in measures for name in one.labels}
    for name in sorted(names):
        means = {
            one.case_id: one.labels[name].mean
            for one in measures
            if name in one.labels and not math.isnan(one.labels[name].mean)
        }
        if len(means) < LEAST_CASES:
            continue
        middle = median(means.values())
        spread = max(LEAST_SPREAD, 1.4826 * median(abs(mean - middle) for mean in means.values()))
        for case, mean in means.items():
            deviations = abs(mean - middle) / spread
            if deviations > MOST_DEVIATIONS:
                message = (
                    f"{name} has a mean of {mean:.0f} HU, {deviations:.0f} deviations from the dataset's "
                    f"median of {middle:.0f} HU. Does the label lie on the organ?"
                )
                found[case].append(Finding(WARNING, "mean HU outlier", message))

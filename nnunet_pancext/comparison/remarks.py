"""What a reader must know before believing the numbers."""

import math
from collections.abc import Iterable, Sequence
from itertools import count

from nnunet_pancext.comparison.paired import Difference, Row
from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.comparison.statistics import ALPHA, least_p
from nnunet_pancext.evaluation.scores import METRICS, unmeasured_note


def statistics_remarks(
    scored: ScoredCases,
    rows: Sequence[Row],
    *,
    reference: str,
    family: Sequence[str],
    folds: Sequence[int],
    num_folds: int | None,
) -> list[str]:
    """Warn of few patients, missing folds, unpaired cases and infinite distances.

    `family` are the metrics tested together; `num_folds` is the number of folds of the split, if known.
    """
    remarks = [note for note in (unmeasured_note(scored.scores[reference]),) if note]
    patients = len(set(scored.patients))
    if patients < len(scored.cases):
        remarks.append(
            f"{len(scored.cases)} cases are of {patients} patients: patients are resampled, and each counts "
            "once in the tests."
        )
    tested = [(row, row.difference) for row in rows if row.metric in family and row.difference is not None]
    remarks += _few_patients(tested)
    if num_folds is not None and len(folds) < num_folds:
        remarks.append(
            f"{len(folds)} of {num_folds} folds compared ({', '.join(map(str, folds))}): "
            "this is not the whole cross-validation."
        )
    remarks += _unpaired(tested, reference=reference, cases=len(scored.cases))
    infinite = [row for row in rows if row.spread.infinite]
    if infinite:
        remarks.append(
            "Distances are infinite where only one of prediction and ground truth has the label. They are "
            "excluded from means and mean differences, but not from medians, tests, r, wins and losses. "
            f"There are some in {_named(infinite)}."
        )
    return remarks


def _few_patients(tested: Sequence[tuple[Row, Difference]]) -> list[str]:
    """Warn of tests that cannot be significant, whatever the values."""
    tests = sum(not math.isnan(difference.p_holm) for _, difference in tested)
    needed, needed_alone = _patients_needed(tests), _patients_needed(1)
    too_few: dict[int, list[Row]] = {}
    for row, difference in tested:
        if difference.patients < needed:
            too_few.setdefault(difference.patients, []).append(row)
    remarks = []
    for number, rows in sorted(too_few.items()):
        where = "" if len(rows) == len(tested) else f" in {_named(rows)}"
        if not number:
            remarks.append(f"No patient can be compared{where}: in no case do both trainers have a value.")
        elif number < needed_alone:
            remarks.append(
                f"With {number} patient{'' if number == 1 else 's'}{where} the smallest p that Wilcoxon's "
                f"test can give is {least_p(number):.4g}: no difference can be significant. "
                f"At least {needed_alone} are needed."
            )
        else:
            remarks.append(
                f"With {number} patients{where} and {tests} tests the smallest p after Holm's correction is "
                f"{min(1.0, tests * least_p(number)):.2g}: {needed} patients or fewer metrics (--metrics) "
                "are needed for any difference to be significant."
            )
    return remarks


def _unpaired(tested: Sequence[tuple[Row, Difference]], *, reference: str, cases: int) -> list[str]:
    """Warn of cases that enter the mean of one trainer but no difference."""
    metrics: dict[tuple[str, str], list[str]] = {}  # by label and by the trainers that have a value alone
    for row, difference in tested:
        alone = {row.model: difference.only_model, reference: difference.only_reference}
        only = " and ".join(
            f"in {number} of {cases} cases only {name}" for name, number in alone.items() if number
        )
        if only:
            metrics.setdefault((row.label, only), []).append(row.metric)
    if not metrics:
        return []
    listed = "; ".join(
        f"{only} has a value ({label}: {' and '.join(METRICS[name].title for name in names)})"
        for (label, only), names in metrics.items()
    )
    remark = (
        "Where a metric is defined for only one of the two trainers, the case enters that trainer's mean but "
        f"not the paired comparison: {listed}."
    )
    # Overlap and distances of a label that the ground truth lacks are defined only where it is predicted;
    # precision alone is undefined wherever nothing is predicted.
    if any(name != "precision" for names in metrics.values() for name in names):
        remark += (
            " A false lesion in a case without lesions is therefore in none of these tests; "
            "--metrics false_positives tests it."
        )
    return [remark]


def _named(rows: Iterable[Row]) -> str:
    """List labels with their metrics, each once."""
    titles: dict[str, list[str]] = {}
    for row in rows:
        titles.setdefault(row.label, []).append(METRICS[row.metric].title)
    return "; ".join(f"{label} ({' and '.join(dict.fromkeys(names))})" for label, names in titles.items())


def _patients_needed(tests: int) -> int:
    """Return how many patients the smallest corrected p needs to be below 0.05."""
    return next(number for number in count(1) if max(1, tests) * least_p(number) < ALPHA)

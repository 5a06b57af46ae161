"""What a reader must know before believing the figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nnunet_pancext.comparison.paired import Row
from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.comparison.statistics import ALPHA, least_p
from nnunet_pancext.evaluation.scores import METRICS


def statistics_remarks(
    scored: ScoredCases,
    rows: Sequence[Row],
    *,
    reference: str,
    family: Sequence[str],
    folds: Sequence[int],
    num_folds: int | None,
) -> list[str]:
    """Return what the numbers of patients, tests and folds, and values that are none, mean for a reader.

    `family` are the metrics of the tables; `num_folds` is how many folds the split has, None where that is
    not known.
    """
    remarks = []
    patients = len(set(scored.patients))
    if patients < len(scored.cases):
        remarks.append(
            f"{len(scored.cases)} cases are of {patients} patients: patients are resampled, and each counts "
            "once in the tests."
        )
    shown = [row for row in rows if row.metric in family]
    remarks += _few_patients(shown)
    if num_folds is not None and len(folds) < num_folds:
        remarks.append(
            f"{len(folds)} of {num_folds} folds are compared ({', '.join(map(str, folds))}): "
            "this is not the whole cross-validation."
        )
    return [*remarks, *_unpaired(shown, reference=reference, cases=len(scored.cases)), *_infinite(rows)]


def _few_patients(rows: Sequence[Row]) -> list[str]:
    """Tests that cannot be significant, whatever the values."""
    tested = [row for row in rows if row.difference is not None]
    tests = sum(not math.isnan(row.difference.p_holm) for row in tested if row.difference is not None)
    by_number: dict[int, list[Row]] = {}
    for row in tested:
        if row.difference is not None and row.difference.patients < _patients_needed(tests):
            by_number.setdefault(row.difference.patients, []).append(row)
    remarks = []
    alone = _patients_needed(1)
    for number, few in sorted(by_number.items()):
        what = "" if len(few) == len(tested) else f" in {_named(few)}"
        if number == 0:
            remarks.append(f"No patient can be compared{what}: in no case have both trainers a value.")
        elif number < alone:
            remarks.append(
                f"With {number} patient{'' if number == 1 else 's'}{what} the smallest p that Wilcoxon's "
                f"test can give is {least_p(number):.4g}: no difference can be significant. "
                f"At least {alone} are needed."
            )
        else:
            remarks.append(
                f"With {number} patients{what} and {tests} tests the smallest p after Holm's correction is "
                f"{min(1.0, tests * least_p(number)):.2g}: {_patients_needed(tests)} patients or fewer "
                "metrics (--metrics) are needed for any difference to be significant."
            )
    return remarks


def _unpaired(rows: Sequence[Row], *, reference: str, cases: int) -> list[str]:
    """Cases that the mean of one trainer is of and the difference is not."""
    found: dict[tuple[str, str], list[str]] = {}  # metrics by label and by what is to be said of them
    overlap = False
    for row in rows:
        one = row.difference
        if one is None or not (one.only_model or one.only_reference):
            continue
        only = [
            f"in {number} of {cases} cases only {model}"
            for model, number in ((row.model, one.only_model), (reference, one.only_reference))
            if number
        ]
        found.setdefault((row.label, " and ".join(only)), []).append(METRICS[row.metric].title)
        overlap |= row.metric != "precision"
    if not found:
        return []
    said = "; ".join(
        f"{only} has a value ({label}: {' and '.join(titles)})" for (label, only), titles in found.items()
    )
    # A label that the truth lacks has an overlap and distances only where it is predicted. Precision is also
    # undefined where nothing is.
    false_ones = (
        " So a false lesion in a case without any is in none of these tests; --metrics false_positives tests "
        "it."
    )
    return [
        "Cases in which only one of two trainers has a value count in its own mean, but are left out of the "
        f"difference, its test, wins and losses: {said}.{false_ones if overlap else ''}"
    ]


def _infinite(rows: Sequence[Row]) -> list[str]:
    infinite = [row for row in rows if row.spread.infinite]
    if not infinite:
        return []
    return [
        "Distances are infinite where only one of prediction and truth has the label. They are left out "
        "of means and of mean differences, but not of medians, tests, r, wins and losses. There are some in "
        f"{_named(infinite)}."
    ]


def _named(rows: Sequence[Row]) -> str:
    """Labels with their metrics, each once."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.label, []).append(METRICS[row.metric].title)
    return "; ".join(f"{label} ({' and '.join(dict.fromkeys(titles))})" for label, titles in found.items())


def _patients_needed(tests: int) -> int:
    """How many patients the smallest corrected p needs to lie below 0.05."""
    patients = 1
    while max(1, tests) * least_p(patients) >= ALPHA:
        patients += 1
    return patients

"""What a reader must know before believing the figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nnunet_pancext.comparison.paired import Row
from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.comparison.statistics import ALPHA, least_p
from nnunet_pancext.evaluation.scores import METRICS


def statistics_remarks(
    scored: ScoredCases, rows: Sequence[Row], *, folds: Sequence[int], num_folds: int | None
) -> list[str]:
    """Return what the number of patients, of tests and of folds, and infinite distances mean for a reader.

    `num_folds` is how many the split has, None where that is not known.
    """
    remarks = []
    patients = len(set(scored.patients))
    tests = sum(row.difference is not None and not math.isnan(row.difference.p_holm) for row in rows)
    if patients < len(scored.cases):
        remarks.append(
            f"{len(scored.cases)} cases are of {patients} patients: patients are resampled, and each counts "
            "once in the tests."
        )
    needed = _patients_needed(1)
    if patients < needed:
        remarks.append(
            f"With {patients} patient{'' if patients == 1 else 's'} the smallest p that Wilcoxon's test "
            f"can give is {least_p(patients):.4g}: no difference can be significant. "
            f"At least {needed} are needed."
        )
    elif patients < _patients_needed(tests):
        remarks.append(
            f"With {patients} patients and {tests} tests the smallest p after Holm's correction is "
            f"{min(1.0, tests * least_p(patients)):.2g}: {_patients_needed(tests)} patients or fewer metrics "
            "(--metrics) are needed for any difference to be significant."
        )
    if num_folds is not None and len(folds) < num_folds:
        remarks.append(
            f"{len(folds)} of {num_folds} folds are compared ({', '.join(map(str, folds))}): "
            "this is not the whole cross-validation."
        )
    infinite: dict[str, list[str]] = {}
    for row in rows:
        if row.spread.infinite:
            what = f"{METRICS[row.metric].title} of {row.label}"
            infinite.setdefault(what, []).append(f"{row.model} in {row.spread.infinite} of {row.spread.n}")
    if infinite:
        said = "; ".join(f"{what}: {', '.join(models)}" for what, models in infinite.items())
        remarks.append(
            "Distances are infinite where only one of prediction and truth has the label. They are left out "
            f"of means, but not of medians, tests, wins and losses. {said}."
        )
    return remarks


def _patients_needed(tests: int) -> int:
    """How many patients the smallest corrected p needs to lie below 0.05."""
    patients = 1
    while max(1, tests) * least_p(patients) >= ALPHA:
        patients += 1
    return patients

"""`compare_models`: trained models of one dataset, scored on the same cases and compared."""

from collections.abc import Sequence
from dataclasses import dataclass

from nnunet_pancext.comparison.cost import Cost, cost_remarks, model_cost
from nnunet_pancext.comparison.paired import Row, compare_rows, fold_rows
from nnunet_pancext.comparison.remarks import statistics_remarks
from nnunet_pancext.comparison.results import DatasetResults, find_patients
from nnunet_pancext.comparison.scored_cases import ScoredCases, score_models
from nnunet_pancext.comparison.statistics import RESAMPLES
from nnunet_pancext.comparison.strata import default_stratifications, parse_stratification, stratum_rows
from nnunet_pancext.comparison.truth import require_same_truth
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.scores import METRICS, unmeasured_note
from nnunet_pancext.io.images import quiet_itk
from nnunet_pancext.io.label_maps import require_one_dimension
from nnunet_pancext.io.parallel import default_jobs

DEFAULT_METRICS = ("dice", "nsd_2mm", "hd95_mm")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The result of a comparison.

    Cases are ranked by the first of `metrics`. `rows` are pooled over the folds, `by_fold` are those of
    single folds. `remarks` are warnings about the numbers. `no_probabilities` says why no probabilities were
    scored, if so.
    """

    dataset: str
    setting: str
    reference: str
    folds: list[int]
    metrics: list[str]
    scored: ScoredCases
    rows: list[Row]
    by_fold: list[Row]
    strata: list[Row]
    costs: list[Cost]
    remarks: list[str]
    no_probabilities: str
    seed: int
    resamples: int

    def row(self, model: str, label: str, metric: str) -> Row:
        """Return one pooled row."""
        return next(row for row in self.rows if (row.model, row.label, row.metric) == (model, label, metric))


def compare_models(
    results: DatasetResults,
    *,
    metrics: Sequence[str] = (),
    strata: Sequence[str] = (),
    patient_regex: str | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    jobs: int | None = None,
    show_progress: bool = True,
) -> Comparison:
    """Score the validation cases of trained models and compare each model with the reference.

    `metrics` are tabulated, and tested as one Holm family; by default they are those of `DEFAULT_METRICS`
    that are defined in some case. `strata` are as `parse_stratification` takes them, by default those of
    `default_stratifications`. The first group of `patient_regex` is the patient in a case's name; `seed` and
    `resamples` are the bootstrap's.

    Raises:
        PancextError: an option is invalid, label maps are 2D and 3D, the ground truth changed since the
            training, or a case cannot be scored.
    """
    metrics = list(dict.fromkeys(metrics))
    no_probabilities = results.why_no_probabilities()
    for metric in metrics:
        if metric not in METRICS:
            raise PancextError(f"There is no metric {metric!r}. Choose from: {', '.join(METRICS)}.")
    of_probabilities = [metric for metric in metrics if METRICS[metric].of_probabilities]
    if of_probabilities and no_probabilities:
        raise PancextError(f"{', '.join(of_probabilities)} cannot be compared. {no_probabilities}")
    if seed < 0:
        raise PancextError(f"--seed must be 0 or above, got {seed}.")
    stratifications = [parse_stratification(text, list(results.targets.regions)) for text in strata]
    patients = find_patients(results.dataset, list(results.fold_of), patient_regex=patient_regex)
    jobs = default_jobs() if jobs is None else jobs
    with quiet_itk():
        require_one_dimension(results.label_maps())
        require_same_truth(results, jobs=jobs, show_progress=show_progress)
        scored = score_models(
            results,
            patients=patients,
            probabilities=not no_probabilities,
            jobs=jobs,
            show_progress=show_progress,
        )
    not_measured = unmeasured_note(scored.scores[results.reference.name])
    if strata and not scored.has_volumes:
        raise PancextError(f"--strata groups cases by volume. {not_measured} Leave it out.")
    family = list(filter(scored.has_values, metrics or DEFAULT_METRICS))
    if not family:
        raise PancextError(
            f"None of {', '.join(metrics or DEFAULT_METRICS)} is defined in any case: no label is in any "
            "ground truth or prediction. Check the dataset's labels."
        )
    undefined = [metric for metric in metrics if metric not in family]
    if undefined:
        raise PancextError(
            f"{', '.join(undefined)} is defined in no case of any trainer. "
            + " ".join(filter(None, (not_measured, "Leave it out of --metrics.")))
        )
    if not strata:
        stratifications = default_stratifications(scored, dataset_json=results.models[0].dataset.content)
    reference, folds = results.reference.name, list(results.cases)
    rows = compare_rows(scored, reference=reference, family=family, seed=seed, resamples=resamples)
    costs = [model_cost(model, folds) for model in results.models]
    remarks = statistics_remarks(
        scored, rows, reference=reference, family=family, folds=folds, num_folds=results.num_folds
    )
    return Comparison(
        dataset=results.dataset,
        setting=results.setting,
        reference=reference,
        folds=folds,
        metrics=family,
        scored=scored,
        rows=rows,
        by_fold=fold_rows(scored, folds),
        strata=stratum_rows(scored, stratifications, family),
        costs=costs,
        remarks=remarks + cost_remarks(costs),
        no_probabilities=no_probabilities,
        seed=seed,
        resamples=resamples,
    )

"""`compare_models`: trained models of one dataset, scored on the same cases and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.comparison.cost import Cost, cost_remarks, model_cost
from nnunet_pancext.comparison.folds import choose_folds, read_splits, validated_cases
from nnunet_pancext.comparison.paired import Row, compare_rows, fold_rows
from nnunet_pancext.comparison.patients import find_patients
from nnunet_pancext.comparison.probabilities import why_no_probabilities
from nnunet_pancext.comparison.remarks import statistics_remarks
from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.comparison.scoring import score_models
from nnunet_pancext.comparison.statistics import RESAMPLES
from nnunet_pancext.comparison.strata import StratumRow, default_cuts, parse_cut, stratum_rows
from nnunet_pancext.comparison.truth import declared_labels, require_same_truth, require_truths
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.evaluation.targets import read_targets
from nnunet_pancext.io.images import quiet_itk
from nnunet_pancext.io.parallel import default_jobs
from nnunet_pancext.nnunet_files.folders import existing_folder
from nnunet_pancext.nnunet_files.ground_truth import find_ground_truth
from nnunet_pancext.nnunet_files.models import find_dataset_results, find_models, reference_of, shared_ending

DEFAULT_METRICS = ("dice", "nsd_2mm", "hd95_mm")
DEFAULT_CONFIGURATION = "3d_fullres"
DEFAULT_PLANS = "nnUNetPlans"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that a comparison found.

    `metrics` are those of the tables, the first of them the one that cases are ranked by. `rows` are pooled
    over the folds, `by_fold` those of single folds. `remarks` are what a reader must know first, and
    `no_probabilities` says why none were scored, where that is so.
    """

    dataset: str
    setting: str
    reference: str
    folds: list[int]
    metrics: list[str]
    scored: ScoredCases
    rows: list[Row]
    by_fold: list[Row]
    strata: list[StratumRow]
    costs: list[Cost]
    remarks: list[str]
    no_probabilities: str
    seed: int
    resamples: int

    def row(self, model: str, label: str, metric: str) -> Row:
        """Return one pooled row."""
        return next(row for row in self.rows if (row.model, row.label, row.metric) == (model, label, metric))


def compare_models(
    dataset: str,
    trainers: Sequence[str],
    *,
    configuration: str = DEFAULT_CONFIGURATION,
    plans: str = DEFAULT_PLANS,
    folds: Sequence[str] | None = None,
    reference: str | None = None,
    metrics: Sequence[str] | None = None,
    strata: Sequence[str] = (),
    patient_regex: str | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    jobs: int | None = None,
    show_progress: bool = True,
) -> Comparison:
    """Score the validation of trained models against the truth and compare each with the reference.

    Args:
        dataset: number or name, as in nnU-Net's results.
        trainers: names, or TRAINER__PLANS__CONFIGURATION.
        configuration: of trainers given by name alone.
        plans: of trainers given by name alone.
        folds: by default every fold that some model has begun.
        reference: the one that the others are compared with; by default the first.
        metrics: of the tables and of Holm's family; by default those of `DEFAULT_METRICS` that have values.
        strata: cuts as `parse_cut` takes them; by default those of `default_cuts`.
        patient_regex: its first group is the patient in a case's name.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        jobs: cases scored at once.
        show_progress: on standard error.

    Raises:
        PancextError: the models cannot be compared; the message says what differs and what to do.
    """
    chosen_metrics = _choose_metrics(metrics)
    if seed < 0:
        raise PancextError(f"--seed must be 0 or above, got {seed}.")
    results = find_dataset_results(dataset)
    models = find_models(results, trainers, configuration=configuration, plans=plans)
    base = reference_of(models, reference, configuration=configuration, plans=plans)
    truths = find_ground_truth(results.name)
    targets = read_targets(declared_labels(models, truths))
    cuts = [parse_cut(text, list(targets.regions)) for text in strata]
    ending = shared_ending(models)
    chosen_folds = choose_folds(models, folds)
    splits_file = _splits_file(results.name)
    splits = read_splits(splits_file) if splits_file is not None else None
    by_fold = validated_cases(models, chosen_folds, splits=splits or [], ending=ending)
    cases = tuple(case for names in by_fold.values() for case in names)
    require_truths(truths, cases, ending=ending)
    no_probabilities = why_no_probabilities(models, by_fold)
    if no_probabilities and any(METRICS[metric].of_probabilities for metric in chosen_metrics):
        asked = ", ".join(metric for metric in chosen_metrics if METRICS[metric].of_probabilities)
        raise PancextError(f"{asked} cannot be compared. {no_probabilities}")
    patients = find_patients(results.name, cases, patient_regex=patient_regex)
    jobs = default_jobs() if jobs is None else jobs
    with quiet_itk():
        require_same_truth(
            models,
            by_fold,
            truths=truths,
            targets=targets,
            ending=ending,
            jobs=jobs,
            show_progress=show_progress,
        )
        found = score_models(
            models,
            by_fold,
            truths=truths,
            targets=targets,
            ending=ending,
            probabilities=not no_probabilities,
            jobs=jobs,
            show_progress=show_progress,
        )
    scored = ScoredCases(
        cases=cases,
        folds=tuple(fold for fold, names in by_fold.items() for _ in names),
        patients=patients,
        scores=found.scores,
        curves=found.curves,
    )
    shown = _with_values(scored, chosen_metrics)
    if not strata:
        cuts = default_cuts(scored, dataset_json=models[0].dataset_json)
    num_folds = None if splits is None else len(splits)
    rows = compare_rows(scored, reference=base.name, family=shown, seed=seed, resamples=resamples)
    costs = [model_cost(model, chosen_folds) for model in models]
    return Comparison(
        dataset=results.name,
        setting=" / ".join(dict.fromkeys(f"{model.plans} {model.configuration}" for model in models)),
        reference=base.name,
        folds=chosen_folds,
        metrics=shown,
        scored=scored,
        rows=rows,
        by_fold=fold_rows(scored, chosen_folds),
        strata=stratum_rows(scored, cuts, shown),
        costs=costs,
        remarks=[
            *statistics_remarks(
                scored, rows, reference=base.name, family=shown, folds=chosen_folds, num_folds=num_folds
            ),
            *cost_remarks(costs),
        ],
        no_probabilities=no_probabilities,
        seed=seed,
        resamples=resamples,
    )


def _choose_metrics(metrics: Sequence[str] | None) -> list[str]:
    """Return the metrics that the user gives, each once; none where the user leaves the choice."""
    for metric in metrics or ():
        if metric not in METRICS:
            raise PancextError(f"There is no metric {metric!r}. Give some of: {', '.join(METRICS)}.")
    return list(dict.fromkeys(metrics or ()))


def _with_values(scored: ScoredCases, metrics: Sequence[str]) -> list[str]:
    """Return the metrics of the tables, those of `DEFAULT_METRICS` that have values where none are given."""
    shown = list(filter(scored.has_values, metrics or DEFAULT_METRICS))
    if not shown:
        raise PancextError(
            f"None of {', '.join(metrics or DEFAULT_METRICS)} is defined in any case: no label is in any "
            "truth or prediction. Check the dataset's labels."
        )
    without = [metric for metric in metrics if metric not in shown]
    if without:
        raise PancextError(
            f"{', '.join(without)} is defined in no case of any trainer. Leave it out of --metrics."
        )
    return shown


def _splits_file(dataset: str) -> Path | None:
    """Return nnU-Net's splits of the dataset, where they are."""
    try:
        path = existing_folder("nnUNet_preprocessed") / dataset / "splits_final.json"
    except PancextError:
        return None
    return path if path.is_file() else None

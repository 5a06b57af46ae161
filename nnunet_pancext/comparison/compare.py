"""`compare_models`: trained models of one dataset, scored on the same cases and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.comparison.cost import Cost, cost_remarks, model_cost
from nnunet_pancext.comparison.folds import choose_folds, validated_cases
from nnunet_pancext.comparison.models import (
    find_dataset_results,
    find_models,
    host_root,
    read_json,
    reference_of,
)
from nnunet_pancext.comparison.paired import Row, compare_rows, fold_rows
from nnunet_pancext.comparison.patients import find_patients
from nnunet_pancext.comparison.remarks import statistics_remarks
from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.comparison.scoring import score_models
from nnunet_pancext.comparison.statistics import RESAMPLES
from nnunet_pancext.comparison.strata import StratumRow, default_cuts, parse_cut, stratum_rows
from nnunet_pancext.comparison.truth import (
    declared_labels,
    find_truths,
    require_same_truth,
    require_truths,
)
from nnunet_pancext.dataset_conversion.case_steps import quiet_itk
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.scores import METRICS
from nnunet_pancext.parallel import default_jobs

DEFAULT_METRICS = ("dice", "nsd_2mm", "hd95_mm")
DEFAULT_CONFIGURATION = "3d_fullres"
DEFAULT_PLANS = "nnUNetPlans"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that a comparison found.

    `metrics` are those of the tables, the first of them the one that cases are ranked by. `rows` are pooled
    over the folds, `by_fold` those of single folds. `remarks` are what a reader must know first.
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
    for metric in metrics or ():
        if metric not in METRICS:
            raise PancextError(f"There is no metric {metric!r}. Give some of: {', '.join(METRICS)}.")
    results = find_dataset_results(dataset)
    models = find_models(results, trainers, configuration=configuration, plans=plans)
    base = reference_of(models, reference, configuration=configuration, plans=plans)
    truths = find_truths(results.name)
    labels = declared_labels(models, truths)
    ending = str(models[0].dataset_json.get("file_ending", ".nii.gz"))
    chosen_folds = choose_folds(models, folds)
    splits_file = _splits_file(results.name)
    by_fold = validated_cases(models, chosen_folds, splits_file=splits_file, ending=ending)
    cases = tuple(case for names in by_fold.values() for case in names)
    require_truths(truths, cases, ending=ending)
    patients = find_patients(results.name, cases, patient_regex=patient_regex)
    with quiet_itk():
        scores = score_models(
            models,
            by_fold,
            truths=truths,
            labels=labels,
            ending=ending,
            jobs=jobs or default_jobs(),
            show_progress=show_progress,
        )
        for model in models:
            for fold, names in by_fold.items():
                in_fold = [one for one in scores[model.name] if one.case in names]
                require_same_truth(model, fold, in_fold, truths=truths, labels=labels, ending=ending)
    scored = ScoredCases(
        cases=cases,
        folds=tuple(fold for fold, names in by_fold.items() for _ in names),
        patients=patients,
        scores=scores,
    )
    shown = list(metrics or filter(scored.has_values, DEFAULT_METRICS))
    if not shown:
        raise PancextError(
            f"None of {', '.join(DEFAULT_METRICS)} is defined in any case: no label is in any truth or "
            "prediction. Check the dataset's labels."
        )
    if strata:
        cuts = [parse_cut(text, scored.labels) for text in strata]
    else:
        cuts = default_cuts(scored, dataset_json=models[0].dataset_json)
    rows = compare_rows(scored, reference=base.name, family=shown, seed=seed, resamples=resamples)
    costs = [model_cost(model, chosen_folds) for model in models]
    num_folds = len(read_json(splits_file)) if splits_file is not None else None
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
        seed=seed,
        resamples=resamples,
    )


def _splits_file(dataset: str) -> Path | None:
    """Return nnU-Net's splits of the dataset, where they are."""
    try:
        path = host_root("nnUNet_preprocessed") / dataset / "splits_final.json"
    except PancextError:
        return None
    return path if path.is_file() else None

"""The results of one dataset: trained models that were validated on the same cases, and the ground truth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.comparison.folds import choose_folds, find_splits, validated_cases
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.probabilities import HOW_VALIDATION_HAS_THEM
from nnunet_pancext.evaluation.targets import Targets, read_targets
from nnunet_pancext.nnunet_files.dataset_json import read_dataset_json
from nnunet_pancext.nnunet_files.folders import RAW, existing_folder
from nnunet_pancext.nnunet_files.models import (
    Model,
    find_dataset_results,
    find_models,
    reference_of,
    shared_ending,
)
from nnunet_pancext.nnunet_files.raw_dataset import find_ground_truth, patient_of, recorded_patients

DEFAULT_CONFIGURATION = "3d_fullres"
DEFAULT_PLANS = "nnUNetPlans"


@dataclass(frozen=True, kw_only=True)
class DatasetResults:
    """Models to compare; `cases` are their validation cases by fold.

    `num_folds` is the number of folds of the split, None where nnU-Net has written none.
    """

    dataset: str
    models: list[Model]
    reference: Model
    cases: dict[int, list[str]]
    num_folds: int | None
    truths: Path
    targets: Targets
    ending: str

    @property
    def fold_of(self) -> dict[str, int]:
        """The fold of each case, fold by fold."""
        return {case: fold for fold, names in self.cases.items() for case in names}

    @property
    def setting(self) -> str:
        """Plans and configurations of the models."""
        settings = (f"{model.trained_as.plans} {model.trained_as.configuration}" for model in self.models)
        return " / ".join(dict.fromkeys(settings))

    def truth(self, case: str) -> Path:
        """The ground truth of a case."""
        return self.truths / f"{case}{self.ending}"

    def label_maps(self) -> Iterator[Path]:
        """Yield the files of the ground truth and of every prediction."""
        for case, fold in self.fold_of.items():
            yield self.truth(case)
            yield from (model.fold(fold).prediction(case) for model in self.models)

    def why_no_probabilities(self) -> str:
        """Say which models lack the probabilities of how many cases; empty where none is missing."""
        fold_of = self.fold_of
        counts = {
            model.name: sum(model.fold(fold).probabilities(case).is_file() for case, fold in fold_of.items())
            for model in self.models
        }
        if not any(counts.values()):
            return f"No trainer has probabilities: {HOW_VALIDATION_HAS_THEM}."
        lacking = [
            f"{name} has probabilities of {count or 'none'} of {len(fold_of)} cases"
            for name, count in counts.items()
            if count < len(fold_of)
        ]
        return f"{'; '.join(lacking)}: {HOW_VALIDATION_HAS_THEM}." if lacking else ""


def open_results(
    dataset: str,
    trainers: Sequence[str],
    *,
    configuration: str = DEFAULT_CONFIGURATION,
    plans: str = DEFAULT_PLANS,
    folds: Sequence[str] | None = None,
    reference: str | None = None,
) -> DatasetResults:
    """Find trained models of a dataset, given by number or name, and their validation cases.

    `trainers` are names, whose `configuration` and `plans` are given, or TRAINER__PLANS__CONFIGURATION.
    `folds` are by default all that some model has begun. The others are compared with `reference`, by default
    the first.

    Raises:
        PancextError: the models cannot be compared; the message says what differs and what to do.
    """
    folder = find_dataset_results(dataset)
    models = find_models(folder, trainers, configuration=configuration, plans=plans)
    base = reference_of(models, reference, configuration=configuration, plans=plans)
    truths = find_ground_truth(folder.name)
    targets = read_targets(_declared_labels(models, truths))
    ending = shared_ending(models)
    chosen_folds = choose_folds(models, folds)
    splits = find_splits(folder.name)
    results = DatasetResults(
        dataset=folder.name,
        models=models,
        reference=base,
        cases=validated_cases(models, chosen_folds, splits=splits or []),
        num_folds=None if splits is None else len(splits),
        truths=truths,
        targets=targets,
        ending=ending,
    )
    missing = [case for case in results.fold_of if not results.truth(case).is_file()]
    if missing:
        raise PancextError(
            f"No ground truth in {truths} for {len(missing)} of {len(results.fold_of)} cases: "
            f"{', '.join(missing)}. Restore it: nnUNetv2_plan_and_preprocess copies it from labelsTr."
        )
    return results


def _declared_labels(models: Sequence[Model], truths: Path) -> dict[str, Any]:
    """Return the labels, names to values, that all models and the ground truth share."""
    declared: dict[str, Any] = {}
    beside = truths.parent / "dataset.json"
    if beside.is_file():
        declared[f"the dataset ({beside})"] = read_dataset_json(beside).labels
    declared |= {model.name: model.dataset.labels for model in models}
    (first, labels), *others = declared.items()
    for name, other_labels in others:
        if other_labels != labels:
            raise PancextError(
                f"The label sets differ: {first} has {labels}, {name} has {other_labels}. Only models of one "
                "label set can be compared: train them on the same dataset.json."
            )
    return labels


def find_patients(dataset: str, cases: Sequence[str], *, patient_regex: str | None = None) -> tuple[str, ...]:
    """Return the patient of each case.

    It is the first group of `patient_regex`, which must be in each case; otherwise it comes from the
    split.json of a converted raw dataset, or from the frame number in the case's name; any other case is a
    patient of its own.
    """
    try:
        recorded = recorded_patients(existing_folder(RAW) / dataset / "split.json")
    except PancextError:
        recorded = {}  # the raw dataset may have been deleted
    return tuple(patient_of(case, recorded=recorded, expression=patient_regex) for case in cases)

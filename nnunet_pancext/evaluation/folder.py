"""Scoring a folder of predicted label maps against a folder of true ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.case import CaseFiles, score_case
from nnunet_pancext.evaluation.scores import CaseScores
from nnunet_pancext.evaluation.targets import Targets, read_targets
from nnunet_pancext.io.label_maps import find_cases
from nnunet_pancext.io.parallel import for_each
from nnunet_pancext.nnunet_files.patients import patient_of, recorded_patients


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The scores, in the order of the cases' names, and what is wrong with the cases that have none."""

    targets: Targets
    scores: list[CaseScores]
    failures: dict[str, str]


def evaluate_folder(
    predictions: Path,
    truths: Path,
    *,
    labels: Mapping[str, int | list[int]],
    file_ending: str = ".nii.gz",
    jobs: int = 1,
) -> list[CaseScores]:
    """Score each label map in `truths` against the prediction of the same name, in the order of names.

    `labels` are those of `dataset.json`; see `read_targets` for what is scored. Predictions without a truth
    are left out.

    Raises:
        PancextError: as `evaluate`.
    """
    return evaluate(
        predictions, truths, labels=labels, file_ending=file_ending, jobs=jobs, allow_extra=True
    ).scores


def evaluate(
    predictions: Path,
    truths: Path,
    *,
    labels: Mapping[str, int | list[int]],
    file_ending: str = ".nii.gz",
    jobs: int = 1,
    probabilities: bool = False,
    keep_going: bool = False,
    allow_extra: bool = False,
    only: Collection[str] | None = None,
    patient_regex: str | None = None,
    show_progress: bool = False,
    advice: str = "",
) -> Evaluation:
    """Score each label map in `truths` against the prediction of the same name.

    With `probabilities` those that `nnUNetv2_predict --save_probabilities` wrote beside each prediction are
    scored too. With `keep_going` a case that cannot be scored is among the failures, instead of ending it
    all. With `only`, other cases are left out. Whom a case shows is told by the first group of
    `patient_regex`, else by a split.json beside the folder of the truth, else by its name. Memory is that of
    `jobs` cases. `advice` ends the message on cases that are on one side only.

    Raises:
        PancextError: by case name, a prediction is missing, has no truth (unless `allow_extra`) or is
            unreadable, lies on another grid than the truth, or holds a value that `labels` does not declare;
            or a folder is not there, there is no truth at all, or no case could be scored.
    """
    targets = read_targets(labels)
    require_folders(predictions, truths)
    truth_cases, predicted = (find_cases(folder, file_ending) for folder in (truths, predictions))
    if only is not None:
        truth_cases, predicted = truth_cases & set(only), predicted & set(only)
    if not truth_cases:
        raise PancextError(
            f"No file ending in {file_ending!r} in the folder of true label maps {truths}. "
            "Check the folder and the file ending."
        )
    failures = {}
    for case in sorted(truth_cases - predicted):
        failures[case] = f"No prediction in {predictions}. Predict this case too."
    if not allow_extra:
        for case in sorted(predicted - truth_cases):
            failures[case] = f"No truth in {truths}. Add it, or leave out the prediction."
    if failures and not keep_going:
        said = _mismatch(failures, predictions=predictions, truths=truths, cases=truth_cases)
        raise PancextError(" ".join(filter(None, (said, advice))))
    told = recorded_patients(truths.resolve().parent / "split.json")
    files = [
        CaseFiles(
            case=case,
            patient=patient_of(case, told=told, expression=patient_regex),
            prediction=predictions / f"{case}{file_ending}",
            truth=truths / f"{case}{file_ending}",
            probabilities=predictions / f"{case}.npz" if probabilities else None,
        )
        for case in sorted(truth_cases & predicted)
    ]
    work = partial(_score_or_say, targets=targets, keep_going=keep_going)
    done = for_each(work, files, jobs=jobs, title="evaluating", show_progress=show_progress)
    scores = [one for one in done if isinstance(one, CaseScores)]
    failures |= {one.case: text for one, text in zip(files, done, strict=True) if isinstance(text, str)}
    if not scores:
        listed = "\n  ".join(failure_text(case, text) for case, text in sorted(failures.items()))
        raise PancextError(f"No case could be scored:\n  {listed}")
    return Evaluation(targets=targets, scores=scores, failures=dict(sorted(failures.items())))


def require_folders(predictions: Path, truths: Path) -> None:
    """Require that both folders of label maps are there.

    Raises:
        PancextError: one is not.
    """
    for what, folder in (("predicted", predictions), ("true", truths)):
        if not folder.is_dir():
            raise PancextError(f"There is no folder of {what} label maps at {folder}. Check the path.")


def failure_text(case: str, text: str) -> str:
    """Return why a case has no scores, with its name."""
    return text if repr(case) in text else f"Case {case!r}: {text}"


def _score_or_say(files: CaseFiles, *, targets: Targets, keep_going: bool) -> CaseScores | str:
    try:
        return score_case(files, targets=targets)
    except PancextError as error:
        if not keep_going:
            raise
        return str(error)


def _mismatch(failures: dict[str, str], *, predictions: Path, truths: Path, cases: set[str]) -> str:
    missing = [case for case in failures if case in cases]
    extra = [case for case in failures if case not in cases]
    said = []
    if missing:
        said.append(
            f"No prediction for {len(missing)} of {len(cases)} cases in {predictions}: {', '.join(missing)}. "
            f"Predict these cases too, or leave their true label maps out of {truths}."
        )
    if extra:
        said.append(
            f"No truth for {len(extra)} predictions in {truths}: {', '.join(extra)}. "
            "Give the folder of their true label maps, or leave these predictions out."
        )
    return " ".join(said)

"""Scoring a folder of predicted label maps against a folder of ground-truth label maps."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.case import CaseFiles, score_case
from nnunet_pancext.evaluation.scores import CaseScores
from nnunet_pancext.evaluation.targets import Targets, read_targets
from nnunet_pancext.io.label_maps import find_cases, require_one_dimension
from nnunet_pancext.io.parallel import for_each
from nnunet_pancext.nnunet_files.raw_dataset import patient_of, recorded_patients


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The scores in the order of case names, and by case why others have none."""

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
    """Score each label map in `truths` as `evaluate` does; predictions without ground truth are left out."""
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

    `labels` are those of dataset.json. With `probabilities`, what `nnUNetv2_predict --save_probabilities`
    wrote beside each prediction is scored too. With `keep_going` a case that cannot be scored is recorded as
    a failure. Predictions without ground truth are left out with `allow_extra`, all cases but `only` if
    given. The first group of `patient_regex` is the patient; by default split.json beside the folder of the
    ground truth names the patient, else the case does. `advice` ends the message on cases missing in one of
    the folders.

    Raises:
        PancextError: a folder does not exist, there is no ground truth, some files are 2D and others 3D, no
            case could be scored, or (unless `keep_going`) a case lacks a counterpart or cannot be scored.
    """
    targets = read_targets(labels)
    require_folders(predictions, truths)
    cases, predicted = (find_cases(folder, file_ending) for folder in (truths, predictions))
    if only and cases and cases.isdisjoint(only):
        raise PancextError(
            f"None of the {len(cases)} label maps in {truths} has the name of a predicted case, such as "
            f"{min(only)}{file_ending}. Give the folder of their ground truth."
        )
    if only is not None:
        cases, predicted = cases & set(only), predicted & set(only)
    if not cases:
        raise PancextError(
            f"No file ending in {file_ending!r} in the folder of ground-truth label maps {truths}. "
            "Check the folder and the file ending."
        )
    missing, extra = sorted(cases - predicted), [] if allow_extra else sorted(predicted - cases)
    if (missing or extra) and not keep_going:
        no_prediction = (
            f"No prediction for {len(missing)} of {len(cases)} cases in {predictions}: "
            f"{', '.join(missing)}. Predict these cases too, or remove their label maps from {truths}."
        )
        no_truth = (
            f"No ground truth for {len(extra)} predictions in {truths}: {', '.join(extra)}. "
            "Give the folder of their ground truth, or remove these predictions."
        )
        messages = (no_prediction if missing else "", no_truth if extra else "", advice)
        raise PancextError(" ".join(filter(None, messages)))
    failures = {
        **dict.fromkeys(missing, f"No prediction in {predictions}. Predict this case too."),
        **dict.fromkeys(extra, f"No ground truth in {truths}. Add it, or remove the prediction."),
    }
    recorded = recorded_patients(truths.resolve().parent / "split.json")
    files = [
        CaseFiles(
            case=case,
            patient=patient_of(case, recorded=recorded, expression=patient_regex),
            prediction=predictions / f"{case}{file_ending}",
            truth=truths / f"{case}{file_ending}",
            probabilities=predictions / f"{case}.npz" if probabilities else None,
        )
        for case in sorted(cases & predicted)
    ]
    require_one_dimension(path for case in files for path in (case.truth, case.prediction))

    def score(files: CaseFiles) -> CaseScores | None:
        try:
            return score_case(files, targets=targets)
        except PancextError as error:
            if not keep_going:
                raise
            failures[files.case] = str(error)
            return None

    outcomes = for_each(score, files, jobs=jobs, title="evaluating", show_progress=show_progress)
    scores = [outcome for outcome in outcomes if outcome is not None]
    failures = dict(sorted(failures.items()))
    if not scores:
        listed = "\n  ".join(failure_text(case, text) for case, text in failures.items())
        raise PancextError(f"No case could be scored:\n  {listed}")
    return Evaluation(targets=targets, scores=scores, failures=failures)


def require_folders(predictions: Path, truths: Path) -> None:
    """Raise PancextError unless both folders of label maps exist."""
    for what, folder in (("predicted", predictions), ("ground-truth", truths)):
        if not folder.is_dir():
            raise PancextError(f"There is no folder of {what} label maps at {folder}. Check the path.")


def failure_text(case: str, text: str) -> str:
    """Return why a case has no scores, with its name."""
    return text if repr(case) in text else f"Case {case!r}: {text}"

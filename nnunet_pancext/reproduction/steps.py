"""A step of a protocol, and the steps that prepare its dataset: convert, place the folds, plan."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.io.label_maps import find_cases
from nnunet_pancext.nnunet_commands.progress import planning_progress
from nnunet_pancext.nnunet_files.folders import expand
from nnunet_pancext.nnunet_files.splits_final import holds
from nnunet_pancext.reproduction.protocol import Dataset
from nnunet_pancext.reproduction.selection import PlannedRun, Selection

CONVERT = ("pancext", "convert")
PLANS = "nnUNetPlans"
ENDING = ".nii.gz"
MAX_REMARKS = 20
Progress = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command, `words`, and its `result`. Paths may start with one of nnU-Net's variables.

    `is_finished` returns whether the result is complete, and raises PancextError where it belongs to another
    protocol. `further_words` removes broken files and returns the options that continue an earlier run.
    `progress` returns what condenses the command's output for the console. `remarks` returns what a user must
    know about the finished result. `trainer` is the one that is trained or predicts.
    """

    title: str
    words: tuple[str, ...]
    result: str
    is_finished: Callable[[], bool]
    further_words: Callable[[], Sequence[str]] = tuple
    progress: Callable[[], Progress | None] = lambda: None
    remarks: Callable[[], list[str]] = list
    trainer: str = ""


def data_steps(run: PlannedRun, selection: Selection) -> Iterator[Step]:
    """Convert, place folds, plan."""
    yield _conversion(run.dataset, selection)
    if run.dataset.own_folds:
        yield _folds_placing(run.dataset)
    yield _planning(run)


def placeholders(dataset: Dataset) -> dict[str, str]:
    """Return by download the word that stands in a command for it where it was not given."""
    return {name: f"{name.upper().replace('-', '_')}_DOWNLOAD" for name in dataset.downloads}


def label_maps(dataset: Dataset, folder: str) -> set[str]:
    """Return the cases of the raw dataset's `folder`."""
    return find_cases(Path(expand(f"$nnUNet_raw/{dataset.folder}/{folder}")), ENDING)


def _conversion(dataset: Dataset, selection: Selection) -> Step:
    """The download becomes a raw dataset; `pancext convert` publishes it complete or not at all."""
    result = f"$nnUNet_raw/{dataset.folder}/conversion_report.json"
    sources = {name: selection.sources.get(name, word) for name, word in placeholders(dataset).items()}
    target = ("--split", dataset.split, "--id", str(dataset.dataset_id), "--name", dataset.name)

    def is_finished() -> bool:
        report = Path(expand(result))
        if not report.is_file():
            return False
        options = _record(report).get("options", {})
        split, labels = options.get("split"), options.get("labels")
        if (split, labels) != (dataset.split, dataset.labels):
            raise PancextError(
                f"{report.parent} was converted with split {split} and labels {labels}, but the paper's "
                f"are {dataset.split} and {dataset.labels}. Move that dataset away and run again."
            )
        return True

    def require_downloads() -> tuple[str, ...]:
        if not selection.sources.keys() >= sources.keys():
            raise PancextError(
                f"{dataset.title}: not converted yet, and its download is not given. "
                f"Give it with --source {' '.join(f'{name}=PATH' for name in sources)}"
            )
        return ()

    def remarks() -> list[str]:
        """Return what the conversion left out, warned of or noted: the test set may lack some cases."""
        report = _record(Path(expand(result)))
        problems = [
            f"{kind}: {problem.get('case')}: {problem.get('message')}"
            for kind, key in (("left out", "left_out"), ("warning", "warnings"))
            for problem in report.get(key, [])
        ]
        if len(problems) > MAX_REMARKS:
            problems[MAX_REMARKS:] = [f"and {len(problems) - MAX_REMARKS} more, all in {result}"]
        return [*problems, *(f"note: {note}" for note in report.get("notes", []))]

    return Step(
        title=f"convert: {dataset.title}",
        words=(*CONVERT, dataset.layout, *sources.values(), *dataset.options, *target),
        result=result,
        is_finished=is_finished,
        further_words=require_downloads,
        remarks=remarks,
    )


def _folds_placing(dataset: Dataset) -> Step:
    """The published folds, in the raw dataset's `split.json`, are copied to where nnU-Net reads them."""
    result = f"$nnUNet_preprocessed/{dataset.folder}/splits_final.json"

    def is_finished() -> bool:
        placed, split = Path(expand(result)), Path(expand(f"$nnUNet_raw/{dataset.folder}/split.json"))
        if not placed.is_file() or not split.is_file():
            return False
        if not holds(placed, _record(split).get("folds", [])):
            raise PancextError(
                f"{placed} holds other folds than {split}, the paper's. Move it and the models trained on it "
                "away, and run again."
            )
        return True

    return Step(
        title="put the split's folds where nnU-Net reads them",
        words=("pancext", "splits", "apply", str(dataset.dataset_id)),
        result=result,
        is_finished=is_finished,
    )


def _planning(run: PlannedRun) -> Step:
    """nnU-Net plans and preprocesses; interrupted, it starts anew."""
    result = f"$nnUNet_preprocessed/{run.dataset.folder}/{PLANS}.json"
    options = ("-d", str(run.dataset.dataset_id), "-c", run.configuration, "--verify_dataset_integrity")

    def is_finished() -> bool:
        plans = Path(expand(result))
        if not plans.is_file():
            return False
        configuration = _record(plans).get("configurations", {}).get(run.configuration, {})
        preprocessed = find_cases(plans.parent / configuration.get("data_identifier", ""), ".pkl")
        return bool(preprocessed) and preprocessed >= label_maps(run.dataset, "labelsTr")

    return Step(
        title=f"plan and preprocess {run.dataset.folder}, {run.configuration}",
        words=("nnUNetv2_plan_and_preprocess", *options),
        result=result,
        is_finished=is_finished,
        progress=lambda: planning_progress,
    )


def _record(file: Path) -> dict:
    return read_json(file, expect=dict, remedy="Remove it and run again.")

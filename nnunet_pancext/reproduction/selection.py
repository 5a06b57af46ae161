"""What a user selects from a paper's protocol, checked against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.reproduction.protocol import NNUNET_FOLDS, Dataset, Experiment, Paper

CONFIGURATIONS = ("2d", "3d_fullres", "3d_lowres")
ALL = "all"
FOLDS = (ALL, "0", "1", "2", "3", "4")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Paths of the downloads by name, the output folder, and the selected parts; None selects all."""

    out: Path
    sources: Mapping[str, str] = field(default_factory=dict)
    datasets: Sequence[str] | None = None
    trainers: Sequence[str] | None = None
    folds: Sequence[str] | None = None
    configuration: str | None = None
    device: str | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """An experiment as it will be run."""

    experiment: Experiment
    configuration: str
    folds: tuple[str, ...]
    trainers: tuple[str, ...]

    @property
    def dataset(self) -> Dataset:
        """The training dataset."""
        return self.experiment.dataset


def planned_runs(paper: Paper, selection: Selection) -> list[PlannedRun]:
    """Return what will be run; PancextError for what the protocol lacks, or folds that cannot be combined."""
    layouts = [experiment.dataset.layout for experiment in paper.experiments]
    trainers = list(dict.fromkeys(name for experiment in paper.experiments for name in experiment.trainers))
    for option, selected, available in (
        ("--datasets", selection.datasets, layouts),
        ("--trainers", selection.trainers, trainers),
    ):
        for name in selected or ():
            if name not in available:
                raise PancextError(
                    f"{option} {name} is not part of the protocol of {paper.name}. "
                    f"Available: {', '.join(available)}."
                )
    runs = [
        PlannedRun(
            experiment=experiment,
            configuration=selection.configuration or experiment.configuration,
            folds=tuple(selection.folds or experiment.folds),
            trainers=chosen,
        )
        for experiment in paper.experiments
        if selection.datasets is None or experiment.dataset.layout in selection.datasets
        if (chosen := tuple(t for t in experiment.trainers if t in (selection.trainers or trainers)))
    ]
    if not runs:
        raise PancextError(
            f"--datasets {' '.join(selection.datasets or ())} has none of --trainers "
            f"{' '.join(selection.trainers or ())}. Leave one of the two out."
        )
    for run in runs:
        _require_folds(selection.folds or (), run.dataset)
    return runs


def read_sources(arguments: Sequence[str], paper: Paper, selection: Selection) -> Selection:
    """Return the selection with its downloads, NAME=PATH or in one dataset's order; else PancextError."""
    datasets = dict.fromkeys(run.dataset for run in planned_runs(paper, selection))
    names = list(dict.fromkeys(name for dataset in datasets for name in dataset.downloads))
    pairs = [argument.partition("=") for argument in arguments]
    if all(separator and name in names for name, separator, _ in pairs):
        sources = {name: path for name, _, path in pairs}
    elif len(arguments) == len(names) and len(datasets) == 1:
        sources = dict(zip(names, arguments, strict=True))
    else:
        raise PancextError(
            f"--source {' '.join(arguments)}: cannot tell which download each path is; use NAME=PATH. "
            f"{paper.name} takes {', '.join(f'{name}=PATH' for name in names)}."
        )
    for name, path in sources.items():
        if not Path(path).exists():
            raise PancextError(
                f"--source: there is no {path} ({name}). Give the downloaded folder or archive."
            )
    return replace(selection, sources=sources)


def _require_folds(folds: Sequence[str], dataset: Dataset) -> None:
    if len(set(folds)) < len(folds):
        raise PancextError(f"--folds {' '.join(folds)}: a fold is named twice. Name each once.")
    if ALL in folds and len(folds) > 1:
        raise PancextError(
            f"--folds {' '.join(folds)}: {ALL} trains on every case and cannot be combined with other folds."
        )
    existing = [str(number) for number in range(dataset.own_folds or NNUNET_FOLDS)]
    missing = [fold for fold in folds if fold not in (ALL, *existing)]
    if missing:
        raise PancextError(
            f"--folds {' '.join(missing)}: the split {dataset.split} of {dataset.layout} has no such fold; "
            f"nnU-Net would draw a random one. Available: {', '.join(existing)}. Select these, or exclude "
            "the dataset with --datasets."
        )

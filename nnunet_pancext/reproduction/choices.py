"""What a user chose of a paper's protocol, checked against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.reproduction.protocol import Dataset, Experiment, Paper

CONFIGURATIONS = ("2d", "3d_fullres", "3d_lowres")
ALL = "all"
FOLDS = (ALL, "0", "1", "2", "3", "4")


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Where downloads lie by name, where results go, what of the protocol is wanted; None is all of it."""

    out: Path
    sources: Mapping[str, str] = field(default_factory=dict)
    datasets: Sequence[str] | None = None
    trainers: Sequence[str] | None = None
    folds: Sequence[str] | None = None
    configuration: str | None = None
    device: str | None = None


@dataclass(frozen=True, kw_only=True)
class Trial:
    """An experiment as it will be run."""

    experiment: Experiment
    configuration: str
    folds: tuple[str, ...]
    trainers: tuple[str, ...]

    @property
    def dataset(self) -> Dataset:
        """The dataset that it trains on."""
        return self.experiment.dataset


def choose(paper: Paper, choices: Choices) -> list[Trial]:
    """Return what is to be run of a paper.

    Raises:
        PancextError: a dataset, trainer or fold that the protocol does not have, or folds that cannot go
            together.
    """
    _require_separate(choices.folds or ())
    known = [one.dataset.layout for one in paper.experiments]
    _require_known(choices.datasets, known, option="--datasets", paper=paper)
    offered = [name for one in paper.experiments for name in one.trainers]
    _require_known(choices.trainers, list(dict.fromkeys(offered)), option="--trainers", paper=paper)
    trials = []
    for experiment in paper.experiments:
        wanted = choices.datasets is None or experiment.dataset.layout in choices.datasets
        trainers = tuple(
            name for name in experiment.trainers if choices.trainers is None or name in choices.trainers
        )
        if wanted and trainers:
            _require_folds(choices.folds or (), experiment.dataset)
            trials.append(
                Trial(
                    experiment=experiment,
                    configuration=choices.configuration or experiment.configuration,
                    folds=tuple(choices.folds or experiment.folds),
                    trainers=trainers,
                )
            )
    if not trials:
        raise PancextError(
            f"--datasets {' '.join(choices.datasets or ())} has none of --trainers "
            f"{' '.join(choices.trainers or ())}. Leave one of the two out."
        )
    return trials


def read_sources(words: Sequence[str], paper: Paper, choices: Choices) -> Choices:
    """Return the choices with the downloads: NAME=PATH each, or paths in the order of one dataset's names.

    Raises:
        PancextError: a path that is not there, or it cannot be told what it is.
    """
    trials = choose(paper, choices)
    names = list(dict.fromkeys(name for trial in trials for name in trial.dataset.downloads))
    pairs = [word.split("=", 1) for word in words]
    if all(len(pair) == 2 and pair[0] in names for pair in pairs):
        found = {pair[0]: pair[1] for pair in pairs}
    elif len(words) == len(names) and len({trial.dataset.layout for trial in trials}) == 1:
        found = dict(zip(names, words, strict=True))
    else:
        raise PancextError(
            f"--source {' '.join(words)}: of these it must be told what they are. {paper.name} takes "
            f"{', '.join(f'{name}=PATH' for name in names)}."
        )
    for name, location in found.items():
        if not Path(location).exists():
            raise PancextError(
                f"--source: there is no {location} ({name}). Give the downloaded folder or archive."
            )
    return replace(choices, sources=found)


def _require_separate(folds: Sequence[str]) -> None:
    said = f"--folds {' '.join(folds)}"
    if len(set(folds)) < len(folds):
        raise PancextError(f"{said}: a fold is named twice. Name each once.")
    if ALL in folds and len(folds) > 1:
        raise PancextError(f"{said}: {ALL} trains on every case, those of the other folds too. Take either.")


def _require_folds(folds: Sequence[str], dataset: Dataset) -> None:
    known = [str(number) for number in range(dataset.num_folds)]
    beyond = [fold for fold in folds if fold != ALL and fold not in known]
    if beyond:
        raise PancextError(
            f"--folds {' '.join(beyond)}: the split {dataset.split} of {dataset.layout} has no such fold; "
            f"nnU-Net would draw another one. It has: {', '.join(known)}. Take these, or leave the dataset "
            "out with --datasets."
        )


def _require_known(wanted: Sequence[str] | None, known: Sequence[str], *, option: str, paper: Paper) -> None:
    for name in wanted or ():
        if name not in known:
            raise PancextError(
                f"{option} {name}: the protocol of {paper.name} has no such. It has: {', '.join(known)}."
            )

"""From what a user asks for to the steps of a campaign, each with those that it needs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nnunet_pancext.campaign.definition import Campaign, ordered
from nnunet_pancext.campaign.kinds.best import Best, best_file
from nnunet_pancext.campaign.kinds.compare import Compare
from nnunet_pancext.campaign.kinds.evaluate import Evaluate
from nnunet_pancext.campaign.kinds.predict import Predict
from nnunet_pancext.campaign.kinds.preprocess import Preprocess
from nnunet_pancext.campaign.kinds.train import Train
from nnunet_pancext.campaign.step import NAME, Step
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.model_folder import ALL, ModelName
from nnunet_pancext.nnunet_files.plans_file import CASCADE, DEFAULT_PLANS, FIRST_STAGE, SECOND_STAGE_DATA

NNUNET_FOLDS = ("0", "1", "2", "3", "4")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a configuration trains on: the configuration whose cases it reads, and the one before it."""

    data: str
    previous: str = ""


@dataclass(frozen=True, kw_only=True)
class Request:
    """The trainings of a campaign, every combination of them, and its test set.

    `datasets` are names of folders; the test set is two absolute paths, or none. `stages`, by dataset, plans
    and configuration, are needed where they are not nnU-Net's usual ones, and `splits`, the folds of a
    dataset, where they are not nnU-Net's five.
    """

    datasets: tuple[str, ...]
    trainers: tuple[str, ...]
    configurations: tuple[str, ...] = ("3d_fullres",)
    plans: tuple[str, ...] = (DEFAULT_PLANS,)
    folds: tuple[str, ...] = NNUNET_FOLDS
    test_images: str = ""
    test_labels: str = ""
    device: str = "cuda"
    seed: int | None = None
    stages: Mapping[tuple[str, str, str], Stage] = field(default_factory=dict)
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def stage(self, dataset: str, plans: str, configuration: str) -> Stage:
        """Return what a configuration trains on."""
        return self.stages.get((dataset, plans, configuration)) or usual_stage(configuration)


def usual_stage(configuration: str) -> Stage:
    """Return what a configuration of nnU-Net's own plans trains on."""
    if configuration == CASCADE:
        return Stage(data=SECOND_STAGE_DATA, previous=FIRST_STAGE)
    return Stage(data=configuration)


def plan_campaign(request: Request, *, folders: Mapping[str, str], versions: Mapping[str, str]) -> Campaign:
    """Return the campaign of a request; `folders` are nnU-Net's by variable, `versions` those of now.

    Raises:
        PancextError: the name of a step would be too long, or have characters that file names should not.
    """
    steps = [step for dataset in request.datasets for step in _DatasetPlan(request, dataset).steps()]
    for step in steps:
        if not NAME.fullmatch(step.name):
            raise PancextError(
                f"{step.name} cannot be a step's name: it may have up to 150 letters, digits and _ . + -. "
                "Rename the dataset, the trainer or the plans."
            )
    return Campaign(
        device=request.device,
        seed=request.seed,
        folders=dict(folders),
        versions=dict(versions),
        steps=ordered(steps, where="the campaign"),
    )


class _DatasetPlan:
    """The steps of one dataset. Trainers alternate within a fold, so that all have their first fold early."""

    def __init__(self, request: Request, dataset: str) -> None:
        self.request, self.dataset = request, dataset
        self.number = dataset.removeprefix("Dataset").split("_")[0]
        self.preprocessing: dict[str, Preprocess] = {}
        self.trainings: list[Train] = []

    def steps(self) -> Iterator[Step]:
        for plans in self.request.plans:
            for configuration, folds in self._trained(plans).items():
                for fold in folds:
                    for trainer in self.request.trainers:
                        self.trainings.append(self._train(trainer, plans, configuration, fold))
        yield from self.preprocessing.values()
        yield from self.trainings
        for trainer in self.request.trainers:
            yield from self._rest(trainer)
        yield from self._compare()

    def _trained(self, plans: str) -> dict[str, tuple[str, ...]]:
        """Return the folds to train by configuration, a first stage before its second.

        The second stage of nnU-Net's cascade trains on what the first predicts of all cases, each by the fold
        that did not see it: so the first is trained in every fold.
        """
        request, trained = self.request, {}
        every = request.splits.get(self.dataset, NNUNET_FOLDS)
        for configuration in request.configurations:
            previous = request.stage(self.dataset, plans, configuration).previous
            if previous:
                trained[previous] = request.folds if ALL in request.folds else every
        for configuration in request.configurations:
            trained.setdefault(configuration, request.folds)
        return trained

    def _train(self, trainer: str, plans: str, configuration: str, fold: str) -> Train:
        stage = self.request.stage(self.dataset, plans, configuration)
        # A first stage predicts for each second one onto its cases, which must be there.
        stages = {
            other: self.request.stage(self.dataset, plans, other) for other in self.request.configurations
        }
        later = {name: other for name, other in stages.items() if other.previous == configuration}
        data = [stage.data, *(other.data for other in later.values())]
        before = [
            step.name
            for step in self.trainings
            if (step.trainer, step.plans, step.configuration) == (trainer, plans, stage.previous)
        ]
        needs = [*(self._preprocess(plans, name).name for name in dict.fromkeys(data)), *before]
        return Train(
            name=f"train-{self.number}-{trainer}-{plans}-{configuration}-{fold}",
            needs=tuple(needs),
            dataset=self.dataset,
            configuration=configuration,
            fold=fold,
            trainer=trainer,
            plans=plans,
            device=self.request.device,
            next_stages=tuple(later),
        )

    def _preprocess(self, plans: str, configuration: str) -> Preprocess:
        name = f"preprocess-{self.number}-{plans}-{configuration}"
        step = Preprocess(name=name, dataset=self.dataset, plans=plans, configuration=configuration)
        return self.preprocessing.setdefault(name, step)

    def _rest(self, trainer: str) -> Iterator[Step]:
        """Yield the choice of the best configuration, the prediction of the test set and its evaluation."""
        request, dataset = self.request, self.dataset
        of_trainer = tuple(step.name for step in self.trainings if step.trainer == trainer)
        tail = f"{self.number}-{trainer}"
        model: dict[str, Any]
        if ALL in request.folds:  # validated on its own training cases, which cannot choose
            needs = of_trainer
            (plans,), (configuration,) = request.plans[:1], request.configurations[:1]
            model = {"plans": plans, "configuration": configuration, "folds": request.folds}
        else:
            best = Best(
                name=f"best-{tail}",
                needs=of_trainer,
                dataset=dataset,
                trainer=trainer,
                plans=request.plans,
                configurations=request.configurations,
                folds=request.folds,
            )
            yield best
            needs, model = (best.name,), {"best": best_file(dataset, trainer).as_posix()}
        if not request.test_images:
            return
        predict = Predict(
            name=f"predict-{tail}",
            needs=needs,
            dataset=dataset,
            images=request.test_images,
            output=f"predictions/{dataset}/{trainer}",
            trainer=trainer,
            device=request.device,
            **model,
        )
        yield predict
        yield Evaluate(
            name=f"evaluate-{tail}",
            needs=(predict.name,),
            predictions=predict.output,
            truth=request.test_labels,
            output=f"scores/{dataset}/{trainer}",
        )

    def _compare(self) -> Iterator[Compare]:
        request = self.request
        models = tuple(
            str(ModelName(trainer, plans, configuration))
            for plans in request.plans
            for configuration in request.configurations
            for trainer in request.trainers
        )
        if len(models) < 2 or ALL in request.folds:
            return
        yield Compare(
            name=f"compare-{self.number}",
            needs=tuple(step.name for step in self.trainings),
            dataset=self.dataset,
            models=models,
            folds=request.folds,
            output="comparison" if len(request.datasets) == 1 else f"comparison/{self.dataset}",
        )

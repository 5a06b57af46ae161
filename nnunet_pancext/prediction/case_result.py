"""Running the chosen models over one image: each stage once, and what follows from their logits."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nnunet_pancext.errors import PancextError
from nnunet_pancext.inference.ensemble import look_at_the_same
from nnunet_pancext.inference.export import LabelMap, Probabilities, export, probabilities_at
from nnunet_pancext.inference.logits import Logits, Request
from nnunet_pancext.inference.predict import Speed, predict_logits
from nnunet_pancext.inference.prepared_image import PreparedImage, prepare
from nnunet_pancext.inference.trained_folds import TrainedFolds
from nnunet_pancext.model_sharing.postprocessing import read_postprocessing
from nnunet_pancext.prediction.models import Choice, ChosenModel
from nnunet_pancext.prediction.progress import Progress
from nnunet_pancext.prediction.reading import CaseImage
from nnunet_pancext.prediction.training_volumes import plausible_volumes_ml

ProbabilitiesAt = Callable[[NDArray[np.intp]], NDArray[np.floating]]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is computed of each case, and how."""

    speed: Speed = "balanced"
    mirroring: bool = True
    save_probabilities: bool = False
    per_fold: bool = False
    entropy: bool = False

    @property
    def needs_probabilities(self) -> bool:
        return self.save_probabilities or self.entropy


@dataclass
class Seconds:
    """Seconds of each step."""

    by_step: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.add(step, time.monotonic() - started)

    def add(self, step: str, seconds: float) -> None:
        self.by_step[step] = self.by_step.get(step, 0.0) + seconds


class LoadedModels:
    """The networks of every stage, each loaded once, when it is first needed.

    Raises:
        UnsafeFile, PancextError: as `TrainedFolds`, when a model is loaded.
    """

    def __init__(
        self,
        choice: Choice,
        *,
        device: torch.device,
        mirroring: bool,
        allow: Sequence[str],
        progress: Progress,
    ) -> None:
        self.choice, self.progress = choice, progress
        self.device, self.mirroring, self.allow = device, mirroring, allow
        self._loaded: dict[Any, TrainedFolds] = {}
        self._plausible_ml: dict[Any, tuple[float, float] | None] = {}

    @property
    def are_loaded(self) -> bool:
        return len(self._loaded) == len(self.choice.stages)

    def load_all(self) -> None:
        """Load what is not loaded yet, so that a model that cannot be used fails before the first case."""
        for stage in self.choice.stages:
            self.of(stage)

    def of(self, model: ChosenModel) -> TrainedFolds:
        """Return the networks of a stage."""
        if model.folder not in self._loaded:
            folds = TrainedFolds(
                model.folder,
                model.folds,
                checkpoint=model.checkpoint,
                device=self.device,
                use_mirroring=self.mirroring,
                allow=self.allow,
            )
            _require_named_configuration(model, folds)
            folds.predictor.on_window = self.progress.on_window
            self._loaded[model.folder] = folds
        return self._loaded[model.folder]

    def plausible_ml(self, model: ChosenModel) -> tuple[float, float] | None:
        """Return the smallest and largest plausible volume of the foreground; None if unknown."""
        if model.folder not in self._plausible_ml:
            volumes = plausible_volumes_ml(model.folder, announce=self.progress.console.say)
            self._plausible_ml[model.folder] = volumes
        return self._plausible_ml[model.folder]


@dataclass
class StageResult:
    """The logits of one configuration, and what is exported from them when it is needed."""

    model: ChosenModel
    folds: TrainedFolds
    image: PreparedImage
    logits: Logits
    seconds: Seconds

    @cached_property
    def label_map(self) -> LabelMap:
        """The label map (slice, row, column), as nnU-Net predicts it without probabilities."""
        with self.seconds.of("export"):
            return export(self.folds, self.image, self.logits)[0]

    @cached_property
    def with_probabilities(self) -> tuple[LabelMap, Probabilities]:
        """The label map as nnU-Net predicts it with probabilities, and these (head, slice, row, column)."""
        with self.seconds.of("export"):
            label_map, probabilities = export(self.folds, self.image, self.logits, with_probabilities=True)
        assert probabilities is not None
        return label_map, probabilities

    def label_map_of_fold(self, index: int) -> LabelMap:
        """Return the label map of one fold alone."""
        with self.seconds.of("export"):
            return export(self.folds, self.image, self.logits, fold=index)[0]

    def probabilities_at(self, voxels: NDArray[np.intp]) -> NDArray[np.floating]:
        """Return the probabilities (N, heads) at voxels (N, 3) of the image: slice, row, column."""
        return probabilities_at(self.folds, self.image, self.logits, voxels)


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """A label map (slice, row, column), and further requested results.

    `stages` are all that were run, in that order; the last of `members` is the model itself, or they are
    those whose probabilities were averaged. `properties` are nnU-Net's record of the first.
    """

    label_map: LabelMap
    probabilities: Probabilities | None
    probabilities_at: ProbabilitiesAt
    stages: list[StageResult]
    members: list[StageResult]

    @property
    def properties(self) -> dict[str, Any]:
        return self.members[0].image.properties

    @property
    def entropy(self) -> NDArray[np.float32]:
        """The entropy (slice, row, column) of the probabilities, in nats."""
        assert self.probabilities is not None
        return entropy_of(self.probabilities, has_regions=self.members[0].folds.labels.has_regions)


def predict_image(image: CaseImage, models: LoadedModels, wanted: Wanted, *, seconds: Seconds) -> CaseResult:
    """Run the chosen models over an image.

    Probabilities of several models are averaged as nnUNetv2_ensemble does, before their label map is
    postprocessed.
    """
    choice = models.choice
    is_ensemble = len(choice.models) > 1
    stages: dict[Any, StageResult] = {}
    for model in choice.stages:  # each after the stage before it
        before = None if model.previous is None else stages[model.previous.folder].label_map
        is_member = model in choice.models
        request = Request(
            per_fold=wanted.per_fold and is_member,
            whole_regions=is_member and (is_ensemble or wanted.needs_probabilities),
            plausible_ml=None if wanted.speed == "exact" else models.plausible_ml(model),
            announce=models.progress.announce,
        )
        folds = models.of(model)
        models.progress.begin_model(str(model.folder))
        with seconds.of("preprocess"):
            prepared = prepare(folds, image.voxels, image.properties, previous=before)
        logits = predict_logits(folds, prepared, speed=wanted.speed, request=request)
        stages[model.folder] = StageResult(model, folds, prepared, logits, seconds)
    members = [stages[model.folder] for model in choice.models]
    if is_ensemble and wanted.speed != "exact":
        alike = look_at_the_same([(member.folds, member.image, member.logits) for member in members])
        for member, logits in zip(members, alike, strict=True):
            member.logits = logits
    for stage in stages.values():
        for step, duration in stage.logits.passes.seconds.items():
            seconds.add(step, duration)
    first = members[0]
    probabilities: Probabilities | None = None
    if is_ensemble:
        probabilities = _mean(members)
        label_map = np.asarray(first.folds.labels.convert_probabilities_to_segmentation(probabilities))
        label_map = label_map.astype(np.uint8 if label_map.max() < 255 else np.uint16)
    elif wanted.save_probabilities:
        label_map, probabilities = first.with_probabilities
    else:
        label_map = first.label_map
        probabilities = first.with_probabilities[1] if wanted.entropy else None
    if choice.postprocessing is not None:
        label_map = _postprocess(label_map, choice)

    def at(voxels: NDArray[np.intp]) -> NDArray[np.floating]:
        if probabilities is None:
            return first.probabilities_at(voxels)
        return probabilities[:, voxels[:, 0], voxels[:, 1], voxels[:, 2]].T

    return CaseResult(
        label_map=label_map,
        probabilities=probabilities,
        probabilities_at=at,
        stages=list(stages.values()),
        members=members,
    )


def entropy_of(probabilities: Probabilities, *, has_regions: bool) -> NDArray[np.float32]:
    """Return the entropy in nats (slice, row, column) of probabilities (head, slice, row, column).

    Regions overlap, so that each is a variable of its own, inside or outside: their entropies are added.
    """
    total = np.zeros(probabilities.shape[1:], np.float32)
    for head in probabilities:
        for probability in (head, 1 - head) if has_regions else (head,):
            with np.errstate(divide="ignore", invalid="ignore"):
                term = probability * np.log(probability)
            total -= np.nan_to_num(term)  # 0 log 0 is 0
    return np.maximum(total, 0)


def _require_named_configuration(model: ChosenModel, folds: TrainedFolds) -> None:
    """Refuse a folder that is named after another configuration than its checkpoints are of."""
    settings, loaded = model.settings, folds.configuration
    is_same = list(loaded.patch_size) == settings.get(
        "patch_size"
    ) and loaded.previous_stage_name == settings.get("previous_stage")
    if not is_same:
        raise PancextError(
            f"{model.folder} is named after the configuration {model.name.configuration}, but its checkpoint "
            "is of another. Rename the folder as nnUNetv2_train called it."
        )


def _mean(members: Sequence[StageResult]) -> Probabilities:
    """Return the mean of the probabilities, of which no more than two arrays are held at a time."""
    total: Probabilities | None = None
    for member in members:
        _, probabilities = member.with_probabilities
        del member.with_probabilities
        if total is None:
            total = probabilities.astype(np.float32, copy=False)
        else:
            total += probabilities
    assert total is not None
    total /= len(members)
    return total


def _postprocess(label_map: LabelMap, choice: Choice) -> LabelMap:
    from nnunetv2.postprocessing import remove_connected_components

    assert choice.postprocessing is not None
    for name, arguments in zip(*read_postprocessing(choice.postprocessing), strict=True):
        label_map = getattr(remove_connected_components, name)(label_map, **arguments)
    return label_map

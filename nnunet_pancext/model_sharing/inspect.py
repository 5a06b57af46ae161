"""What a shared model is, and whether this installation can run it; no code of the file runs."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.checkpoints.checkpoint import Checkpoint, read_checkpoint
from nnunet_pancext.checkpoints.plan_names import LARGEST, plan_problems
from nnunet_pancext.checkpoints.trained_network import find_installed_trainer, network_problems, sizes_of
from nnunet_pancext.errors import PancextError
from nnunet_pancext.model_sharing.model_files import (
    checkpoints_of,
    find_models,
    read_object,
    require_safe_files,
    require_source,
)
from nnunet_pancext.model_sharing.unpack import sha256_of, unpacked
from nnunet_pancext.nnunet_files.dataset_json import DatasetJson
from nnunet_pancext.nnunet_files.model_folder import ModelName

UNKNOWN = "unknown"  # in a checkpoint without a copy of the plan
MOST_ANCESTORS = 16  # of a configuration that inherits from another


@dataclass(frozen=True, kw_only=True)
class CheckpointFacts:
    """One checkpoint of a model."""

    fold: str
    file: str
    epochs: int | None
    bytes: int
    sha256: str
    parameters: int


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """A trained model; `problems` are the reasons why it cannot be run here, empty if it can."""

    dataset: str
    name: str
    trainer: str
    plans: str
    configuration: str
    channels: tuple[str, ...]
    labels: dict[str, Any]
    patch_size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    checkpoints: tuple[CheckpointFacts, ...]
    problems: tuple[str, ...]

    @property
    def folds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(checkpoint.fold for checkpoint in self.checkpoints))


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The models in a source, its files that are no part of one, and the source's hash if it is a file."""

    source: Path
    sha256: str | None
    models: tuple[ModelFacts, ...]
    left_out: tuple[str, ...]

    @property
    def problems(self) -> list[str]:
        """Every reason against running the models here."""
        return problems_of(self.models)


def problems_of(models: Sequence[ModelFacts]) -> list[str]:
    """Return every reason against running the models here, with the model's name."""
    return [f"{model.name}: {problem}" for model in models for problem in model.problems]


def inspect_source(source: Path, *, allow: Collection[str] = ()) -> Inspection:
    """Inspect a zip of `nnUNetv2_export_model_to_zip`, a folder with models, or a checkpoint.

    `allow` are names in plans that the user trusts.

    Raises:
        UnsafeFile: a file is damaged or holds code.
        PancextError: the source does not exist, or holds no model.
    """
    require_source(source)
    with reading(source):
        digest = None if source.is_dir() else sha256_of(source)
        if digest and source.suffix == ".pth":
            facts = _inspect_checkpoint(source, digest=digest, allow=allow)
            return Inspection(source=source, sha256=digest, models=(facts,), left_out=())
        with unpacked(source) as files:
            require_safe_files(files.root, allow=allow)
            models = tuple(inspect_model(folder, allow=allow) for folder in find_models(files.root, source))
            return Inspection(source=source, sha256=digest, models=models, left_out=files.left_out)


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """Turn an OSError into a PancextError that names the source."""
    try:
        yield
    except OSError as error:
        raise PancextError(
            f"Cannot read {source}: {error.strerror or error}. Check its permissions."
        ) from error


def inspect_model(folder: Path, *, allow: Collection[str] = ()) -> ModelFacts:
    """Inspect a model's folder; raises as `inspect_source`."""
    plans, dataset_json = (read_object(folder / name) for name in ("plans.json", "dataset.json"))
    facts: list[CheckpointFacts] = []
    problems: dict[str, None] = {}  # in order, each once
    for file in checkpoints_of(folder):
        checkpoint = read_checkpoint(file)
        facts.append(_checkpoint_facts(checkpoint, digest=sha256_of(file)))
        problems |= dict.fromkeys(_problems(checkpoint, plans, dataset_json, allow))
        trained_as = ModelName(
            checkpoint.trainer, str(plans.get("plans_name", UNKNOWN)), checkpoint.configuration
        )
        del checkpoint  # the next one needs its memory
    return _model_facts(
        ModelName.parse(folder.name) or trained_as,
        trained_as=trained_as,
        dataset=folder.parent.name,
        plans=plans,
        dataset_json=dataset_json,
        checkpoints=facts,
        problems=problems,
    )


def _inspect_checkpoint(file: Path, *, digest: str, allow: Collection[str]) -> ModelFacts:
    """Inspect a checkpoint by itself, with its own copies of the plan and of dataset.json."""
    checkpoint = read_checkpoint(file)
    plans = checkpoint.plans
    trained_as = ModelName(
        checkpoint.trainer, str(plans.get("plans_name", UNKNOWN)), checkpoint.configuration
    )
    return _model_facts(
        trained_as,
        trained_as=trained_as,
        dataset=str(plans.get("dataset_name", UNKNOWN)),
        plans=plans,
        dataset_json=checkpoint.dataset_json,
        checkpoints=[_checkpoint_facts(checkpoint, digest=digest)],
        problems=dict.fromkeys(_problems(checkpoint, plans, checkpoint.dataset_json, allow)),
    )


def _problems(
    checkpoint: Checkpoint, plans: dict[str, Any], dataset_json: dict[str, Any], allow: Collection[str]
) -> Iterator[str]:
    """Yield the reasons why the checkpoint cannot be run with this plan."""
    if checkpoint.plans not in ({}, plans):
        own = plan_problems(checkpoint.plans, allow=allow)
        yield from (f"{checkpoint.path.name} has a plan of its own, in which {problem}" for problem in own)
    try:
        trainer = find_installed_trainer(checkpoint.trainer)
    except PancextError as error:
        yield str(error)
        trainer = None
    try:
        sizes = sizes_of(plans, dataset_json, checkpoint.configuration, allow=allow)
    except PancextError as error:
        yield str(error)
        return
    if trainer:
        fold = checkpoint.path.parent.name
        yield from (f"{fold}: {problem}" for problem in network_problems(checkpoint, trainer, sizes))


def _checkpoint_facts(checkpoint: Checkpoint, *, digest: str) -> CheckpointFacts:
    return CheckpointFacts(
        fold=checkpoint.path.parent.name.removeprefix("fold_"),
        file=checkpoint.path.name,
        epochs=checkpoint.epochs,
        bytes=checkpoint.path.stat().st_size,
        sha256=digest,
        parameters=sum(tensor.numel() for tensor in checkpoint.weights.values()),
    )


def _model_facts(
    name: ModelName,
    *,
    trained_as: ModelName,
    dataset: str,
    plans: dict[str, Any],
    dataset_json: dict[str, Any],
    checkpoints: list[CheckpointFacts],
    problems: dict[str, None],
) -> ModelFacts:
    declared = DatasetJson(Path("dataset.json"), dataset_json)
    channels: tuple[str, ...] = ()
    labels: dict[str, Any] = {}
    try:
        channels, labels = declared.channel_names, declared.labels
    except PancextError as error:
        problems[str(error)] = None
    configuration = _resolved(plans, trained_as.configuration)
    return ModelFacts(
        dataset=dataset,
        name=str(name),
        trainer=trained_as.trainer,
        plans=trained_as.plans,
        configuration=trained_as.configuration,
        channels=channels,
        labels=labels,
        patch_size=_numbers(configuration.get("patch_size")),
        spacing_mm=_numbers(configuration.get("spacing")),
        checkpoints=tuple(checkpoints),
        problems=tuple(problems),
    )


def _resolved(plans: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a configuration with what it inherits; empty if the plan does not have it."""
    configurations: Any = plans.get("configurations")
    settings: dict[str, Any] = {}
    wanted: Any = name
    for _ in range(MOST_ANCESTORS if isinstance(configurations, dict) else 0):
        own = configurations.get(wanted) if isinstance(wanted, str) else None
        if not isinstance(own, dict):
            break
        settings = {**own, **settings}
        wanted = own.get("inherits_from")
    return settings


def _numbers(value: Any) -> tuple[Any, ...]:
    is_list = isinstance(value, (list, tuple)) and all(map(_is_length, value))
    return tuple(value) if is_list else ()


def _is_length(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= LARGEST  # neither NaN nor infinite

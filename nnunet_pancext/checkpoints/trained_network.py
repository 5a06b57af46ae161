"""The network of a checkpoint, built by an installed trainer from a checked plan."""

import inspect
import io
import re
import warnings
from collections.abc import Collection, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nnunet_pancext.checkpoints.checkpoint import Checkpoint, read_checkpoint
from nnunet_pancext.checkpoints.pickled import UnsafeFile
from nnunet_pancext.checkpoints.plan_names import ALLOWLIST, plan_problems
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import printable
from nnunet_pancext.io.files import read_json
from nnunet_pancext.trainers import find_trainer
from nnunet_pancext.trainers.machinery.plan_setting import PlanSetting, Sizes

IDENTIFIER = re.compile(r"[A-Za-z_]\w{0,199}", re.ASCII)
MOST_LISTED = 3
TRUSTED = "If you trust the package that defines it: `--allow NAME` of pancext predict and attention."


def find_installed_trainer(name: str) -> Any:
    """Return the trainer class of this package, of nnU-Net or of another installed package.

    Raises:
        PancextError: there is no trainer of this name.
    """
    if IDENTIFIER.fullmatch(name):
        trainer = find_trainer(name)
        if trainer is not None:
            return trainer
        from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
        from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

        try:
            with redirect_stdout(io.StringIO()):  # the search prints
                trainer = recursive_find_trainer_class_by_name(name)
        except (RuntimeError, AssertionError, TypeError):  # the last two for a name that is no trainer's
            trainer = None
        if isinstance(trainer, type) and issubclass(trainer, nnUNetTrainer):
            return trainer
    raise PancextError(f"there is no trainer {printable(name)} here. Install the package that defines it.")


def build_network(trainer: Any, sizes: Sizes) -> nn.Module:
    """Return the trainer's network without deep supervision, as nnU-Net builds it to predict."""
    build = trainer.build_network_architecture
    if "plans_manager" in inspect.signature(build).parameters:
        return build(*sizes, enable_deep_supervision=False)
    manager = sizes.configuration_manager  # the signature before nnU-Net 2.7
    return build(
        manager.network_arch_class_name,
        manager.network_arch_init_kwargs,
        manager.network_arch_init_kwargs_req_import,
        sizes.num_input_channels,
        sizes.num_output_channels,
        enable_deep_supervision=False,
    )


def sizes_of(
    plans: dict[str, Any], dataset_json: dict[str, Any], configuration: str, *, allow: Collection[str] = ()
) -> Sizes:
    """Return what a network is built from.

    Raises:
        UnsafeFile: the plan names something that may not be called.
        PancextError: nnU-Net cannot read the plan or the dataset's labels.
    """
    if problems := plan_problems(plans, allow=allow):
        raise UnsafeFile("; ".join(problems))
    setting = PlanSetting(
        plans={"label_manager": "LabelManager", **plans},  # nnU-Net's default, without its message
        dataset_json=dataset_json,
        configurations=(configuration,),
        origin="The plan is plans.json.",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about plans of earlier versions, which nnU-Net reads
        return setting.sizes(configuration)


def initialize_predictor(
    predictor: Any, folder: Path, file: Path, *, allow: Collection[str] = ()
) -> Checkpoint:
    """Load a trained model into an `nnUNetPredictor`, as nnU-Net does, but without running code in its files.

    Return the checkpoint.

    Args:
        predictor: an nnUNetPredictor.
        folder: the model, with plans.json and dataset.json.
        file: the checkpoint of a fold.
        allow: names in plans.json that the user trusts.

    Raises:
        UnsafeFile: a file is damaged, or holds or names code.
        PancextError: the trainer is not installed, or its network does not fit the plan or the checkpoint.
    """
    plans, dataset_json = (
        read_json(folder / name, expect=dict, remedy="Copy the model again.")
        for name in ("plans.json", "dataset.json")
    )
    checkpoint = read_checkpoint(file)
    trainer = find_installed_trainer(checkpoint.trainer)
    try:
        sizes = sizes_of(plans, dataset_json, checkpoint.configuration, allow=allow)
    except PancextError as error:
        remedy = f". {TRUSTED}" if ALLOWLIST in str(error) else ""
        raise type(error)(f"{folder / 'plans.json'}: {error}{remedy}") from error
    if problems := network_problems(checkpoint, trainer, sizes):
        raise PancextError(f"{file} does not fit its plan: {'; '.join(problems)}. Copy the model again.")
    predictor.manual_initialization(
        build_network(trainer, sizes),
        sizes.plans_manager,
        sizes.configuration_manager,
        [checkpoint.weights],
        dataset_json,
        checkpoint.trainer,
        checkpoint.mirroring_axes,
    )
    predictor.network.load_state_dict(checkpoint.weights)
    return checkpoint


def network_problems(checkpoint: Checkpoint, trainer: Any, sizes: Sizes) -> list[str]:
    """Return how the checkpoint's tensors differ from those of the trainer's network; empty if they fit.

    The network is built without memory for its weights.
    """
    try:
        with redirect_stdout(io.StringIO()), torch.device("meta"):
            network = build_network(trainer, sizes)
            expected = network.state_dict()
    except Exception as error:  # whatever another trainer raises for a plan that it cannot use
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return [f"{checkpoint.trainer} cannot build its network from this plan ({reason[:200]})"]
    weights = checkpoint.weights
    missing, unknown = sorted(expected.keys() - weights), sorted(weights.keys() - expected)
    problems = [
        f"{len(names)} tensors {what}, {', '.join(map(printable, names[:MOST_LISTED]))} first"
        for names, what in ((missing, "are missing"), (unknown, "have no place in the network"))
        if names and not _loads(network, weights)
    ]
    for name in sorted(expected.keys() & weights):
        ours, theirs = expected[name], weights[name]
        if ours.shape != theirs.shape or ours.is_floating_point() != theirs.is_floating_point():
            problems.append(
                f"{name} is {theirs.dtype} {tuple(theirs.shape)}, but the network has {ours.dtype} "
                f"{tuple(ours.shape)}"
            )
    return problems[: MOST_LISTED + 2]


def _loads(network: nn.Module, weights: Mapping[str, torch.Tensor]) -> bool:
    """Whether a network without memory takes the weights, perhaps of a former version with other tensors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing is copied, and what the network says of such weights
        try:
            network.load_state_dict(weights)
        except Exception:  # of a third party's hook, too
            return False
    return True

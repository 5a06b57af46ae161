"""The plan and dataset on which the size of a network depends."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.trainers.machinery.default_plan import DEFAULT_DATASET_JSON, default_plans
from nnunet_pancext.trainers.machinery.nnunet import ConfigurationManager, PlansManager

REMEDY = (
    "Plans, such as nnUNetPlans.json, are in the dataset's folder in $nnUNet_preprocessed, and with trained "
    "models in $nnUNet_results."
)
# nnU-Net's errors for plans that it cannot read.
UNREADABLE = (
    *(LookupError, TypeError, ValueError, AttributeError, AssertionError, RuntimeError),
    ArithmeticError,
)


RECREATE = "Recreate the plan: nnUNetv2_plan_experiment."
COUNTS = (  # of arch_kwargs, for U-Nets with and without residual blocks
    *("strides", "kernel_sizes", "features_per_stage"),
    *("n_conv_per_stage", "n_conv_per_stage_decoder", "n_blocks_per_stage"),
)


class Sizes(NamedTuple):
    """The arguments of `build_network_architecture` for one configuration of a plan."""

    plans_manager: PlansManager
    configuration_manager: ConfigurationManager
    num_input_channels: int
    num_output_channels: int


@dataclass(frozen=True, kw_only=True)
class PlanSetting:
    """A plan with its dataset, and one line about their origin."""

    plans: dict[str, Any]
    dataset_json: dict[str, Any]
    configurations: tuple[str, ...]
    origin: str
    headings: dict[str, str] = field(default_factory=dict)  # shorter names of configurations

    def sizes(self, configuration: str) -> Sizes:
        """Return the arguments that a network is built from.

        Raises:
            PancextError: nnU-Net cannot read this configuration or the dataset's labels, or a size is
                impossible.
        """
        try:
            plans = PlansManager(self.plans)
            manager = plans.get_configuration(configuration)
            for key, value, expected in impossible_sizes(manager.configuration):
                raise PancextError(
                    f"configurations.{configuration}.{key} is {json.dumps(value)}; expected: {expected}. "
                    f"{self.origin} {RECREATE}"
                )
            channels = determine_num_input_channels(plans, manager, self.dataset_json)
            heads = plans.get_label_manager(self.dataset_json).num_segmentation_heads
        except UNREADABLE as error:
            raise PancextError(
                f"nnU-Net cannot read configuration {configuration!r} ({type(error).__name__}: {error}). "
                f"{self.origin} {RECREATE}"
            ) from error
        return Sizes(plans, manager, channels, heads)


def impossible_sizes(configuration: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Yield key and value of each size that is not positive or does not fit the axes, and what should be."""
    arch_kwargs = configuration["architecture"]["arch_kwargs"]
    sizes = {key: configuration.get(key) for key in ("patch_size", "spacing", "batch_size")}
    counts = {key: arch_kwargs[key] for key in COUNTS if arch_kwargs.get(key) is not None}
    sizes |= {f"architecture.arch_kwargs.{key}": value for key, value in counts.items()}
    axes = len(flat(sizes["patch_size"]))
    for key, value in sizes.items():
        if not all(is_size(number, is_whole=key != "spacing") for number in flat(value)):
            yield key, value, "positive numbers" if key == "spacing" else "positive whole numbers"
        elif key in ("patch_size", "spacing") and (axes not in (2, 3) or len(flat(value)) != axes):
            yield key, value, "one number for each of the 2 or 3 axes"


def flat(value: Any) -> list[Any]:
    """Return the entries of nested lists, or the value itself as the only entry."""
    return [entry for inner in value for entry in flat(inner)] if isinstance(value, list) else [value]


def is_size(number: Any, *, is_whole: bool) -> bool:
    """Whether it is a positive number, and whole where it must be."""
    is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
    return is_number and 0 < number < math.inf and (not is_whole or number == int(number))


def default_setting(configuration: str | None = None) -> PlanSetting:
    """Return nnU-Net's plan for MSD pancreas, or one configuration of it.

    Raises:
        PancextError: there is no such configuration.
    """
    return _setting(
        default_plans(),
        DEFAULT_DATASET_JSON,
        configuration,
        where="the built-in plan",
        origin="Assumed: nnU-Net's plan for MSD pancreas (2d: patch 512x512, 3d: patch 40x224x224), "
        "1 image channel, 2 classes (background, pancreas).",
        headings={"3d_fullres": "3d"},
    )


def read_setting(plans_file: Path, configuration: str | None = None) -> PlanSetting:
    """Return the plan in `plans_file`, or one configuration of it, with the `dataset.json` beside it.

    Without a `dataset.json`, one image channel and two classes are assumed.

    Raises:
        PancextError: a file is missing, not JSON or not a plan; there is no such configuration.
    """
    plans = read_json(plans_file, expect=dict, remedy=REMEDY)
    if not isinstance(plans.get("configurations"), dict) or not plans["configurations"]:
        raise PancextError(
            f"{plans_file} is not an nnU-Net plan: it has no 'configurations'. "
            "Pass a file written by nnUNetv2_plan_experiment, such as nnUNetPlans.json."
        )
    plans.setdefault("label_manager", "LabelManager")  # nnU-Net's default, without its message
    dataset_file = plans_file.with_name("dataset.json")
    if dataset_file.is_file():
        dataset_json = read_json(dataset_file, expect=dict)
        source = "channels and classes as in dataset.json beside it."
    else:
        dataset_json = DEFAULT_DATASET_JSON
        source = "no dataset.json beside it, so 1 image channel and 2 classes are assumed."
    origin = f"Plan: {plans_file}; {source}"
    return _setting(plans, dataset_json, configuration, where=str(plans_file), origin=origin)


def _setting(
    plans: dict, dataset_json: dict, configuration: str | None, *, where: str, **texts: Any
) -> PlanSetting:
    names = tuple(plans["configurations"])
    if configuration is not None and configuration not in names:
        raise PancextError(
            f"There is no configuration {configuration!r} in {where}. It has: {', '.join(names)}."
        )
    configurations = names if configuration is None else (configuration,)
    return PlanSetting(plans=plans, dataset_json=dataset_json, configurations=configurations, **texts)

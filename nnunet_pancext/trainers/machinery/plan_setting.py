"""The plan and dataset on which the size of a network depends."""

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
            PancextError: nnU-Net cannot read this configuration or the dataset's labels.
        """
        try:
            plans = PlansManager(self.plans)
            manager = plans.get_configuration(configuration)
            channels = determine_num_input_channels(plans, manager, self.dataset_json)
            heads = plans.get_label_manager(self.dataset_json).num_segmentation_heads
        except UNREADABLE as error:
            raise PancextError(
                f"nnU-Net cannot read configuration {configuration!r} ({type(error).__name__}: {error}). "
                f"{self.origin} Recreate the plan: nnUNetv2_plan_experiment."
            ) from error
        return Sizes(plans, manager, channels, heads)


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

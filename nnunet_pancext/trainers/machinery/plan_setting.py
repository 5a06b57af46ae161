"""What the size of a network depends on: a plan, and the channels and classes of the dataset it is for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.trainers.machinery.default_plan import DEFAULT_DATASET_JSON, default_plans

REMEDY = (
    "Plans, such as nnUNetPlans.json, are in $nnUNet_preprocessed, in the dataset's folder, and with trained "
    "models in $nnUNet_results."
)
# How nnU-Net fails on what it cannot read.
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, AssertionError, RuntimeError)


@dataclass(frozen=True)
class Sizes:
    """What `build_network_architecture` takes for one configuration of a plan."""

    plans_manager: PlansManager
    configuration_manager: ConfigurationManager
    num_input_channels: int
    num_output_channels: int


@dataclass(frozen=True)
class PlanSetting:
    """A plan with the dataset it is for, and one line that says where they come from.

    `headings` names a configuration otherwise where a shorter name will do.
    """

    plans: dict[str, Any]
    dataset_json: dict[str, Any]
    configurations: tuple[str, ...]
    origin: str
    headings: dict[str, str]

    def sizes(self, configuration: str) -> Sizes:
        """Return what a network is built from.

        Raises:
            PancextError: nnU-Net cannot read this configuration or the dataset's labels.
        """
        try:
            plans = PlansManager(self.plans)
            manager = plans.get_configuration(configuration)
            return Sizes(
                plans_manager=plans,
                configuration_manager=manager,
                num_input_channels=determine_num_input_channels(plans, manager, self.dataset_json),
                num_output_channels=plans.get_label_manager(self.dataset_json).num_segmentation_heads,
            )
        except UNREADABLE as error:
            raise PancextError(
                f"nnU-Net cannot read configuration {configuration!r} ({type(error).__name__}: {error}). "
                f"{self.origin} Make the plan anew: nnUNetv2_plan_experiment."
            ) from error


def default_setting(configuration: str | None = None) -> PlanSetting:
    """Return nnU-Net's plan for MSD pancreas, or one configuration of it.

    Raises:
        PancextError: there is no such configuration.
    """
    plans = default_plans()
    return PlanSetting(
        plans=plans,
        dataset_json=DEFAULT_DATASET_JSON,
        configurations=_chosen(plans, configuration, where="the built-in plan"),
        origin="Assumed: nnU-Net's plan for MSD pancreas (2d: patch 512x512, 3d: patch 40x224x224), "
        "1 image channel, 2 classes (background, pancreas).",
        headings={"3d_fullres": "3d"},
    )


def read_setting(plans_file: Path, configuration: str | None = None) -> PlanSetting:
    """Return the plan in `plans_file`, or one configuration of it, with the `dataset.json` beside it.

    Where there is none, one image channel and two classes are assumed.

    Raises:
        PancextError: a file is missing, not JSON or no plan; there is no such configuration.
    """
    plans = read_json(plans_file, expect=dict, remedy=REMEDY)
    if not isinstance(plans.get("configurations"), dict) or not plans["configurations"]:
        raise PancextError(
            f"{plans_file} is not an nnU-Net plan: it has no 'configurations'. "
            "Name the file that nnUNetv2_plan_experiment wrote, such as nnUNetPlans.json."
        )
    plans.setdefault(
        "label_manager", "LabelManager"
    )  # nnU-Net's default; it prints a line where it is missing
    chosen = _chosen(plans, configuration, where=str(plans_file))
    dataset_file = plans_file.with_name("dataset.json")
    if dataset_file.is_file():
        dataset_json = read_json(dataset_file, expect=dict)
        source = "channels and classes as in dataset.json beside it."
    else:
        dataset_json = DEFAULT_DATASET_JSON
        source = "no dataset.json beside it, so 1 image channel and 2 classes are assumed."
    return PlanSetting(
        plans=plans,
        dataset_json=dataset_json,
        configurations=chosen,
        origin=f"Plan: {plans_file}; {source}",
        headings={},
    )


def _chosen(plans: dict[str, Any], configuration: str | None, *, where: str) -> tuple[str, ...]:
    known = tuple(plans["configurations"])
    if configuration is None:
        return known
    if configuration not in known:
        raise PancextError(
            f"There is no configuration {configuration!r} in {where}. It has: {', '.join(known)}."
        )
    return (configuration,)

"""nnU-Net's plans file: the settings of a configuration, and the planner that writes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError

DEFAULT_PLANS = "nnUNetPlans"
CASCADE, FIRST_STAGE, SECOND_STAGE_DATA = "3d_cascade_fullres", "3d_lowres", "3d_fullres"
CONFIGURATIONS = ("2d", SECOND_STAGE_DATA, FIRST_STAGE, CASCADE)
# nnU-Net's planners by the name of the plans that they write.
PLANNERS = {
    DEFAULT_PLANS: "ExperimentPlanner",
    **{f"nnUNetResEncUNet{size}Plans": f"nnUNetPlannerResEnc{size}" for size in ("M", "L", "XL")},
}
MOST_INHERITED = 20  # configurations, each of which inherits from the next


def configuration_of(
    plans: Mapping[str, Any], name: str, *, source: Path, remedy: str = "Plan the dataset again."
) -> dict[str, Any]:
    """Return the settings of a configuration with those that it inherits, as nnU-Net resolves them.

    Raises:
        PancextError: the plan does not have it, or a configuration that it inherits from.
    """
    known = plans.get("configurations")
    known = known if isinstance(known, dict) else {}
    settings: dict[str, Any] = {}
    parent: Any = name
    for _ in range(MOST_INHERITED):
        found = known.get(parent) if isinstance(parent, str) else None
        if not isinstance(found, dict):
            raise PancextError(
                f"{source} has no configuration {str(parent)[:80]!r}; it has {', '.join(known) or 'none'}. "
                f"{remedy}"
            )
        settings = {**found, **settings}
        parent = found.get("inherits_from")
        if parent is None:
            settings.pop("inherits_from", None)
            return settings
    raise PancextError(f"{source} has configurations that inherit from each other. {remedy}")

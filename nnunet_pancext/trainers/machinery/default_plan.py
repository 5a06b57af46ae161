"""nnU-Net's plan for MSD pancreas, the default of `pancext trainers`."""

from pathlib import Path
from typing import Any

from nnunet_pancext.io.files import read_json

# Of the dataset as converted with the pancreas and its tumours as one label.
DEFAULT_DATASET_JSON: dict[str, Any] = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "pancreas": 1},
    "file_ending": ".nii.gz",
    "numTraining": 281,
}


def default_plans() -> dict[str, Any]:
    """Return a new plan with the configurations `2d` and `3d_fullres`, as the default planner writes it.

    Without intensity statistics, which need the images.
    """
    return read_json(Path(__file__).with_name("default_plans.json"), expect=dict)

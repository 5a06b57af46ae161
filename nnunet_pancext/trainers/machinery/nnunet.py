"""nnU-Net's classes that trainers need, after a check of its version."""

import nnunet_pancext_discovery
from nnunet_pancext.errors import PancextError

_outdated = nnunet_pancext_discovery.outdated_nnunet_message()
if _outdated:
    raise PancextError(_outdated)

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402
from nnunetv2.utilities.plans_handling.plans_handler import (  # noqa: E402
    ConfigurationManager,
    PlansManager,
)

__all__ = ["ConfigurationManager", "PlansManager", "nnUNetTrainer"]

"""Looking through any nnU-Net raw dataset for what would spoil a training.

`measure` reads a case, `judge` compares it with the others, `report` writes what was found; `check` does all
three for a dataset.
"""

from nnunet_pancext.dataset_check.check import CheckResult, check_dataset

__all__ = ["CheckResult", "check_dataset"]

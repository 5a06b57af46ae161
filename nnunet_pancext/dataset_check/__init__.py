"""Checking an nnU-Net raw dataset for whatever would spoil a training.

`measure` reads a case, `judge` compares it with the others, `report` draws and writes the results; `check`
runs all three on a dataset.
"""

from nnunet_pancext.dataset_check.check import CheckResult, check_dataset

__all__ = ["CheckResult", "check_dataset"]

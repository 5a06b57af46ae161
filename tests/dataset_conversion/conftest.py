"""Fixtures of the conversion tests."""

from pathlib import Path

import pytest
from synthetic_msd_task import SyntheticTask, make_msd_task


@pytest.fixture
def task(tmp_path: Path) -> SyntheticTask:
    """Six labelled cases pancreas_001, _004, … _016 and two test images, AppleDouble files included."""
    return make_msd_task(tmp_path / "download" / "Task07_Pancreas")


@pytest.fixture
def raw_root(tmp_path: Path) -> Path:
    """A raw root that does not exist yet."""
    return tmp_path / "nnUNet_raw"

"""Fixtures of the conversion tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_msd_task import MadeTask, make_msd_task


@pytest.fixture
def task(tmp_path: Path) -> MadeTask:
    """Six labelled cases pancreas_001, _004, … _016 and two test images, AppleDouble files included."""
    return make_msd_task(tmp_path / "download" / "Task07_Pancreas")


@pytest.fixture
def raw_root(tmp_path: Path) -> Path:
    """A raw root that does not exist yet."""
    return tmp_path / "nnUNet_raw"

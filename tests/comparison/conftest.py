from __future__ import annotations

from pathlib import Path

import pytest
from made_results import Tree, make_tree

from nnunet_pancext.comparison.output import side_by_side

VARIABLES = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")


@pytest.fixture(scope="module", autouse=True)
def coarse_figures():
    """Draw figures with few pixels: these tests look at pages, those in tests/figures at figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(side_by_side, "PIXELS_PER_INCH", 40)
        yield


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Two folds of four cases, without any trained model."""
    for name in VARIABLES:
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    return make_tree(tmp_path)

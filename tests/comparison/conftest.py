from pathlib import Path

import pytest
from made_results import Tree, make_tree

VARIABLES = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")


@pytest.fixture(scope="module", autouse=True)
def _coarse(coarse_figures: None) -> None:
    """These tests look at pages."""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Two folds of four cases, without any trained model."""
    for name in VARIABLES:
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    return make_tree(tmp_path)

from pathlib import Path

import pytest
from prediction.made_models import write_image, write_model


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """nnU-Net's folder of trained models."""
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    for name in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "results"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_image(tmp_path / "images" / "ct_0000.nii.gz")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in 2D, which no test changes."""
    return write_model(tmp_path_factory.mktemp("shared") / "results", "2d", folds=("0", "1"))

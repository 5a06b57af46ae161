import re
import shutil
from pathlib import Path

import pytest
from contracts.made_preprocessed import DATASET
from prediction.made_models import predict, write_image, write_model


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


@pytest.fixture
def copy(model, results):
    """A copy of the model that a test may change, in nnU-Net's results."""
    return shutil.copytree(model, results / DATASET / model.name)


@pytest.fixture
def refused(tmp_path, image, capsys):
    """Return a function that expects a refusal of these options, and that nothing is written."""

    def check(message: str, *words, inputs=(image,), out=tmp_path / "out") -> None:
        before = set(tmp_path.rglob("*"))
        assert predict(*inputs, *(() if out is None else ("-o", out)), *words) == 1
        errors = capsys.readouterr().err
        assert re.search(message, errors, re.DOTALL), errors
        assert "Traceback" not in errors
        assert set(tmp_path.rglob("*")) == before

    return check

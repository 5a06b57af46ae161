"""A machine with fakes of all commands of a protocol that record their arguments."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from nnunet_pancext.cli.main import main
from nnunet_pancext.nnunet_files.folders import DUTIES

COMMANDS = ("pancext", "nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict")


@dataclass(frozen=True)
class Machine:
    """The fake machine: its folders, and how to run `pancext reproduce` on it."""

    root: Path
    source: Path

    @property
    def results(self) -> Path:
        """Folder of the trained models."""
        return self.root / "nnUNet_results"

    @property
    def raw(self) -> Path:
        """Folder of the raw datasets."""
        return self.root / "nnUNet_raw"

    @property
    def out(self) -> Path:
        """Folder of results."""
        return self.root / "out"

    def reproduce(self, *words: str, source: bool = True) -> int:
        """Run the command on the CPU and return its exit code."""
        given = ["--source", str(self.source)] if source else []
        return main(["reproduce", *words, *given, "--device", "cpu", "--out", str(self.out)])

    def calls(self) -> list[list[str]]:
        """Return the commands since the last look."""
        record = self.root / "calls"
        lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
        record.write_text("", encoding="utf-8")
        return [json.loads(line) for line in lines]

    def fold(self, trainer: str, dataset: str = "Dataset900_PancreasOrgan") -> Path:
        """Return the folder of the one fold of a trainer in 2d."""
        return self.results / dataset / f"{trainer}__nnUNetPlans__2d" / "fold_all"

    def result(self, trainer: str, dataset: str = "Dataset900_PancreasOrgan") -> Path:
        """Return the folder of a trainer's predictions and scores."""
        return self.out / dataset / f"{trainer}__nnUNetPlans__2d__fold_all"


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Machine:
    """Return a machine with nnU-Net's folders, a download, and fakes of all commands."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    body = Path(__file__).with_name("fake_commands.py").read_text(encoding="utf-8")
    for name in COMMANDS:
        script = scripts / name
        script.write_text(f"#!{sys.executable} -IS\n{body}", encoding="utf-8")
        script.chmod(0o755)
    monkeypatch.setattr("sysconfig.get_path", lambda kind: str(scripts))
    for name in DUTIES:
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls"))
    source = tmp_path / "Task07_Pancreas"
    source.mkdir()
    return Machine(root=tmp_path, source=source)


@pytest.fixture
def no_host_folders(monkeypatch) -> None:
    """Unset nnU-Net's variables."""
    for name in DUTIES:
        monkeypatch.delenv(name, raising=False)

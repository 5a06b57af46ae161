"""A machine on which the steps of a protocol leave at once what they would leave after days."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nnunet_pancext.campaign.definition import Campaign, open_campaign
from nnunet_pancext.campaign.step import Step, kinds
from nnunet_pancext.cli.main import main
from nnunet_pancext.nnunet_files.folders import DUTIES

FOLDS = [{"train": ["a"], "val": ["b"]}]
SCORES = {"per_slice": {"slice_dice": 0.5}, "per_volume": {"dice": {"mean": 0.4, "sd": 0.1}}}


@dataclass
class Machine:
    """The machine, how to run `pancext reproduce` on it, and the steps that were run, by name.

    A step that was run is done; `remarks` is the content of a conversion report beside its options, and
    `code` the exit code of the campaign.
    """

    root: Path
    source: Path
    done: set[str] = field(default_factory=set)
    ran: list[str] = field(default_factory=list)
    remarks: dict[str, Any] = field(default_factory=dict)
    code: int = 0

    @property
    def raw(self) -> Path:
        """Folder of the raw datasets."""
        return self.root / "nnUNet_raw"

    @property
    def out(self) -> Path:
        """Folder of results."""
        return self.root / "out"

    def campaign(self, paper: str) -> Campaign:
        """Return what was written."""
        return open_campaign(self.out / paper)

    def reproduce(self, *words: str, source: bool = True) -> int:
        """Run the command on the CPU and return its exit code."""
        given = ["--source", str(self.source)] if source else []
        return main(["reproduce", *words, *given, "--device", "cpu", "--out", str(self.out)])

    def run_campaign(self, folder: Path, *, gpus: int | None = None) -> int:
        """Leave the outputs of each step that is not done, in order."""
        for step in open_campaign(folder).steps:
            if not step.is_done(folder):
                step.command(folder)
                step.prepare(folder)
                self.ran.append(step.name)
                self._leave(step, folder)
        return self.code

    def _leave(self, step: Step, folder: Path) -> None:
        result = step.result(folder)
        if step.kind == "convert":
            options = {"split": step.options()["split"], "labels": step.options()["labels"]}
            put(result / "split.json", {"folds": FOLDS})
            put(result / "conversion_report.json", {"options": options, **self.remarks})
        elif step.kind == "splits":
            put(result, FOLDS)
        else:
            self.done.add(step.name)
        if step.kind == "evaluate":
            labels = {"cancer": SCORES, "pancreas": SCORES}
            put(result / "summary.json", {"pancext": {"cases": 2, "labels": labels}})


def put(path: Path, content: Any) -> None:
    """Write JSON into a folder that is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine with nnU-Net's variables, a download, and steps that take no time."""
    for name in DUTIES:
        monkeypatch.setenv(name, str(tmp_path / name))
    source = tmp_path / "Task07_Pancreas"
    source.mkdir()
    made = Machine(root=tmp_path, source=source)
    monkeypatch.setattr("nnunet_pancext.campaign.run.run_campaign", made.run_campaign)

    for name in ("preprocess", "train", "predict", "evaluate"):
        monkeypatch.setattr(kinds()[name], "is_done", lambda step, folder: step.name in made.done)
        monkeypatch.setattr(kinds()[name], "prepare", lambda step, folder: [])
    return made


@pytest.fixture
def no_host_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset nnU-Net's variables."""
    for name in DUTIES:
        monkeypatch.delenv(name, raising=False)

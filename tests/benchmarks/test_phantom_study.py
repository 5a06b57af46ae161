"""The study of phantoms is a campaign: fold by fold, with the machine's own settings."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from contracts.made_campaign import record_begun

from nnunet_pancext.campaign.definition import read_campaign
from nnunet_pancext.campaign.record import write_record
from nnunet_pancext.nnunet_files.folders import DUTIES

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MADE = {
    "asked": {"configuration": "2d", "folds": 2},
    "dataset": "Dataset007_Pancreas",
    "configuration": "2d_study",
}


@pytest.fixture
def study(monkeypatch, tmp_path):
    """Run the script with options on phantoms that are there already; return its exit code."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    script = importlib.import_module("phantom_study")
    for name in DUTIES:  # the script sets them
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PANCEXT_SEED", "5")
    monkeypatch.setattr(script, "find_device", lambda: "cpu")
    monkeypatch.setattr(script, "run_campaign", lambda work, **options: 0)
    (tmp_path / "dataset.json").write_text(json.dumps(MADE), encoding="utf-8")

    def run(*options: str) -> object:
        monkeypatch.setattr("sys.argv", ["phantom_study.py", str(tmp_path), *options])
        with pytest.raises(SystemExit) as ended:
            script.main()
        return ended.value.code

    return run


def test_the_folds_of_all_trainers_alternate_and_a_comparison_ends_it(study, tmp_path):
    assert study("--trainers", "nnUNetTrainerBaseline", "SegResNetNLTrainer", "--folds", "2") == 0
    campaign = read_campaign(tmp_path)
    trainings = [(step.trainer, step.fold) for step in campaign.steps if step.kind == "train"]
    names = ("nnUNetTrainerBaseline_4epochs_100iterations", "SegResNetNLTrainer_4epochs_100iterations")
    assert trainings == [(name, fold) for fold in ("0", "1") for name in names]
    assert campaign.steps[0].kind == "preprocess"
    (comparison,) = (step for step in campaign.steps if step.kind == "compare")
    assert comparison.models[0] == f"{names[0]}__nnUNetPlans__2d_study"
    assert comparison.output == "comparison"
    assert (campaign.device, campaign.seed) == ("cpu", 5)
    assert campaign.environment["nnUNet_n_proc_DA"] == "1"


def test_what_has_changed_is_set_aside_before_several_runs_begin(study, tmp_path, monkeypatch):
    options = ("--folds", "2", "--trainers", "nnUNetTrainerBaseline", "SegResNetNLTrainer")
    study(*options)
    (comparison,) = (step for step in read_campaign(tmp_path).steps if step.kind == "compare")
    write_record(tmp_path, comparison.name, record_begun(comparison, tmp_path))
    comparison.result(tmp_path).mkdir()
    started = []

    def start(command, **_):
        assert not comparison.result(tmp_path).exists()
        started.append(command[1:])
        return SimpleNamespace(wait=lambda: 0)

    monkeypatch.setattr("phantom_study.subprocess.Popen", start)
    assert study(*options, "DLKUNetSTrainer", "--jobs", "3") == 0

    assert started == [["campaign", "run", str(tmp_path)]] * 2
    assert (tmp_path / "former-1-comparison").is_dir()


def test_phantoms_of_another_study_are_refused(study):
    assert "holds a study of {'configuration': '2d', 'folds': 2}, not" in study("--folds", "3")

"""The demo with nnU-Net's commands faked: what it passes to them and what it leaves behind."""

import itertools
import json
import shutil
from pathlib import Path

import pytest

from nnunet_pancext.cli.main import main
from nnunet_pancext.demo import pipeline
from nnunet_pancext.nnunet_commands.runner import CommandRunner
from nnunet_pancext.phantom import write_phantom_dataset
from nnunet_pancext.trainers.machinery.default_plan import default_plans

DATASET = "Dataset007_Pancreas"
MODEL = "SegResNetNLTrainer_1epochs_30iterations__nnUNetPlans__2d"


class FakeRunner(CommandRunner):
    """Writes what nnU-Net's commands would write; its predictions are the ground truth."""

    def run(self, title, words, *, progress=None):
        self.heading(title)
        self.record(title, words, 0.1)
        command, options = words[0], dict(itertools.pairwise(words))
        raw, preprocessed, results = (
            Path(self.environment[f"nnUNet_{name}"], DATASET) for name in ("raw", "preprocessed", "results")
        )
        if command == "nnUNetv2_plan_and_preprocess":
            preprocessed.mkdir()
            (preprocessed / "nnUNetPlans.json").write_text(json.dumps(default_plans()), encoding="utf-8")
        elif command == "nnUNetv2_train":
            model = f"{options['-tr']}__nnUNetPlans__{words[2]}"
            (results / model / "fold_0" / "validation").mkdir(parents=True)
        elif command == "nnUNetv2_predict":
            target = Path(options["-o"])
            target.mkdir()
            for image in Path(options["-i"]).iterdir():
                label = image.name.replace("_0000", "")
                shutil.copy(raw / "labelsTr" / label, target / label)
        elif command == "nnUNetv2_apply_postprocessing":
            shutil.copytree(options["-i"], options["-o"], dirs_exist_ok=True)


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """Return a function that runs the demo on a number of phantoms and returns its output folder."""
    monkeypatch.setattr(pipeline, "CommandRunner", FakeRunner)
    monkeypatch.setattr(pipeline, "find_device", lambda: "cuda")  # the plan's own patch

    def run(cases: int, *options: str) -> Path:
        size = (16, 32, 32)
        data = write_phantom_dataset(tmp_path, cases=cases, size=size, difficulty="easy", show_progress=False)
        out = tmp_path / "out"
        assert main(["demo", "--out", str(out), "--data", str(data), "--epochs", "1", *options]) == 0
        return out

    return run


def test_the_commands_follow_each_other_and_the_work_folder_goes(demo, capsys):
    out = demo(5)
    shown = capsys.readouterr().out
    assert all(f"[{step}/8]" in shown for step in range(1, 9))
    assert "on 2 validation cases" in shown
    assert "Mean foreground Dice on 1 test cases: 1.000" in shown
    page = (out / "demo_report.html").read_text(encoding="utf-8")
    commands = ("plan_and_preprocess", "train", "predict", "determine_postprocessing", "apply_postprocessing")
    places = [page.index(f"nnUNetv2_{command} ") for command in commands]
    assert places == sorted(places)
    assert "2 trained on, 2 validated on, 1 predicted" in page
    assert len(list((out / "overlays").glob("*.png"))) == len(list((out / "predictions").iterdir())) == 1
    assert (out / "metrics.csv").read_text(encoding="utf-8").startswith("case,label,dice")
    assert not (out / "work").exists()


def test_a_single_case_is_trained_on_and_predicted_and_the_model_can_be_kept(demo, capsys):
    out = demo(1, "--keep", "--labels", "pancreas+tumour")
    shown = capsys.readouterr().out
    assert "[6 to 7/8] no postprocessing" in shown
    assert "Mean foreground Dice on 1 training cases: 1.000" in shown
    assert "also trained on" in (out / "demo_report.html").read_text(encoding="utf-8")
    assert (out / "work" / "nnUNet_results" / DATASET / MODEL / "fold_0").is_dir()
    (fold,) = json.loads(
        (out / "work/nnUNet_preprocessed" / DATASET / "splits_final.json").read_text(encoding="utf-8")
    )
    assert fold["train"] == fold["val"] == ["pancreas_001"]

import argparse
import io
import json
import re
import sys

import pytest

from nnunet_pancext.cli import demo as demo_command
from nnunet_pancext.demo import pipeline
from nnunet_pancext.demo.page import collect_facts, collect_notes
from nnunet_pancext.demo.pipeline import name_trainer, postprocess
from nnunet_pancext.demo.small_plan import add_small_configuration, small_patch
from nnunet_pancext.demo.split import Split, link_cases, split_cases
from nnunet_pancext.demo.workspace import open_workspace
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_commands import runner as commands
from nnunet_pancext.nnunet_commands.console import Console, Status
from nnunet_pancext.nnunet_commands.progress import (
    PredictionProgress,
    TrainingProgress,
    planning_progress,
    postprocessing_progress,
)
from nnunet_pancext.nnunet_commands.runner import CommandRunner
from nnunet_pancext.trainers.machinery.default_plan import default_plans
from nnunet_pancext.trainers.machinery.iteration_progress import IterationProgress

LOG = """\
2026-11-20 23:44:20.178575: Epoch 0
Epoch 1/2, iteration 30/100: 22.1 s to go in this epoch, 55.0 s in all
2026-11-20 23:44:52.713678: train_loss -0.2297
2026-11-20 23:44:52.717022: Pseudo dice [np.float32(0.4567), np.float32(nan)]
2026-11-20 23:44:55.032462: Epoch 1
2026-11-20 23:45:44.123382: train_loss -0.5
2026-11-20 23:45:44.123997: Pseudo dice [0.9, 1.0]
2026-11-20 23:45:46.689010: Training done.
2026-11-20 23:45:47.021321: predicting pancreas_008
"""


def test_the_training_log_becomes_a_line_per_epoch_and_a_status_within():
    progress = TrainingProgress(2)
    lines = [line for line in map(progress, LOG.splitlines()) if line]
    assert lines == [
        "epoch 1/2, iteration 30/100: 22.1 s to go in this epoch, 55.0 s in all",
        "epoch 1/2   loss -0.2297   Dice on validation patches 0.46 / nan",
        "epoch 2/2   loss -0.5   Dice on validation patches 0.90 / 1.00",
        "validating on pancreas_008",
    ]
    assert [isinstance(line, Status) for line in lines] == [True, False, False, False]


def test_a_trainers_own_line_is_understood():
    ours = IterationProgress(num_epochs=2, num_iterations=3, num_val_iterations=1, interval_s=0)
    ours.start_epoch(0)
    line = ours.advance()
    assert TrainingProgress(2)(line) == line[0].lower() + line[1:]


def test_the_other_commands_progress():
    assert planning_progress("Fingerprint extraction...") == "fingerprint extraction"
    assert planning_progress("Configuration: 2d...") is None
    progress = PredictionProgress(["pancreas_001", "pancreas_002"])
    lines = ["perform_everything_on_device: False", "  0%|          | 0/512"] * 2
    assert list(filter(None, map(progress, lines))) == ["predicting pancreas_001", "predicting pancreas_002"]
    improved = (
        "Results were improved by removing all but the largest foreground region. Mean dice before: 0.5"
    )
    assert postprocessing_progress(improved) == "keep only the largest component"
    refused = "Removing all but the largest foreground region did not improve results!"
    assert postprocessing_progress(refused) == "keep all components"
    assert postprocessing_progress("something else") is None


@pytest.mark.parametrize(
    ("configuration", "patch", "batch"), [("2d", [256, 256], 2), ("3d_fullres", [16, 32, 32], 2)]
)
def test_the_small_plan_keeps_what_the_plans_network_divides_by(tmp_path, configuration, patch, batch):
    plans_file = tmp_path / "nnUNetPlans.json"
    plans_file.write_text(json.dumps(default_plans()), encoding="utf-8")
    name = add_small_configuration(plans_file, configuration)
    plans = json.loads(plans_file.read_text(encoding="utf-8"))
    assert name == f"{configuration}_demo"
    assert plans["configurations"][name] == {
        "inherits_from": configuration,
        "patch_size": patch,
        "batch_size": batch,
    }
    assert plans["configurations"][configuration] == default_plans()["configurations"][configuration]


@pytest.mark.parametrize(
    ("image", "planned", "patch", "batch"),
    [
        ([75, 74], [80, 80], [32, 32], 16),  # the phantom
        ([101, 122], [112, 128], [48, 64], 5),  # a small CT: four patches along an axis
        ([60, 90], [24, 100], [24, 48], 14),  # a patch smaller than the limit stays
    ],
)
def test_the_small_patch_grows_with_the_image(image, planned, patch, batch):
    found = small_patch(
        {
            "patch_size": planned,
            "median_image_size_in_voxels": image,
            "architecture": {"arch_kwargs": {"strides": [[1, 1], [2, 2], [2, 2], [2, 2], [2, 2]]}},
        }
    )
    assert found == {"patch_size": patch, "batch_size": batch}


def test_the_test_cases_are_from_nnunets_fold_0():
    cases = [f"pancreas_{number:03d}" for number in range(10)]
    split = split_cases(cases)
    assert not split.test_was_trained_on
    assert [len(part) for part in (split.training, split.validation, split.test)] == [6, 2, 2]
    assert sorted([*split.training, *split.validation, *split.test]) == cases


@pytest.mark.parametrize(("count", "validated"), [(5, 2), (9, 2), (12, 3), (15, 4), (281, 4)])
def test_what_is_chosen_on_validation_cases_rests_on_several(count, validated):
    split = split_cases([f"case_{number:03d}" for number in range(count)])
    assert len(split.validation) == validated
    assert len(split.training) >= validated


def test_a_large_dataset_predicts_only_a_few_of_its_fold():
    split = split_cases([f"case_{number:03d}" for number in range(100)])
    assert [len(part) for part in (split.training, split.validation, split.test)] == [76, 4, 4]
    assert len({*split.training, *split.validation, *split.test}) == 84


def test_fewer_cases_than_folds_are_trained_on_and_the_report_says_so():
    split = split_cases(["b", "a"])
    assert split == Split(training=["a", "b"], validation=["a", "b"], test=["a"], test_was_trained_on=True)
    one_seed, notice = collect_notes(phantoms=False, device="cuda", split=split)
    assert "Another seed gives other numbers" in one_seed
    assert "also trained on" in notice


def test_the_spread_is_given_for_the_demo_that_it_was_measured_on():
    split = Split(training=["a"], validation=["b", "c"], test=["d"], test_was_trained_on=False)
    first, *_ = collect_notes(phantoms=True, device="cpu", split=split, as_measured=True)
    low, high = map(float, re.findall(r"0\.\d\d", first))
    assert 0.6 <= low < high < 1
    assert pipeline.AS_MEASURED[0] == name_trainer(pipeline.DEFAULT_TRAINER, None)[0]


def test_the_split_and_the_linked_cases(tmp_path):
    raw = tmp_path / "raw"
    for name in ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "imagesTr/b_0000.nii.gz"):
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_text(name, encoding="utf-8")
    split = Split(training=["b"], validation=["c", "d"], test=["a"], test_was_trained_on=False)
    assert split.folds == [{"train": ["b"], "val": ["c", "d"]}]
    folders = link_cases(split.test, dataset=raw, target=tmp_path / "test")
    assert [path.name for path in folders.images.iterdir()] == ["a_0000.nii.gz"]
    assert [path.name for path in folders.labels.iterdir()] == ["a.nii.gz"]


def test_the_trainers_full_name():
    assert name_trainer("SegResNetNLTrainer", 5) == ("SegResNetNLTrainer_5epochs_30iterations", 5)
    assert name_trainer("SegResNetNLTrainer_3epochs", None) == ("SegResNetNLTrainer_3epochs", 3)
    assert name_trainer("nnUNetTrainer_5epochs", None) == ("nnUNetTrainer_5epochs", None)


@pytest.mark.parametrize(
    ("trainer", "epochs", "message"),
    [
        ("SegResNetNLTrainer_3epochs", 5, "--epochs works on this package's trainers without suffixes"),
        ("nnUNetTrainer_5epochs", 5, "not on nnUNetTrainer_5epochs"),
        ("SegResNetNLTrainer", 0, "must be at least 1"),
        ("SegResNetNLTrainer_fast", None, "has no suffix _fast"),
    ],
)
def test_a_trainer_that_cannot_be_named_is_refused(trainer, epochs, message):
    with pytest.raises(PancextError, match=message):
        name_trainer(trainer, epochs)


def test_an_earlier_demo_is_replaced_and_anything_else_is_left_alone(tmp_path):
    out = tmp_path / "out"
    first = open_workspace(out)
    first.report.write_text("old", encoding="utf-8")
    assert not open_workspace(out).report.exists()

    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("precious", encoding="utf-8")
    with pytest.raises(PancextError, match="holds something else than a demo"):
        open_workspace(other)
    with pytest.raises(PancextError, match="holds something else than a demo"):
        open_workspace(other / "thesis.tex")
    assert (other / "thesis.tex").read_text(encoding="utf-8") == "precious"


def test_an_output_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PancextError, match=r"cannot write to .*Give another folder with --out"):
        open_workspace(tmp_path / "file" / "out")


def test_a_command_that_fails_shows_the_end_of_its_output(tmp_path, monkeypatch):
    _install(monkeypatch, tmp_path, "import sys\nprint('reading')\nsys.exit('out of memory')")
    runner = CommandRunner(logs=tmp_path, environment={}, steps=2)
    with pytest.raises(PancextError, match=r"fake_command ended with exit code 1(.|\n)*out of memory"):
        runner.run("try", ["fake_command"])
    assert "reading" in (tmp_path / "1_fake_command.txt").read_text(encoding="utf-8")
    assert not runner.records


def test_a_command_that_ends_well_is_recorded(tmp_path, monkeypatch, capsys):
    _install(monkeypatch, tmp_path, "import os\nprint('Preprocessing...')\nprint(os.environ['COLOUR'])")
    runner = CommandRunner(logs=tmp_path, environment={"COLOUR": "red"}, steps=1)
    runner.run("predict", ["fake_command", "-i", "a b"], progress=planning_progress)
    shown = capsys.readouterr().out
    assert "[1/1] predict" in shown
    assert "preprocessing\n" in shown
    assert runner.records[0].command == "fake_command -i 'a b'"
    assert "red" in (tmp_path / "1_fake_command.txt").read_text(encoding="utf-8")


def test_the_facts_resolve_the_inherited_plan():
    plans = default_plans()
    plans["configurations"]["2d_demo"] = {"inherits_from": "2d", "patch_size": [32, 32], "batch_size": 12}
    facts = dict(
        collect_facts(
            trainer="T",
            configuration="2d_demo",
            plans=plans,
            split=Split(training=["a", "b"], validation=["d", "e"], test=["c"], test_was_trained_on=False),
            device="cpu",
            seed="0",
        )
    )
    assert facts["Patch size"] == "32 x 32 voxels"
    assert facts["Spacing"] == "0.80 x 0.80 mm"
    assert facts["Cases"] == "2 trained on, 2 validated on, 1 predicted"
    assert "nnunetv2 2." in facts["Versions"]


def test_the_command_line_takes_the_options(monkeypatch):
    seen = {}
    monkeypatch.setattr("nnunet_pancext.demo.pipeline.run_demo", lambda **options: seen.update(options))
    parser = argparse.ArgumentParser()
    demo_command.add_parser(parser.add_subparsers())
    words = "demo --trainer SegResNetNL0Trainer --configuration 3d_fullres --epochs 2 --keep --out o --data d"
    parsed = parser.parse_args([*words.split(), "--labels", "pancreas+tumour"])
    assert parsed.run(parsed) == 0
    assert {name: str(value) for name, value in seen.items()} == {
        "out": "o",
        "data": "d",
        "trainer": "SegResNetNL0Trainer",
        "configuration": "3d_fullres",
        "labels": "pancreas+tumour",
        "epochs": "2",
        "keep": "True",
    }


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


def test_on_a_terminal_a_status_is_overwritten():
    stream = Stream(terminal=True)
    console = Console(stream)
    console.heading("[1/2] train")
    console.say(Status("iteration 1"))
    console.say(Status("iteration 2"))
    console.say("epoch 1")
    console.say("epoch 2")
    assert stream.getvalue() == (
        "\n[1/2] train\n"
        "\r\x1b[K      iteration 1"
        "\r\x1b[K      iteration 2"
        "\r\x1b[K      epoch 1\n"
        "      epoch 2\n"
    )


def test_in_a_pipe_a_status_is_shown_when_a_minute_was_silent():
    now = [0.0]
    stream = Stream(terminal=False)
    console = Console(stream, clock=lambda: now[0])
    console.say("epoch 1")
    for second in range(1, 131):
        now[0] = second
        console.say(Status(f"at {second} s"))
    console.say("epoch 2")
    assert stream.getvalue().split("\n") == [
        "      epoch 1",
        "      at 60 s",
        "      at 120 s",
        "      epoch 2",
        "",
    ]


def test_a_heartbeat_leaves_the_status_of_a_training_until_the_next_line():
    now = [0.0]
    stream = Stream(terminal=True)
    console = Console(stream, clock=lambda: now[0])
    console.heartbeat("... 0 s", after_s=5)
    now[0] = 6
    console.heartbeat("... 6 s", after_s=5)
    console.say(Status("iteration 1"))
    now[0] = 60
    console.heartbeat("... 60 s", after_s=5)
    console.say("epoch 1")
    now[0] = 70
    console.heartbeat("... 70 s", after_s=5)
    assert stream.getvalue() == (
        "\r\x1b[K      ... 6 s\r\x1b[K      iteration 1\r\x1b[K      epoch 1\n\r\x1b[K      ... 70 s"
    )


def test_a_silent_command_shows_how_long_it_has_been_running(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "HEARTBEAT_S", 0.5)
    _install(monkeypatch, tmp_path, "import time\ntime.sleep(2.5)\nprint('Epoch 1/2, a status')")
    runner = CommandRunner(logs=tmp_path, environment={}, steps=1)
    runner.console = Console(Stream(terminal=True))
    runner.run("train", ["fake_command"], progress=lambda line: Status(line) if "status" in line else None)
    shown = runner.console.stream.getvalue()
    assert re.search(r"\r\x1b\[K      \.\.\. [\d.]+ s", shown)
    assert (tmp_path / "1_fake_command.txt").read_text(encoding="utf-8") == ""  # a status is not logged


def test_one_validation_case_chooses_no_postprocessing(tmp_path, capsys):
    workspace = open_workspace(tmp_path / "out")
    workspace.raw_predictions.mkdir()
    (workspace.raw_predictions / "a.nii.gz").write_text("predicted", encoding="utf-8")
    split = Split(training=["a"], validation=["a"], test=["a"], test_was_trained_on=True)
    runner = CommandRunner(logs=workspace.logs, environment={}, steps=8)
    runner.step = 5
    postprocess(runner, workspace, tmp_path / "model", split, tmp_path / "dataset")
    assert (workspace.predictions / "a.nii.gz").read_text(encoding="utf-8") == "predicted"
    assert "[6 to 7/8] no postprocessing: one validation case is too few" in capsys.readouterr().out
    assert runner.step == 7


def _install(monkeypatch: pytest.MonkeyPatch, folder, script: str) -> None:
    """Let the runner find an executable `fake_command` with this Python script."""
    command = folder / "fake_command"
    command.write_text(f"#!{sys.executable}\n{script}\n", encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(folder))

"""Running a protocol: its campaign is written, run, continued, and refused where it cannot be."""

import json
import sys

import pytest

from nnunet_pancext.campaign.definition import open_campaign, write_campaign
from nnunet_pancext.cli.main import main

MAIN = "SegResNetNLTrainer"
ONE = ("segresnet-nl", "--trainers", MAIN)
STEPS_OF_ONE = [
    "convert-900",
    "preprocess-900-nnUNetPlans-2d",
    f"train-900-{MAIN}-nnUNetPlans-2d-all",
    f"predict-900-{MAIN}",
    f"evaluate-900-{MAIN}",
]


def test_a_whole_protocol_runs_and_ends_in_a_table(machine, capsys):
    assert machine.reproduce("segresnet-nl") == 0
    assert machine.ran[:2] == STEPS_OF_ONE[:2]
    assert [name.split("-")[0] for name in machine.ran[2:]] == ["train", "predict", "evaluate"] * 8
    assert machine.ran[5] == "train-900-nnUNetTrainer-nnUNetPlans-2d-all"  # after the paper's own trainer
    shown = capsys.readouterr().out
    assert f"campaign  {machine.out / 'segresnet-nl'}" in shown
    assert "91.51  50.00          50.00" in shown
    assert (machine.out / "segresnet-nl.md").is_file()


def test_a_second_run_needs_no_download_and_runs_nothing(machine, capsys):
    assert machine.reproduce(*ONE) == 0
    assert machine.ran == STEPS_OF_ONE
    assert machine.reproduce(*ONE, source=False) == 0
    assert machine.ran == STEPS_OF_ONE


def test_the_campaign_has_all_that_the_steps_depend_on(machine, monkeypatch):
    monkeypatch.setenv("PANCEXT_SEED", "3")
    assert machine.reproduce(*ONE, "--plan") == 0
    campaign = machine.campaign("segresnet-nl")
    assert (campaign.device, campaign.seed) == ("cpu", 3)
    assert campaign.folders["nnUNet_raw"] == str(machine.raw)
    assert [step.name for step in campaign.steps] == STEPS_OF_ONE
    assert campaign.step("convert-900").sources == (str(machine.source),)
    assert campaign.step("evaluate-900-SegResNetNLTrainer").probabilities


def test_a_plan_is_only_written(machine, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert machine.reproduce(*ONE, "--plan") == 0
    assert machine.ran == []
    shown = capsys.readouterr().out
    assert f"`pancext campaign run {machine.out / 'segresnet-nl'}`, on Slurm with --on slurm" in shown


@pytest.mark.parametrize("code", [1, 130])
def test_a_campaign_that_failed_or_was_stopped_ends_with_how_to_go_on(machine, capsys, code):
    machine.code = code
    assert machine.reproduce(*ONE) == code
    captured = capsys.readouterr()
    assert "Run the same command again to continue" in captured.err
    assert "91.51" not in captured.out


def test_what_a_conversion_left_out_is_said_again_in_each_later_run(machine, capsys):
    machine.remarks = {"left_out": [{"case": "pancreas_7", "message": "label and image differ"}]}
    assert machine.reproduce(*ONE) == 0
    capsys.readouterr()
    assert machine.reproduce(*ONE) == 0
    assert "left out: pancreas_7: label and image differ" in capsys.readouterr().out


def test_another_selection_is_refused_and_the_campaign_stays(machine, capsys):
    assert machine.reproduce(*ONE, "--folds", "0", "1") == 0
    written = (machine.out / "segresnet-nl" / "campaign.toml").read_text(encoding="utf-8")
    ran = list(machine.ran)
    assert machine.reproduce(*ONE, "nnUNetTrainer", "--folds", "0") == 1
    message = capsys.readouterr().err
    assert "segresnet-nl holds the protocol of another selection:" in message
    assert f"  no longer there: train-900-{MAIN}-nnUNetPlans-2d-1\n" in message
    assert "  new: train-900-nnUNetTrainer-nnUNetPlans-2d-0\n" in message
    assert f'  predict-900-{MAIN}: output "predictions' in message
    assert 'folds ["0", "1"] -> ["0"]' in message
    assert "or another --out: what is converted, preprocessed and trained is used again." in message
    assert (machine.out / "segresnet-nl" / "campaign.toml").read_text(encoding="utf-8") == written
    assert machine.ran == ran


def test_another_device_is_refused(machine, capsys):
    assert machine.reproduce(*ONE, "--plan") == 0
    words = ["reproduce", *ONE, "--plan", "--device", "mps", "--out", str(machine.out)]
    assert main(words) == 1
    assert "  device cpu -> mps\n" in capsys.readouterr().err


def test_a_campaign_that_was_changed_by_hand_is_named(machine, capsys):
    assert machine.reproduce(*ONE) == 0
    folder = machine.out / "segresnet-nl"
    campaign = open_campaign(folder)
    write_campaign(folder, type(campaign)(**{**vars(campaign), "steps": campaign.steps[:-1]}))
    assert machine.reproduce(*ONE) == 1
    message = capsys.readouterr().err
    assert f"  new: evaluate-900-{MAIN}\n" in message
    assert f"`pancext campaign run {folder}` goes on with the one that is there." in message


def test_what_else_was_written_into_the_campaign_stays(machine):
    assert machine.reproduce(*ONE) == 0
    file = machine.out / "segresnet-nl" / "campaign.toml"
    text = file.read_text(encoding="utf-8").replace(
        "[[step]]", '# as here\n[environment]\nnnUNet_n_proc_DA = "4"\n\n[[step]]', 1
    )
    file.write_text(text, encoding="utf-8")
    assert machine.reproduce(*ONE) == 0
    assert file.read_text(encoding="utf-8") == text


def test_a_download_that_has_moved_is_taken_from_where_it_is(machine, capsys):
    assert machine.reproduce(*ONE, "--plan") == 0
    elsewhere = machine.source.rename(machine.root / "elsewhere")
    given = ["--source", str(elsewhere), "--plan"]
    assert machine.reproduce(*ONE, *given, source=False) == 0
    assert machine.campaign("segresnet-nl").step("convert-900").sources == (str(elsewhere),)
    assert machine.reproduce(*ONE, source=False) == 0  # and remembered
    assert machine.ran == STEPS_OF_ONE
    machine.source.mkdir()
    assert machine.reproduce(*ONE) == 0  # converted: the download no longer matters
    assert machine.campaign("segresnet-nl").step("convert-900").sources == (str(elsewhere),)


def test_the_dry_run_knows_what_is_done(machine, capsys):
    assert machine.reproduce(*ONE) == 0
    for folder in ("nnUNet_preprocessed", "nnUNet_results"):
        assert (machine.root / folder).is_dir()
    capsys.readouterr()
    assert machine.reproduce("segresnet-nl", "--dry-run", "--trainers", MAIN, "nnUNetTrainer") == 0
    shown = capsys.readouterr().out
    (done,) = (line for line in shown.splitlines() if f"2d all -tr {MAIN} -p" in line)
    assert done.startswith("# ")
    (left,) = (line for line in shown.splitlines() if "2d all -tr nnUNetTrainer -p" in line)
    assert not left.startswith("#")
    hours = {line.split()[1]: line.split()[-1] for line in shown.splitlines() if line.startswith("# ")}
    assert hours[MAIN] == "0.0"
    assert hours["nnUNetTrainer"] == "8.3"


def test_a_dataset_of_another_split_is_refused(machine, capsys):
    assert machine.reproduce(*ONE) == 0
    report = machine.raw / "Dataset900_PancreasOrgan" / "conversion_report.json"
    report.write_text(json.dumps({"options": {"split": "nnunet", "labels": "pancreas"}}), encoding="utf-8")
    assert machine.reproduce(*ONE) == 1
    errors = capsys.readouterr().err
    assert "was converted with split nnunet and labels pancreas, but the campaign's are 257/24" in errors
    assert machine.ran == STEPS_OF_ONE


def test_a_broken_report_is_reported(machine, capsys):
    report = machine.raw / "Dataset900_PancreasOrgan" / "conversion_report.json"
    report.parent.mkdir(parents=True)
    report.write_text("{", encoding="utf-8")
    assert machine.reproduce(*ONE) == 1
    assert "conversion_report.json is not JSON" in capsys.readouterr().err


def test_a_paper_with_two_datasets_takes_one_alone_with_its_own_folds(machine):
    words = ["--datasets", "acdc", "--trainers", "nnUNetTrainer"]
    assert machine.reproduce("dlkunet", *words) == 0
    assert machine.ran[:4] == [
        "convert-905",
        "splits-905",
        "preprocess-905-nnUNetPlans-2d",
        "train-905-nnUNetTrainer-nnUNetPlans-2d-0",
    ]


def test_other_folds_than_the_papers_are_refused(machine, capsys):
    words = ["dlkunet", "--datasets", "acdc", "--trainers", "nnUNetTrainer"]
    assert machine.reproduce(*words) == 0
    placed = machine.root / "nnUNet_preprocessed" / "Dataset905_ACDCListed" / "splits_final.json"
    placed.write_text(json.dumps([{"train": ["b"], "val": ["a"]}]), encoding="utf-8")
    capsys.readouterr()
    assert machine.reproduce(*words) == 1
    errors = capsys.readouterr().err
    assert "splits_final.json holds other folds than" in errors
    assert "Traceback" not in errors


def test_the_table_shows_how_many_cases_were_scored(machine, capsys):
    assert machine.reproduce(*ONE, "nnUNetTrainer") == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "91.51" in line)
    assert row.split()[-2:] == ["2", "2"]


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (["0", "1", "2"], "--folds 1 2: the split nnformer-70/10/20 of acdc has no such fold"),
        (["0", "0"], "--folds 0 0: a fold is named twice"),
        (["all", "0"], "--folds all 0: all trains on every case"),
    ],
)
def test_folds_that_a_split_does_not_have_are_refused(machine, capsys, folds, message):
    assert machine.reproduce("dlkunet", "--datasets", "acdc", "--dry-run", "--folds", *folds) == 1
    assert message in capsys.readouterr().err


@pytest.fixture
def no_monai(monkeypatch):
    """A default installation, without the extra."""
    monkeypatch.setitem(sys.modules, "monai", None)


def test_a_missing_extra_is_reported_before_the_first_hour(machine, no_monai, capsys):
    assert machine.reproduce("segresnet-nl") == 1
    errors = capsys.readouterr().err
    assert "MonaiUNETRTrainer, MonaiSwinUNETRTrainer: " in errors
    assert 'pip install "nnunet-pancext[baselines]"' in errors
    assert "with --trainers" in errors
    assert machine.ran == []
    assert machine.reproduce(*ONE, "nnUNetTrainer") == 0  # which need none


def test_the_dry_run_shows_which_trainers_need_an_extra(machine, no_monai, capsys):
    assert machine.reproduce("segresnet-nl", "--dry-run") == 0
    shown = capsys.readouterr().out
    note = '# MonaiUNETRTrainer needs an extra: pip install "nnunet-pancext[baselines]"'
    (heading,) = (line for line in shown.splitlines() if "train MonaiUNETRTrainer on" in line)
    assert f"{heading}\n{note}\n" in shown
    assert "SegResNetNLTrainer needs" not in shown


def test_papers_that_share_a_dataset_share_its_trainings(machine):
    selection = ("--datasets", "msd", "--trainers", "nnUNetTrainer")
    assert machine.reproduce("pancreas-tumor-cascade", *selection) == 0
    before = len(machine.ran)
    assert machine.reproduce("cdi-nstseg", *selection, source=False) == 0
    assert not any(name.startswith(("convert", "preprocess", "train")) for name in machine.ran[before:])

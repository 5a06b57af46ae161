"""`pancext campaign plan`: the file, and what is printed."""

import errno
import re

import pytest
from campaign.small_raw import DATASET, use_folders, write_names

from nnunet_pancext.campaign.definition import FILE, present_versions, read_campaign
from nnunet_pancext.campaign.kinds.preprocess import Preprocess
from nnunet_pancext.campaign.kinds.train import Train
from nnunet_pancext.cli.main import main
from nnunet_pancext.nnunet_files.folders import DUTIES


@pytest.fixture
def raw(tmp_path, monkeypatch):
    use_folders(monkeypatch, tmp_path)
    return write_names(tmp_path)


@pytest.fixture
def plan(raw, tmp_path):
    def run(*options, out=tmp_path / "campaign", trainers=("nnUNetTrainer", "nnUNetTrainer_250epochs")):
        words = ["campaign", "plan", "7", "-tr", *trainers, *options, "-o", out]
        return main([*map(str, words)])

    return run


def test_the_file_is_complete(plan, raw, tmp_path, monkeypatch):
    monkeypatch.chdir(raw)
    assert plan("-device", "cpu", "--seed", 3, "-f", 0, 1, "--test", "imagesTs", "labelsTs") == 0
    campaign = read_campaign(tmp_path / "campaign")
    assert (campaign.device, campaign.seed) == ("cpu", 3)
    assert campaign.versions == present_versions()
    assert campaign.folders == {name: str(tmp_path / name.removeprefix("nnUNet_")) for name in DUTIES}
    assert campaign.variables["PANCEXT_SEED"] == "3"
    assert campaign.step("predict-007-nnUNetTrainer").images == str(raw / "imagesTs")
    assert campaign.step("evaluate-007-nnUNetTrainer").truth == str(raw / "labelsTs")


def test_relative_folders_of_nnunet_become_absolute(plan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("nnUNet_results", "results")
    assert plan() == 0
    assert read_campaign(tmp_path / "campaign").folders["nnUNet_results"] == str(tmp_path / "results")


def test_steps_are_printed_by_kind_with_hours(plan, tmp_path, capsys):
    fold = tmp_path / "results" / DATASET / "nnUNetTrainer__nnUNetPlans__3d_fullres" / "fold_0"
    fold.mkdir(parents=True)
    log = "2026: Epoch 0 \n2026: Epoch time: 72.0 s\n"
    (fold / "training_log_1.txt").write_text(log, encoding="utf-8")
    plan()
    out = re.sub(" +", " ", capsys.readouterr().out)
    assert f"preprocess 1 0 {DATASET}; nnUNetPlans; 3d_fullres\n" in out
    assert "train 10 0 " in out
    assert "; nnUNetTrainer, nnUNetTrainer_250epochs; 5 folds\n" in out
    assert f"compare 1 0 {DATASET}\n" in out
    assert f"nnUNetTrainer__nnUNetPlans__3d_fullres {DATASET} 5 5000 72.0 100.0\n" in out
    assert f"nnUNetTrainer_250epochs__nnUNetPlans__3d_fullres {DATASET} 5 1250 unknown unknown\n" in out
    assert "all 10 100.0, without 5 of 10 trainings\n" in out
    assert out.endswith(f"next pancext campaign run {tmp_path / 'campaign'}\n")


def test_evaluations_are_printed_with_what_they_are_of(plan, raw, capsys):
    plan("--test", raw / "imagesTs", raw / "labelsTs")
    out = re.sub(" +", " ", capsys.readouterr().out)
    for kind in ("predict", "evaluate"):
        assert f"{kind} 2 0 {DATASET}; nnUNetTrainer, nnUNetTrainer_250epochs\n" in out


@pytest.mark.parametrize(("is_preprocessed", "number"), [(False, 0), (True, 10)])
def test_a_step_counts_as_done_only_with_all_that_it_needs(
    plan, capsys, monkeypatch, is_preprocessed, number
):
    monkeypatch.setattr(Preprocess, "is_done", lambda *_: is_preprocessed)
    monkeypatch.setattr(Train, "is_done", lambda *_: True)
    plan()
    assert f"train 10 {number} " in re.sub(" +", " ", capsys.readouterr().out)


def test_folders_that_nnunet_will_write_need_not_exist(plan, tmp_path, capsys):
    for name in ("preprocessed", "results"):
        (tmp_path / name).rmdir()
    assert (
        plan("--test", tmp_path / "raw" / DATASET / "imagesTs", tmp_path / "raw" / DATASET / "labelsTs") == 0
    )
    folder = tmp_path / "campaign"
    for step in read_campaign(folder).steps:
        assert not step.is_done(folder)
        assert not step.result(folder).exists()
        step.measured(folder)
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "campaign"}


def test_the_same_plan_again_leaves_the_file(plan, tmp_path):
    plan()
    file = tmp_path / "campaign" / FILE
    file.write_text(file.read_text(encoding="utf-8") + "# a remark\n", encoding="utf-8")
    before = file.read_bytes()
    assert plan() == 0
    assert file.read_bytes() == before


def test_another_plan_is_refused(plan, tmp_path, capsys):
    plan()
    before = (tmp_path / "campaign" / FILE).read_bytes()
    assert plan("--seed", 1) == 1
    message = "campaign.toml already exists, with other steps or settings. Edit it, move it away, or give"
    assert message in capsys.readouterr().err
    assert (tmp_path / "campaign" / FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--seed", -1), "--seed -1: give a whole number from 0"), (("-f", 9), "-f 9: the folds that nnU-Net")],
)
def test_bad_options_leave_no_folder(plan, tmp_path, capsys, options, message):
    assert plan(*options) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "campaign").exists()


def test_folders_that_are_not_set(plan, monkeypatch, capsys):
    monkeypatch.delenv("nnUNet_results")
    assert plan() == 1
    assert "nnUNet_results not set. nnU-Net's commands need:" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(plan, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert plan(out=tmp_path / "file" / "campaign") == 1
    assert "Cannot write to" in capsys.readouterr().err


def test_a_full_disk_is_reported(plan, tmp_path, capsys, monkeypatch):
    def full(target, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nnunet_pancext.campaign.definition.write_text", full)
    assert plan() == 1
    assert re.search(r"disk full: could not write .*campaign.*Free some space", capsys.readouterr().err)
    assert not (tmp_path / "campaign").exists()

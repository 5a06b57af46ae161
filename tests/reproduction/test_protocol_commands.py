"""The steps of a protocol: their commands are understood, and the dry run shows them."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nnunet_pancext.cli.main import build_parser, main
from nnunet_pancext.reproduction.campaign import plan_protocol
from nnunet_pancext.reproduction.dry_run import estimate
from nnunet_pancext.reproduction.papers import PAPERS
from nnunet_pancext.reproduction.selection import Selection, planned_runs
from nnunet_pancext.splits.make import parse_split

FOLDER = Path("/campaign")
FOLDERS = {name: f"/n/{name}" for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}


@pytest.fixture(autouse=True)
def folders(monkeypatch):
    for name, value in FOLDERS.items():
        monkeypatch.setenv(name, value)


def planned(paper, **selected):
    selection = Selection(out=Path("out"), **selected)
    return plan_protocol(planned_runs(PAPERS[paper], selection), selection, folders=FOLDERS)


@pytest.mark.parametrize("name", PAPERS)
def test_pancexts_own_parser_takes_the_commands(name):
    layouts = set()
    for step in planned(name).steps:
        words = step.command(FOLDER)
        if words[0] != "pancext":
            continue
        parsed = build_parser().parse_args(words[1:])
        if parsed.command == "convert":
            parse_split(parsed.split, layout=parsed.layout)  # raises what is no split of the layout
            layouts.add(parsed.layout)
    assert layouts == {experiment.dataset.layout for experiment in PAPERS[name].experiments}


def test_the_commands_of_a_small_protocol():
    campaign = planned(
        "segresnet-nl",
        sources={"msd": "/data/Task07_Pancreas.tar"},
        trainers=["SegResNetNLTrainer"],
        folds=["0", "1"],
    )
    worker = f"{sys.executable} -m nnunet_pancext.campaign.workers"
    raw = "/n/nnUNet_raw/Dataset900_PancreasOrgan"
    model = "Dataset900_PancreasOrgan/SegResNetNLTrainer__nnUNetPlans__2d__fold_0_1"
    train = f"{worker}.train Dataset900_PancreasOrgan 2d"
    assert [" ".join(step.command(FOLDER)) for step in campaign.steps] == [
        "pancext convert msd /data/Task07_Pancreas.tar --labels pancreas --split 257/24 --id 900 "
        "--name PancreasOrgan",
        f"{worker}.preprocess Dataset900_PancreasOrgan nnUNetPlans 2d",
        f"{train} 0 -tr SegResNetNLTrainer -p nnUNetPlans -device cuda",
        f"{train} 1 -tr SegResNetNLTrainer -p nnUNetPlans -device cuda",
        f"pancext predict -i {raw}/imagesTs -o /campaign/predictions/{model} -d Dataset900_PancreasOrgan "
        "-tr SegResNetNLTrainer -p nnUNetPlans -c 2d -f 0 1 --speed exact -device cuda --save_probabilities",
        f"pancext evaluate /campaign/predictions/{model} {raw}/labelsTs -o /campaign/scores/{model} "
        "--probabilities",
    ]


def test_every_step_needs_what_it_is_made_from():
    campaign = planned("dlkunet", datasets=["acdc"], trainers=["nnUNetTrainer"])
    assert {step.name: step.needs for step in campaign.steps} == {
        "convert-905": (),
        "splits-905": ("convert-905",),
        "preprocess-905-nnUNetPlans-2d": ("splits-905",),
        "train-905-nnUNetTrainer-nnUNetPlans-2d-0": ("preprocess-905-nnUNetPlans-2d",),
        "predict-905-nnUNetTrainer": ("train-905-nnUNetTrainer-nnUNetPlans-2d-0",),
        "evaluate-905-nnUNetTrainer": ("predict-905-nnUNetTrainer",),
    }
    assert campaign.step("splits-905").command(FOLDER) == [
        *("pancext", "splits", "apply", "Dataset905_ACDCListed")
    ]


def test_papers_that_share_a_dataset_share_stock_nnunets_training():
    commands = [
        {tuple(step.command(FOLDER)) for step in planned(name).steps if step.kind == "train"}
        for name in ("cdi-nstseg", "pancreas-tumor-cascade")
    ]
    assert any("nnUNetTrainer" in words for words in commands[0] & commands[1])


def test_the_dry_run_is_a_script_whose_commands_are_the_steps(capsys, no_host_folders, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/some one")
    monkeypatch.setenv("USERPROFILE", "/home/some one")
    source = tmp_path / "a download"
    source.mkdir()
    words = ["reproduce", "segresnet-nl", "--dry-run", "--source", str(source), "--out", "my results"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert subprocess.run(["bash", "-n"], input=shown, text=True, check=False).returncode == 0
    commands = [shlex.split(line) for line in shown.splitlines() if line and not line.startswith("#")]
    assert commands[0] == ["export", "nnUNet_raw=/home/some one/nnunet/raw"]
    assert commands[3][:4] == ["pancext", "convert", "msd", str(source)]
    predictions = [words for words in commands if words[:2] == ["pancext", "predict"]]
    assert len(predictions) == 8
    assert predictions[0][3] == "/home/some one/nnunet/raw/Dataset900_PancreasOrgan/imagesTs"
    assert "my results/segresnet-nl/predictions/Dataset900_PancreasOrgan/" in predictions[0][5]


def test_the_dry_run_explains_variables_downloads_and_hours(capsys, no_host_folders):
    assert main(["reproduce", "pancreas-tumor-cascade", "--dry-run", "--datasets", "nih"]) == 0
    shown = capsys.readouterr().out
    assert "# nnUNet_results: trained models; is not set" in shown
    assert (
        "# NIH_LABELS_DOWNLOAD: the downloaded folder or archive, given by --source nih-labels=PATH" in shown
    )
    assert "\npancext convert nih NIH_IMAGES_DOWNLOAD NIH_LABELS_DOWNLOAD --split" in shown
    assert "# the paper's hardware: NVIDIA GeForce RTX 1080 (as printed), batch 1, 56 epochs" in shown
    assert "An estimate" in shown
    assert "assumed, not measured: 2d 30 s" in shown


def test_the_estimate_is_folds_times_epochs_times_seconds():
    campaign = planned(
        "pancreas-tumor-cascade", datasets=["nih"], folds=["0", "1", "2"], configuration="3d_fullres"
    )
    done = ["train-902-AttentionUNetTrainer-nnUNetPlans-3d_fullres-1"]
    rows = {row.model.trainer: row for row in estimate(campaign, seconds_per_epoch=36, done=done)}
    assert rows["nnUNetTrainer"].hours == pytest.approx(3 * 1000 * 36 / 3600)  # 30 hours
    assert rows["PancreasTumorCascadeTrainer_PaperRecipe"].hours == pytest.approx(3 * 56 * 36 / 3600)
    attention = rows["AttentionUNetTrainer"]
    assert (attention.trainings, attention.epochs_left, attention.hours) == (2, 2000, pytest.approx(20))

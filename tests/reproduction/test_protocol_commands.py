"""The commands of a protocol: their parsers take them, and the dry run shows them."""

import argparse
import shlex
import subprocess
from pathlib import Path

import pytest

from nnunet_pancext.cli.main import build_parser, main
from nnunet_pancext.reproduction.dry_run import EstimateRow, estimate, shell_line
from nnunet_pancext.reproduction.papers import PAPERS
from nnunet_pancext.reproduction.plan import plan_steps, training_length
from nnunet_pancext.reproduction.selection import Selection, planned_runs
from nnunet_pancext.splits.make import parse_split

SELECTION = Selection(out=Path("out"), device="cuda")
STEPS = {name: plan_steps(planned_runs(paper, SELECTION), SELECTION) for name, paper in PAPERS.items()}


class Parsed(Exception):
    """Ends a command of nnU-Net's as soon as it has read its arguments."""


def parse_like_nnunet(words, monkeypatch) -> argparse.Namespace:
    """Return what nnU-Net's own command reads from its command line."""
    from nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import plan_and_preprocess_entry
    from nnunetv2.inference.predict_from_raw_data import predict_entry_point
    from nnunetv2.run.run_training import run_training_entry

    commands = {
        "nnUNetv2_plan_and_preprocess": plan_and_preprocess_entry,
        "nnUNetv2_train": run_training_entry,
        "nnUNetv2_predict": predict_entry_point,
    }
    parse = argparse.ArgumentParser.parse_args
    seen = []

    def stop(parser, *arguments):
        seen.append(parse(parser, *arguments))
        raise Parsed

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        patch.setattr("sys.argv", list(words))
        with pytest.raises(Parsed):
            commands[words[0]]()
    return seen[0]


@pytest.mark.parametrize("name", PAPERS)
def test_nnunets_own_parsers_take_the_commands(name, monkeypatch):
    seen = set()
    for step in STEPS[name]:
        if step.words[0] == "pancext":
            continue
        for extra in ((), *EXTRAS.get(step.words[0], ())):
            parsed = parse_like_nnunet((*step.words, *extra), monkeypatch)
            seen.add(step.words[0])
            for option in extra:
                assert getattr(parsed, option.lstrip("-")) is True
    assert seen == {"nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict"}


EXTRAS = {"nnUNetv2_train": (("--c",), ("--val",)), "nnUNetv2_predict": (("--continue_prediction",),)}


@pytest.mark.parametrize("name", PAPERS)
def test_pancexts_own_parser_takes_the_commands(name):
    layouts = set()
    for step in STEPS[name]:
        if step.words[0] == "pancext":
            parsed = build_parser().parse_args(step.words[1:])
            if parsed.command == "convert":
                parse_split(parsed.split, layout=parsed.layout)  # raises what is no split of the layout
                layouts.add(parsed.layout)
    assert layouts == {experiment.dataset.layout for experiment in PAPERS[name].experiments}


def test_the_commands_of_a_small_protocol():
    selection = Selection(
        out=Path("out"),
        sources={"msd": "Task07_Pancreas.tar"},
        trainers=["SegResNetNLTrainer"],
        folds=["0", "1"],
    )
    steps = plan_steps(planned_runs(PAPERS["segresnet-nl"], selection), selection)
    folder = "out/Dataset900_PancreasOrgan/SegResNetNLTrainer__nnUNetPlans__2d__fold_0_1"
    raw = "$nnUNet_raw/Dataset900_PancreasOrgan"
    assert [" ".join(step.words) for step in steps] == [
        "pancext convert msd Task07_Pancreas.tar --labels pancreas --split 257/24 --id 900 "
        "--name PancreasOrgan",
        "nnUNetv2_plan_and_preprocess -d 900 -c 2d --verify_dataset_integrity",
        "nnUNetv2_train 900 2d 0 -tr SegResNetNLTrainer",
        "nnUNetv2_train 900 2d 1 -tr SegResNetNLTrainer",
        f"nnUNetv2_predict -i {raw}/imagesTs -o {folder}/predictions -d 900 -c 2d -f 0 1 "
        "-tr SegResNetNLTrainer --save_probabilities",
        f"pancext evaluate {folder}/predictions {raw}/labelsTs -o {folder}/scores --probabilities",
    ]


def test_acdcs_published_folds_are_placed():
    words = [step.words for step in STEPS["dlkunet"]]
    assert ("pancext", "splits", "apply", "905") in words
    assert ("nnUNetv2_train", "905", "2d", "0", "-tr", "nnUNetTrainer", "-device", "cuda") in words


def test_papers_that_share_a_dataset_share_stock_nnunets_training():
    shared = {step.words for step in STEPS["cdi-nstseg"]} & {
        step.words for step in STEPS["pancreas-tumor-cascade"]
    }
    assert {words[0] for words in shared} >= {"nnUNetv2_train", "nnUNetv2_predict"}


def test_the_dry_run_is_a_script_whose_commands_are_the_steps(capsys, no_host_folders, tmp_path):
    source = tmp_path / "a download"
    source.mkdir()
    words = ["reproduce", "segresnet-nl", "--dry-run", "--source", str(source), "--out", "my results"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert subprocess.run(["bash", "-n"], input=shown, text=True, check=False).returncode == 0
    commands = [shlex.split(line) for line in shown.splitlines() if line and not line.startswith("#")]
    assert commands[0] == ["export", "nnUNet_raw=$HOME/nnunet/raw"]
    assert commands[3][:4] == ["pancext", "convert", "msd", str(source)]
    predictions = [words for words in commands if words[0] == "nnUNetv2_predict"]
    assert len(predictions) == 8
    assert predictions[0][2] == "$nnUNet_raw/Dataset900_PancreasOrgan/imagesTs"
    assert predictions[0][4].startswith("my results/Dataset900_PancreasOrgan/")
    assert '"$nnUNet_raw/Dataset900_PancreasOrgan/imagesTs"' in shown  # quoted, and left for the shell


def test_the_dry_run_explains_variables_downloads_and_hours(capsys, no_host_folders):
    assert main(["reproduce", "pancreas-tumor-cascade", "--dry-run", "--datasets", "nih"]) == 0
    shown = capsys.readouterr().out
    assert "# nnUNet_results: trained models; is not set" in shown
    assert (
        "# NIH_LABELS_DOWNLOAD: the downloaded folder or archive, given by --source nih-labels=PATH" in shown
    )
    assert "# the paper's hardware: NVIDIA GeForce RTX 1080 (as printed), batch 1, 56 epochs" in shown
    assert "An estimate" in shown
    assert "assumed, not measured: 2d 30 s" in shown


def test_the_estimate_is_folds_times_epochs_times_seconds():
    selection = Selection(
        out=Path("out"), datasets=["nih"], folds=["0", "1", "2"], configuration="3d_fullres"
    )
    runs = planned_runs(PAPERS["pancreas-tumor-cascade"], selection)
    rows = {row.trainer: row for row in estimate(runs, seconds_per_epoch=36)}
    assert rows["nnUNetTrainer"].hours == pytest.approx(3 * 1000 * 36 / 3600)  # 30 hours
    assert rows["PancreasTumorCascadeTrainer_PaperRecipe"].hours == pytest.approx(3 * 56 * 36 / 3600)
    assert rows["AttentionUNetTrainer"] == EstimateRow(
        trainer="AttentionUNetTrainer",
        configuration="3d_fullres",
        folds=3,
        epochs=1000,
        seconds_per_epoch=36,
    )


def test_the_estimate_knows_shorter_epochs():
    assert training_length("DLKUNetLTrainer_PaperRecipe").epochs == 400
    assert training_length("SegResNetNLTrainer_20iterations").iterations == 20
    assert training_length("nnUNetTrainer").iterations == 250


def test_a_word_with_spaces_is_quoted_for_the_shell():
    assert shell_line(["a", "b c", "$nnUNet_raw/x", "$HOME"]) == "a 'b c' \"$nnUNet_raw/x\" '$HOME'"

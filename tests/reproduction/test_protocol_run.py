"""Running a protocol: all of it, what is left of it, and what happens when a step fails."""

import gzip
import json
import os
import shutil
import signal
import sys
import time
import zipfile

import pytest

MAIN = "SegResNetNLTrainer"
ONE = ("segresnet-nl", "--trainers", MAIN)


def names(calls):
    return [call[0] for call in calls]


def test_a_whole_protocol_runs_and_ends_in_a_table(machine, capsys):
    assert machine.reproduce("segresnet-nl") == 0
    calls = machine.calls()
    assert names(calls)[:2] == ["pancext", "nnUNetv2_plan_and_preprocess"]
    assert names(calls)[2:] == ["nnUNetv2_train", "nnUNetv2_predict", "pancext"] * 8
    assert [call[5] for call in calls if call[0] == "nnUNetv2_train"][:2] == [MAIN, "nnUNetTrainer"]
    raw = str(machine.raw / "Dataset900_PancreasOrgan")
    assert calls[3][1:3] == ["-i", f"{raw}/imagesTs"]  # the variable was replaced
    shown = capsys.readouterr().out
    assert "91.51  50.00          50.00" in shown
    assert (machine.out / "segresnet-nl.md").is_file()
    assert len(list((machine.out / "logs" / "segresnet-nl_1").iterdir())) == len(calls)


def test_a_second_run_skips_every_step_and_says_so(machine, capsys):
    assert machine.reproduce(*ONE) == 0
    machine.calls()
    capsys.readouterr()
    assert machine.reproduce(*ONE, source=False) == 0
    assert machine.calls() == []
    shown = capsys.readouterr().out
    assert shown.count("skipped:") == 5
    assert "skipped: $nnUNet_results/Dataset900_PancreasOrgan/SegResNetNLTrainer__nnUNetPlans__2d/" in shown
    assert (machine.out / "logs" / "segresnet-nl_1").is_dir()
    assert (machine.out / "logs" / "segresnet-nl_2").is_dir()  # and the first run's logs are kept


def test_the_dry_run_knows_what_is_done(machine, capsys):
    assert machine.reproduce(*ONE) == 0
    capsys.readouterr()
    assert machine.reproduce("segresnet-nl", "--dry-run", "--trainers", MAIN, "nnUNetTrainer") == 0
    shown = capsys.readouterr().out
    assert f"# nnUNetv2_train 900 2d all -tr {MAIN} -device cpu" in shown
    assert "\nnnUNetv2_train 900 2d all -tr nnUNetTrainer -device cpu" in shown
    hours = {line.split()[1]: line.split()[-1] for line in shown.splitlines() if line.startswith("# ")}
    assert hours[MAIN] == "0.0"
    assert hours["nnUNetTrainer"] == "8.3"


@pytest.mark.parametrize("kind", ["latest", "best"])
def test_a_started_training_is_continued(machine, kind):
    fold = machine.fold(MAIN)
    fold.mkdir(parents=True)
    write_checkpoint(fold / f"checkpoint_{kind}.pth")
    assert machine.reproduce(*ONE) == 0
    (training,) = (call for call in machine.calls() if call[0] == "nnUNetv2_train")
    assert training[-1] == "--c"


def test_a_half_written_checkpoint_is_put_aside_for_the_one_before(machine):
    fold = machine.fold(MAIN)
    fold.mkdir(parents=True)
    write_checkpoint(fold / "checkpoint_best.pth")
    whole = (fold / "checkpoint_best.pth").read_bytes()
    (fold / "checkpoint_latest.pth").write_bytes(whole[: len(whole) // 2])
    assert machine.reproduce(*ONE) == 0
    (training,) = (call for call in machine.calls() if call[0] == "nnUNetv2_train")
    assert training[-1] == "--c"
    assert (fold / "checkpoint_latest.pth.broken").is_file()
    assert not (fold / "checkpoint_latest.pth").exists()


def test_a_trained_fold_without_validation_is_validated_alone(machine):
    assert machine.reproduce(*ONE) == 0
    machine.calls()
    shutil.rmtree(machine.fold(MAIN) / "validation")
    assert machine.reproduce(*ONE) == 0
    calls = machine.calls()
    assert names(calls) == ["nnUNetv2_train"]
    assert calls[0][-1] == "--val"


def test_only_a_half_written_prediction_is_repeated(machine):
    assert machine.reproduce(*ONE) == 0
    machine.calls()
    predictions = machine.result(MAIN) / "predictions"
    whole = (predictions / "d.nii.gz").read_bytes()
    (predictions / "d.nii.gz").write_bytes(whole[:-6])
    kept = (predictions / "c.nii.gz").stat().st_mtime_ns
    assert machine.reproduce(*ONE) == 0
    calls = machine.calls()
    assert names(calls) == ["nnUNetv2_predict", "pancext"]  # and scored again
    assert calls[0][-1] == "--continue_prediction"
    d, c = (gzip.decompress((predictions / f"{case}.nii.gz").read_bytes()) for case in "dc")
    assert d == c
    assert (predictions / "c.nii.gz").stat().st_mtime_ns == kept


def test_predictions_of_an_earlier_training_are_repeated(machine):
    assert machine.reproduce(*ONE) == 0
    machine.calls()
    shutil.rmtree(machine.fold(MAIN))
    for file in machine.result(MAIN).rglob("*.*"):
        os.utime(file, (1, 1))
    assert machine.reproduce(*ONE) == 0
    assert names(machine.calls()) == ["nnUNetv2_train", "nnUNetv2_predict", "pancext"]


def test_a_prediction_without_its_probabilities_is_not_done(machine):
    assert machine.reproduce(*ONE) == 0
    machine.calls()
    (machine.result(MAIN) / "predictions" / "c.npz").unlink()
    assert machine.reproduce(*ONE) == 0
    assert names(machine.calls()) == ["nnUNetv2_predict", "pancext"]


def test_preprocessing_that_was_killed_is_done_again(machine):
    assert machine.reproduce(*ONE) == 0
    machine.calls()
    preprocessed = machine.root / "nnUNet_preprocessed" / "Dataset900_PancreasOrgan" / "data_2d"
    (preprocessed / "b.pkl").unlink()
    assert machine.reproduce(*ONE) == 0
    assert names(machine.calls()) == ["nnUNetv2_plan_and_preprocess"]


def test_a_failing_step_stops_with_its_last_lines_and_how_to_go_on(machine, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_FAILS", "nnUNetv2_train")
    assert machine.reproduce(*ONE) == 1
    errors = capsys.readouterr().err
    assert "nnUNetv2_train ended with exit code 1" in errors
    assert "| CUDA out of memory" in errors
    assert "Run the same command again to continue" in errors
    assert "Traceback" not in errors
    assert names(machine.calls())[-1] == "nnUNetv2_train"
    monkeypatch.delenv("FAKE_FAILS")
    assert machine.reproduce(*ONE) == 0
    assert names(machine.calls()) == ["nnUNetv2_train", "nnUNetv2_predict", "pancext"]


def test_the_running_command_ends_with_the_protocol(machine, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_ENDS", "nnUNetv2_train")
    start = time.monotonic()
    assert machine.reproduce(*ONE) == 130
    assert time.monotonic() - start < 200  # it would take 300 s
    assert "interrupted" in capsys.readouterr().err
    assert not machine.fold(MAIN).exists()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_step_that_leaves_no_result_is_reported(machine, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_EMPTY", "nnUNetv2_predict")
    assert machine.reproduce(*ONE) == 1
    assert "nnUNetv2_predict ended without an error, but" in capsys.readouterr().err


def test_a_command_that_is_not_installed_is_reported(machine, capsys):
    (machine.root / "scripts" / "nnUNetv2_train").unlink()
    assert machine.reproduce(*ONE) == 1
    errors = capsys.readouterr().err
    assert "cannot start nnUNetv2_train: No such file or directory" in errors
    assert "pancext doctor" in errors


def test_a_dataset_of_another_split_is_refused(machine, capsys):
    assert machine.reproduce(*ONE) == 0
    report = machine.raw / "Dataset900_PancreasOrgan" / "conversion_report.json"
    report.write_text(json.dumps({"options": {"split": "nnunet", "labels": "pancreas"}}), encoding="utf-8")
    machine.calls()
    assert machine.reproduce(*ONE) == 1
    errors = capsys.readouterr().err
    assert "was converted with split nnunet and labels pancreas, but the paper's are 257/24" in errors
    assert machine.calls() == []


def test_a_broken_report_is_reported(machine, capsys):
    report = machine.raw / "Dataset900_PancreasOrgan" / "conversion_report.json"
    report.parent.mkdir(parents=True)
    report.write_text("{", encoding="utf-8")
    assert machine.reproduce(*ONE) == 1
    assert "conversion_report.json is not JSON" in capsys.readouterr().err


def test_a_paper_with_two_datasets_takes_one_alone(machine):
    words = ["--datasets", "acdc", "--trainers", "nnUNetTrainer"]
    assert machine.reproduce("dlkunet", *words) == 0
    calls = machine.calls()
    assert [call[1:3] for call in calls[:2]] == [["convert", "acdc"], ["splits", "apply"]]
    assert [call[3] for call in calls if call[0] == "nnUNetv2_train"] == ["0"]


def test_what_a_conversion_left_out_is_reported_each_time(machine, monkeypatch, capsys):
    remarks = {
        "left_out": [{"case": "pancreas_7", "kind": "size", "message": "label and image differ"}],
        "warnings": [{"case": "pancreas_9", "kind": "label", "message": "no label"}],
        "notes": ["1 patient of the list is not there: 0012"],
    }
    monkeypatch.setenv("FAKE_REMARKS", json.dumps(remarks))
    for _ in range(2):
        assert machine.reproduce(*ONE) == 0
        output = capsys.readouterr().out
        assert "left out: pancreas_7: label and image differ" in output
        assert "warning: pancreas_9: no label" in output
        assert "note: 1 patient of the list is not there: 0012" in output


def test_the_table_shows_how_many_cases_were_scored(machine, capsys):
    assert machine.reproduce(*ONE, "nnUNetTrainer") == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "91.51" in line)
    assert row.split()[-2:] == ["2", "2"]


def test_other_folds_than_the_papers_are_refused(machine, capsys):
    words = ["dlkunet", "--datasets", "acdc", "--trainers", "nnUNetTrainer"]
    assert machine.reproduce(*words) == 0
    placed = machine.root / "nnUNet_preprocessed" / "Dataset905_ACDCListed" / "splits_final.json"
    placed.write_text(json.dumps([{"train": ["b"], "val": ["a"]}]), encoding="utf-8")
    machine.calls()
    capsys.readouterr()
    assert machine.reproduce(*words) == 1
    errors = capsys.readouterr().err
    assert "splits_final.json holds other folds than" in errors
    assert "Traceback" not in errors
    assert machine.calls() == []


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
    assert machine.calls() == []


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
    assert machine.calls() == []
    assert machine.reproduce(*ONE, "nnUNetTrainer") == 0  # which need none


def test_the_dry_run_shows_which_trainers_need_an_extra(machine, no_monai, capsys):
    assert machine.reproduce("segresnet-nl", "--dry-run") == 0
    shown = capsys.readouterr().out
    note = '# MonaiUNETRTrainer needs an extra: pip install "nnunet-pancext[baselines]"'
    assert f"train MonaiUNETRTrainer, fold all\n{note}\nnnUNetv2_train" in shown
    assert "SegResNetNLTrainer needs" not in shown


def write_checkpoint(file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("epoch", "50")

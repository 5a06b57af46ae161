"""The whole demo with a short training: everything but the score is as a user gets it."""

import os
import re

import pytest
from contracts.fork_pools import forking_site
from contracts.host_commands import QUIET_THREADS

from nnunet_pancext.cli.main import main
from nnunet_pancext.demo import pipeline, small_plan

pytestmark = pytest.mark.slow


def test_the_demo_ends_with_a_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pipeline, "ITERATIONS_PER_EPOCH", 2)
    monkeypatch.setattr(pipeline, "PHANTOM_CASES", 5)
    monkeypatch.setattr(pipeline, "PHANTOM_SIZE", (16, 32, 32))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # each further process takes long to start
    monkeypatch.setattr(small_plan, "SMALL_PATCH", {2: (80, 80)})  # a whole slice: predicted quickly
    for name, value in QUIET_THREADS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", forking_site(tmp_path / "site"))
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--epochs", "1"]) == 0
    shown = capsys.readouterr().out
    for step in range(1, 9):
        assert f"[{step}/8]" in shown
    assert "epoch 1/1" in shown
    assert "on 2 validation cases" in shown
    assert re.search(r"Mean foreground Dice on 1 test cases: [01]\.\d{3}", shown)

    page = (out / "demo_report.html").read_text(encoding="utf-8")
    for part in (
        "nnUNetv2_train",
        "nnUNetv2_predict",
        "nnUNetv2_apply_postprocessing",
        "SegResNetNLTrainer_1epochs_2iterations",
        "data:image/png",
        "data:image/svg+xml",  # the training's curves
        "2 trained on, 2 validated on, 1 predicted",
    ):
        assert part in page
    assert (
        len(list((out / "overlays").glob("*.png"))) == len(list((out / "predictions").glob("*.nii.gz"))) == 1
    )
    assert (out / "metrics.csv").read_text(encoding="utf-8").startswith("case,label,dice")
    assert not (out / "work").exists()


def test_data_that_is_not_there_is_reported_without_a_traceback(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo"), "--data", str(tmp_path / "nowhere")]) == 1
    shown = capsys.readouterr()
    assert "nowhere" in shown.err
    assert "Traceback" not in shown.err

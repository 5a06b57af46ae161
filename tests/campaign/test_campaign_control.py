"""`pancext campaign cancel` and `retry`, with a run under way and without one."""

import re
import sys
import types
from pathlib import Path

import pytest
from contracts.script_step import GENTLE, GpuScriptStep, ScriptStep, make_campaign, notes, start_run, until

from nnunet_pancext.campaign.control import SUBMISSIONS
from nnunet_pancext.campaign.lease import current_owner
from nnunet_pancext.campaign.local.run import run_local
from nnunet_pancext.campaign.record import cancel_file, lease_file, read_record, retry_file, state_file
from nnunet_pancext.cli.main import main

WAITING = f"{GENTLE} wait_for('go'); finish('x')"
FAILING = "(folder / 'mended').exists() or sys.exit(3); finish('x')"


def campaign(*words: str | Path) -> int:
    return main(["campaign", *map(str, words)])


def test_cancel_ends_a_running_step_and_keeps_others_from_starting(folder: Path, capsys):
    names = ["a", "b", "c"]
    make_campaign(
        folder,
        [GpuScriptStep(name="a", code=WAITING), ScriptStep(name="b", needs=("a",)), GpuScriptStep(name="c")],
    )
    with start_run(folder) as process:
        until(lambda: "a ready" in notes(folder))
        assert campaign("cancel", folder) == 0
        assert process.stdout is not None
        shown = process.stdout.read()
    assert process.returncode == 1
    assert capsys.readouterr().out.split("\n")[:-1] == [f"cancelled {name}" for name in names]
    assert "a: cancelled" in shown
    assert "0 of 3 steps done, 3 cancelled" in shown
    assert notes(folder) == ["a started", "a ready", "a saved"]
    assert read_record(folder, "a").last.outcome == "cancelled"


def test_only_the_named_steps_are_cancelled(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", code=WAITING), ScriptStep(name="b"), ScriptStep(name="c")])
    with start_run(folder) as process:
        until(lambda: "a ready" in notes(folder))
        assert campaign("cancel", folder, "a", "c") == 0
        process.communicate()
    assert process.returncode == 1
    assert notes(folder)[2:] == ["a saved", "b started", "b finished"]


def test_what_is_done_is_not_cancelled(folder: Path, capsys):
    make_campaign(folder, [ScriptStep(name="a")])
    (folder / "a.out").touch()
    assert campaign("cancel", folder) == 0
    assert "Nothing to cancel: all steps are done." in capsys.readouterr().out
    assert not cancel_file(folder, "a").exists()
    assert campaign("cancel", folder, "a") == 0
    assert "Nothing to cancel: already done." in capsys.readouterr().out


def test_retry_makes_a_run_under_way_do_a_failed_step_again(folder: Path, capsys):
    make_campaign(
        folder,
        [
            ScriptStep(name="a", code=FAILING),
            GpuScriptStep(name="b", code=WAITING),
            ScriptStep(name="c", needs=("a",)),
        ],
    )
    with start_run(folder) as process:
        until(lambda: "b ready" in notes(folder) and "a started" in notes(folder))
        until(lambda: current_owner(lease_file(folder, "a")) is None)
        (folder / "mended").touch()
        assert campaign("retry", folder, "a") == 0
        until(lambda: "c finished" in notes(folder))
        (folder / "go").touch()
        process.communicate()
    assert process.returncode == 0
    assert capsys.readouterr().out == "ready again a\n"
    assert not retry_file(folder, "a").exists()


def test_retry_makes_a_run_under_way_do_a_cancelled_step(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", code=WAITING), ScriptStep(name="b")])
    with start_run(folder) as process:
        until(lambda: "a ready" in notes(folder))
        assert campaign("cancel", folder, "b") == 0
        assert campaign("retry", folder, "b") == 0
        (folder / "go").touch()
        process.communicate()
    assert process.returncode == 0


def test_retry_of_a_step_clears_the_way_to_it(folder: Path, capsys):
    steps = [ScriptStep(name="a"), ScriptStep(name="b", needs=("a",)), ScriptStep(name="c")]
    make_campaign(folder, steps)
    assert campaign("cancel", folder) == 0
    assert campaign("retry", folder, "b") == 0
    assert notes(folder) == ["a started", "a finished", "b started", "b finished"]
    assert cancel_file(folder, "c").exists()


def test_a_step_that_waits_for_a_failed_one_may_be_retried(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", code=FAILING), ScriptStep(name="b", needs=("a",))])
    assert run_local(folder) == 1
    (folder / "mended").touch()
    assert campaign("retry", folder, "b") == 0
    assert notes(folder)[-1] == "b finished"


def test_retry_of_a_step_that_cannot_be_read_says_why(folder: Path, capsys):
    make_campaign(folder, [ScriptStep(name="a")])
    state_file(folder, "a").parent.mkdir()
    state_file(folder, "a").write_text("{", encoding="utf-8")
    assert campaign("retry", folder, "a") == 1
    assert re.search(r"a is unclear: .*a\.json is not JSON", capsys.readouterr().err)


def test_retry_alone_does_the_steps_as_run_does(folder: Path):
    make_campaign(
        folder,
        [ScriptStep(name="a", code=FAILING), ScriptStep(name="b", code=FAILING), ScriptStep(name="c")],
    )
    assert run_local(folder) == 1
    (folder / "mended").touch()
    assert campaign("retry", folder, "b") == 0
    assert notes(folder) == ["a started", "b started", "c started", "c finished", "b started", "b finished"]
    assert campaign("retry", folder) == 0
    assert notes(folder)[6:] == ["a started", "a finished"]


def test_a_step_that_fails_again_is_not_repeated(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", code=FAILING)])
    assert run_local(folder) == 1
    assert campaign("retry", folder) == 1
    assert notes(folder) == ["a started", "a started"]


def test_there_may_be_nothing_to_retry(folder: Path, capsys):
    make_campaign(folder, [ScriptStep(name="a")])
    assert campaign("retry", folder) == 0
    assert "Nothing to retry: no step failed" in capsys.readouterr().out
    assert campaign("retry", folder, "a") == 1
    assert "a is ready: there is nothing to retry. Only steps that failed" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["cancel", "retry"])
def test_an_unknown_step_is_refused_with_those_of_a_like_name(folder: Path, capsys, command: str):
    make_campaign(folder, [ScriptStep(name="train-007-A-0"), ScriptStep(name="compare-007")])
    assert campaign(command, folder, "train-07-A-0") == 1
    assert "no step 'train-07-A-0'. Is it train-007-A-0?" in capsys.readouterr().err
    assert not (folder / "state").exists()


@pytest.mark.parametrize("command", ["cancel", "retry"])
def test_a_folder_without_a_campaign_is_refused(tmp_path: Path, capsys, command: str):
    assert campaign(command, tmp_path) == 1
    assert re.search(r"There is no .*campaign\.toml", capsys.readouterr().err)


def test_a_folder_that_cannot_be_written_is_reported(folder: Path, capsys):
    make_campaign(folder, [ScriptStep(name="a")])
    (folder / "state").touch()
    assert campaign("cancel", folder) == 1
    assert re.search(r"Cannot write .*state.*a\.cancel: ", capsys.readouterr().err)


def test_a_campaign_on_slurm_is_cancelled_and_submitted_again_there(folder: Path, monkeypatch):
    calls = []
    slurm, queue = types.ModuleType("slurm"), types.ModuleType("slurm_queue")
    slurm.run_slurm = lambda folder, steps: calls.append(("submit", steps))  # type: ignore[attr-defined]
    queue.cancel_jobs = lambda folder, steps: calls.append(("scancel", steps))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nnunet_pancext.campaign.slurm.submission", slurm)
    monkeypatch.setitem(sys.modules, "nnunet_pancext.campaign.slurm.queue", queue)
    make_campaign(folder, [ScriptStep(name="a")])
    (folder / SUBMISSIONS).parent.mkdir()
    (folder / SUBMISSIONS).write_text("{}", encoding="utf-8")
    assert campaign("cancel", folder) == 0
    assert campaign("retry", folder) == 0
    assert calls == [("scancel", ["a"]), ("submit", ["a"])]

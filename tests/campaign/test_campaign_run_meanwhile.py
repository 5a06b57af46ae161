"""What else happens while a campaign is run: other runs, edits of campaign.toml, a disk that is away."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from contracts.script_step import GENTLE, GpuScriptStep, ScriptStep, make_campaign, notes, start_run, until

from nnunet_pancext.campaign.definition import FILE
from nnunet_pancext.campaign.lease import Lease, Owner
from nnunet_pancext.campaign.local import others
from nnunet_pancext.campaign.local import run as local
from nnunet_pancext.campaign.local.run import run_local
from nnunet_pancext.campaign.record import (
    Attempt,
    Record,
    cancel_file,
    lease_file,
    write_record,
)
from nnunet_pancext.cli.main import main


def cli(folder: Path, *words: str) -> int:
    return main(["campaign", "run", str(folder), *words])


def test_two_runs_do_nothing_twice_and_end_alike(folder: Path):
    names = [f"s{number}" for number in range(4)]
    steps = [ScriptStep(name=name) for name in names]
    make_campaign(folder, [*steps, ScriptStep(name="last", needs=tuple(names))])
    runs = [start_run(folder) for _ in range(2)]
    assert [(run.communicate()[0], run.returncode)[1] for run in runs] == [0, 0]
    assert sorted(notes(folder)) == sorted(
        f"{name} {what}" for name in (*names, "last") for what in ("started", "finished")
    )


def test_a_step_that_another_run_fails_is_not_repeated(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", code="wait_for('go'); sys.exit(1)")])
    first = start_run(folder)
    until(lambda: "a started" in notes(folder))
    second = start_run(folder)
    assert second.stdout is not None
    assert any("a: waits for process " in line for line in iter(second.stdout.readline, ""))
    (folder / "go").touch()
    assert [(run.communicate()[0], run.returncode)[1] for run in (first, second)] == [1, 1]
    assert notes(folder) == ["a started"]


def test_a_step_that_is_run_elsewhere_is_waited_for(folder: Path):
    make_campaign(folder, [ScriptStep(name="a"), ScriptStep(name="b", needs=("a",))])
    lease = Lease(lease_file(folder, "a"))
    lease.acquire()
    with start_run(folder) as process:
        assert process.stdout is not None
        assert any("[1/2] a: waits for process " in line for line in iter(process.stdout.readline, ""))
        (folder / "a.out").touch()
        lease.release()
        assert "a: done by another process" in process.stdout.read()
    assert process.returncode == 0
    assert notes(folder) == ["b started", "b finished"]


def test_what_was_cancelled_before_is_done(folder: Path):
    make_campaign(folder, [ScriptStep(name="a")])
    cancel_file(folder, "a").parent.mkdir()
    cancel_file(folder, "a").touch()
    assert cli(folder) == 0


def test_environment_is_that_of_the_campaign(folder: Path, monkeypatch):
    make_campaign(folder, [ScriptStep(name="a", code="finish(os.environ['nnUNet_results'])")])
    monkeypatch.setitem(os.environ, "nnUNet_results", "/elsewhere")
    assert run_local(folder) == 0
    assert (folder / "a.out").read_text(encoding="utf-8") == str(folder / "nnUNet_results")


def test_a_changed_step_is_not_started_and_a_new_one_is_left_to_the_next_run(folder: Path):
    first = [ScriptStep(name="a", code=f"{GENTLE} wait_for('go'); finish('x')"), ScriptStep(name="c")]
    needing = [ScriptStep(name=name, needs=("a",)) for name in "be"]
    make_campaign(folder, [*first, *needing])
    with start_run(folder) as process:
        until(lambda: "a ready" in notes(folder))
        make_campaign(folder, [*first, needing[0], replace(needing[1], words=("2",)), ScriptStep(name="d")])
        (folder / "go").touch()
        assert process.stdout is not None
        shown = process.stdout.read()
    assert process.returncode == 1
    assert sorted(notes(folder)) == sorted(
        ["a ready", *(f"{name} {what}" for name in "abc" for what in ("started", "finished"))]
    )
    assert "e: not started, as campaign.toml has changed since this run began" in shown
    assert "3 of 4 steps done, 1 waiting" in shown
    assert shown.endswith("campaign.toml has changed since this run began. Run again to apply the changes.\n")
    assert cli(folder) == 0
    assert {"d finished", "e finished"} <= set(notes(folder))


def test_nothing_is_started_while_campaign_toml_is_not_in_order(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", code="wait_for('go'); finish('x')"), ScriptStep(name="b")])
    text = (folder / FILE).read_text(encoding="utf-8")
    with start_run(folder) as process:
        until(lambda: "a started" in notes(folder))
        (folder / FILE).write_text("format = ", encoding="utf-8")
        (folder / "go").touch()
        assert process.stdout is not None
        assert any("No further step is started" in line for line in iter(process.stdout.readline, ""))
        assert "b started" not in notes(folder)
        (folder / FILE).write_text(text, encoding="utf-8")
        process.communicate()
    assert process.returncode == 0


def test_a_step_on_another_machine_is_looked_at_now_and_then(folder: Path, monkeypatch):
    campaign = make_campaign(folder, [ScriptStep(name="a"), ScriptStep(name="b")])
    asked = []
    owner = Owner(host="elsewhere", pid=7, process_started=1.0)
    monkeypatch.setattr(local, "current_owner", lambda path: asked.append(path) or owner)
    monkeypatch.setattr(others, "AWAY_S", 1e9)
    run = local.LocalRun(folder, campaign, gpus=None, only=None, is_alone=True)
    asked.clear()
    for _ in range(100):
        run._start_what_is_ready()
    assert asked == [lease_file(folder, name) for name in "ab"]


@pytest.fixture
def started(monkeypatch):
    """Return the slots of the steps that are started, which run for ever."""
    slots: dict[str, str] = {}

    def start(folder: Path, step: ScriptStep, *, slot: str, gpu: str) -> SimpleNamespace:
        slots[step.name] = slot
        return SimpleNamespace(slot=slot)

    monkeypatch.setattr(local, "Supervisor", start)
    return slots


@pytest.mark.parametrize(("is_alone", "slots"), [(True, {"c": "CPU"}), (False, {"a": "", "c": "CPU"})])
def test_nothing_is_started_beside_a_step_whose_run_was_killed(folder: Path, started, is_alone, slots):
    campaign = make_campaign(folder, [GpuScriptStep(name="a"), GpuScriptStep(name="b"), ScriptStep(name="c")])
    with Lease(lease_file(folder, "b")):
        run = local.LocalRun(folder, campaign, gpus=None, only=None, is_alone=is_alone)
        run.note_steps_elsewhere()
        run._start_what_is_ready()
    assert started == slots


def test_a_step_that_another_run_starts_later_keeps_none_from_starting(folder: Path, started):
    campaign = make_campaign(folder, [GpuScriptStep(name="a"), GpuScriptStep(name="b")])
    run = local.LocalRun(folder, campaign, gpus=None, only=None, is_alone=True)
    run.note_steps_elsewhere()
    with Lease(lease_file(folder, "a")):
        run._start_what_is_ready()
    assert started == {"b": ""}


def test_a_single_step_does_not_get_the_gpu_of_one_that_was_left_over(folder: Path, started, monkeypatch):
    monkeypatch.setattr(local, "gpu_slots", lambda device, gpus: ["0", "1"])
    campaign = make_campaign(folder, [GpuScriptStep(name=name) for name in "abc"])
    with Lease(lease_file(folder, "b"), gpu="0"):
        run = local.LocalRun(folder, campaign, gpus=None, only={"a"}, is_alone=True)
        run.note_steps_elsewhere()
        run._start_what_is_ready()
    assert started == {"a": "1"}


def test_the_gpu_of_a_step_of_another_run_is_left_to_it(folder: Path, started, monkeypatch):
    monkeypatch.setattr(local, "gpu_slots", lambda device, gpus: ["0", "1"])
    campaign = make_campaign(folder, [GpuScriptStep(name=name) for name in "abc"])
    with Lease(lease_file(folder, "c"), gpu="0"):
        run = local.LocalRun(folder, campaign, gpus=None, only=None, is_alone=False)
        run.note_steps_elsewhere()
        run._start_what_is_ready()
    assert started == {"a": "1"}


def test_an_earlier_failure_is_not_taken_for_that_of_another_run(folder: Path):
    make_campaign(folder, [ScriptStep(name="a")])
    failed = Attempt(place="local", host="here", pid=3, started=1.0, ended=2.0, outcome="failed")
    write_record(folder, "a", Record(attempts=(failed,)))
    lease = Lease(lease_file(folder, "a"))
    lease.acquire()
    with start_run(folder) as process:
        assert process.stdout is not None
        assert any("a: waits for process " in line for line in iter(process.stdout.readline, ""))
        lease.release()  # it was killed before its command began
        process.communicate()
    assert process.returncode == 0


def test_a_disk_that_is_away_for_a_moment_ends_no_step(folder: Path, monkeypatch, capsys):
    make_campaign(folder, [ScriptStep(name="a", code="wait_for('go'); finish('x')")])
    asked = []

    def heed(run: local.LocalRun) -> None:
        if run.running and len(asked) < 2:
            asked.append(run)
            raise OSError(errno.ESTALE, "Stale file handle")
        if run.running:
            (folder / "go").touch()

    monkeypatch.setattr(local.LocalRun, "_heed_retries", heed)
    assert run_local(folder) == 0
    assert capsys.readouterr().out.count("Stale file handle; running steps continue") == 1


def test_a_disk_that_is_away_while_nothing_runs_is_reported(folder: Path, monkeypatch, capsys):
    def fail(_: local.LocalRun) -> None:
        raise OSError(errno.EIO, "Input/output error")

    make_campaign(folder, [ScriptStep(name="a")])
    monkeypatch.setattr(local.LocalRun, "_heed_retries", fail)
    assert cli(folder) == 1
    assert "campaign: Input/output error. Run again once its disk is available." in capsys.readouterr().err

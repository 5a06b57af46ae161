"""One step: its leases, child, log and record, and every way in which it can end."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from contracts.made_campaign import record_begun
from contracts.script_step import GENTLE, ScriptStep, make_campaign, notes, until

from nnunet_pancext.campaign.attempt import step_process
from nnunet_pancext.campaign.attempt.child import MARK, end_leftovers
from nnunet_pancext.campaign.attempt.execute import EXIT_CODES, HELD, main, run_step
from nnunet_pancext.campaign.attempt.step_process import StepProcess
from nnunet_pancext.campaign.lease import Held, Lease
from nnunet_pancext.campaign.record import (
    Record,
    cancel_file,
    folder_lease_file,
    lease_file,
    log_file,
    read_record,
    write_record,
)
from nnunet_pancext.errors import PancextError

LONG = "wait_for('go'); finish('x')"
UNGENTLE = f"signal.signal(signal.SIGTERM, signal.SIG_IGN); note('deaf'); {LONG}"
GENTLY = f"{GENTLE} {LONG}"


def run(folder: Path, name: str = "a"):
    return run_step(folder, name, place="local")


def log(folder: Path, name: str = "a") -> str:
    return log_file(folder, name).read_text(encoding="utf-8")


def test_a_step_runs_and_leaves_a_log_and_a_record(folder: Path):
    make_campaign(
        folder, [ScriptStep(name="a", code="print('é', os.environ['PANCEXT_SEED']); finish('x')")], seed=4
    )
    attempt = run_step(folder, "a", place="slurm", job="12_3", restarts=2, gpu="1")
    assert (attempt.outcome, attempt.exit_code, attempt.message) == ("done", 0, "")
    assert attempt.ended is not None
    assert attempt.ended >= attempt.started
    record = read_record(folder, "a")
    assert record.attempts == (attempt,)
    (begun,) = record.begun.values()
    assert begun.options == {"code": begun.options["code"], "writes": "", "words": []}
    assert "torch" in begun.versions
    header, line = log(folder).splitlines()
    assert header.startswith("=== attempt 1, 20")
    assert ", slurm, " in header
    assert ", job 12_3, GPU 1: " in header
    assert line == "é 4"
    assert [path.name for path in (folder / "state").iterdir()] == ["a.json"]


def test_a_step_that_is_done_is_not_run(folder: Path):
    make_campaign(folder, [ScriptStep(name="a")])
    (folder / "a.out").touch()
    assert run(folder).outcome == "done"
    assert notes(folder) == []
    record = read_record(folder, "a")
    assert record.attempts == ()
    assert [begun.options for begun in record.begun.values()] == [
        {"code": "finish('x')", "writes": "", "words": []}  # adopted
    ]


def test_a_step_whose_needs_are_not_done_is_refused(folder: Path):
    make_campaign(folder, [ScriptStep(name="a"), ScriptStep(name="b", needs=("a",))])
    with pytest.raises(PancextError, match=r"Step b needs steps not done yet: a. Run them first"):
        run(folder, "b")
    assert read_record(folder, "b") == Record()


def test_a_step_begun_with_other_options_is_refused(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", code="finish('y')")])
    (folder / "a.out").touch()
    write_record(folder, "a", record_begun(ScriptStep(name="a"), folder, options={"code": "finish('x')"}))
    with pytest.raises(PancextError, match=r"code \"finish\('x'\)\" -> \"finish\('y'\)\"(?s:.*)--redo"):
        run(folder)


def test_of_a_progress_bar_the_log_has_what_was_drawn_last(folder: Path):
    bars = (
        "sys.stdout.write('1%\\r2%\\r100%\\n'); sys.stdout.write('a' * 200_000 + '\\r' + 'end'); finish('x')"
    )
    make_campaign(folder, [ScriptStep(name="a", code=bars)])
    run(folder)
    lines = log(folder).splitlines()
    assert lines[1] == "100%"
    assert lines[-1] == "end"
    assert max(map(len, lines[1:])) <= 1 << 16


def test_attempts_are_appended_to_the_log(folder: Path):
    make_campaign(
        folder, [ScriptStep(name="a", code="print('x'); (folder / 'once').exists() and finish('x')")]
    )
    assert run(folder).outcome == "failed"
    (folder / "once").touch()
    assert run(folder).outcome == "done"
    assert [line.split(",")[0] for line in log(folder).splitlines()] == [
        "=== attempt 1",
        "x",
        "=== attempt 2",
        "x",
    ]
    assert [attempt.outcome for attempt in read_record(folder, "a").attempts] == ["failed", "done"]


def during(folder: Path, note: str, act: Callable[[], object]) -> threading.Thread:
    """Do something once a step has left a note."""

    def wait() -> None:
        until(lambda: note in notes(folder))
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_a_signal_ends_the_child_gently(folder: Path, number: int):
    make_campaign(folder, [ScriptStep(name="a", code=GENTLY)])
    during(folder, "a ready", lambda: os.kill(os.getpid(), number))
    before = signal.getsignal(number)
    attempt = run(folder)
    assert (attempt.outcome, attempt.exit_code) == ("interrupted", 143)
    assert notes(folder)[-1] == "a saved"
    assert read_record(folder, "a").last == attempt
    assert not lease_file(folder, "a").exists()
    assert signal.getsignal(number) == before


def test_a_child_that_does_not_heed_is_killed_after_the_grace_time(folder: Path, monkeypatch):
    monkeypatch.setattr(step_process, "GRACE_S", 0.3)
    make_campaign(folder, [ScriptStep(name="a", code=UNGENTLE)])
    during(folder, "a deaf", lambda: os.kill(os.getpid(), signal.SIGTERM))
    attempt = run(folder)
    assert (attempt.outcome, attempt.exit_code) == ("interrupted", -9)


def test_a_child_that_somebody_else_ends_is_interrupted(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", code="os.kill(os.getpid(), 15); time.sleep(60)")])
    assert run(folder).outcome == "interrupted"


def test_the_cancel_file_ends_the_child(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", code=GENTLY)])
    during(folder, "a ready", cancel_file(folder, "a").touch)
    assert run(folder).outcome == "cancelled"
    assert notes(folder)[-1] == "a saved"
    assert run(folder).outcome == "cancelled"  # as long as it is there
    assert notes(folder).count("a started") == 1


def test_stop_may_interrupt_wait(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", code=GENTLY)])
    process = StepProcess(folder, "a", place="slurm")
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(process.stop()))
    try:
        assert process.start()
        during(folder, "a ready", lambda: os.kill(os.getpid(), signal.SIGUSR1))
        attempt = process.wait()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [attempt]
    assert attempt.outcome == "interrupted"
    assert process.stop() == attempt


def test_a_step_that_was_stopped_before_its_start_is_not_started(folder: Path):
    make_campaign(folder, [ScriptStep(name="a")])
    process = StepProcess(folder, "a", place="slurm")
    process.stop()
    assert not process.start()
    assert process.attempt.outcome == "interrupted"
    assert notes(folder) == []
    assert not lease_file(folder, "a").exists()


def test_a_step_that_another_process_runs_is_refused(folder: Path, capfd):
    make_campaign(folder, [ScriptStep(name="a")])
    with Lease(lease_file(folder, "a")):
        with pytest.raises(Held, match=r"a\.lease is held by process"):
            run(folder)
        assert main([str(folder), "a"]) == HELD
    assert "is held by process" in capfd.readouterr().err
    assert notes(folder) == []


def test_a_folder_that_another_campaign_writes_is_waited_for(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", writes="shared")])
    lease = Lease(folder_lease_file(folder / "shared"))
    lease.acquire()
    waits = threading.Thread(target=lambda: (until(lambda: "waits for" in log(folder)), lease.release()))
    log_file(folder, "a").parent.mkdir()
    log_file(folder, "a").touch()
    waits.start()
    assert run(folder).outcome == "done"
    assert notes(folder) == ["a started", "a finished"]
    assert not folder_lease_file(folder / "shared").exists()


def test_what_another_campaign_has_done_meanwhile_is_not_done_again(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", writes="shared")])
    lease = Lease(folder_lease_file(folder / "shared"))
    lease.acquire()

    def do_it_and_go() -> None:
        until(lambda: log_file(folder, "a").is_file() and "waits for" in log(folder))
        (folder / "a.out").touch()
        lease.release()

    threading.Thread(target=do_it_and_go).start()
    assert run(folder).outcome == "done"
    assert notes(folder) == []
    assert not folder_lease_file(folder / "shared").exists()


def test_a_step_whose_lease_was_taken_over_ends_at_once_and_records_nothing(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", code=UNGENTLE)])
    during(folder, "a deaf", lease_file(folder, "a").unlink)
    attempt = run(folder)
    assert attempt.outcome == "interrupted"
    assert "has taken over step a" in attempt.message
    last = read_record(folder, "a").last
    assert last is not None
    assert last.outcome is None


LEAVING = """\
import subprocess
left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
note(left.pid)
finish("x")
"""


def test_what_a_command_leaves_behind_is_ended(folder: Path):
    make_campaign(folder, [ScriptStep(name="a", code=LEAVING)])
    assert run(folder).outcome == "done"
    pid = int(notes(folder)[1].split()[1])
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_nothing_else_is_ended(folder: Path):
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={**os.environ, MARK: "x"}
    ) as other:
        end_leftovers(f"{folder}:a:")
        assert other.poll() is None
        end_leftovers("x")
        assert not psutil.pid_exists(other.pid)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("finish('x')", "done"), ("sys.exit(1)", "failed"), ("os.kill(os.getpid(), 15)", "interrupted")],
)
def test_the_exit_code_tells_the_outcome(folder: Path, code: str, expected: str, capfd):
    make_campaign(folder, [ScriptStep(name="a", code=code)])
    assert main([str(folder), "a"]) == EXIT_CODES[expected]
    assert ("ended with exit code 1" in capfd.readouterr().err) == (expected == "failed")


def test_a_step_that_does_not_exist_is_reported(folder: Path, capfd):
    make_campaign(folder, [ScriptStep(name="a")])
    assert main([str(folder), "aa"]) == 1
    assert "no step 'aa'. Is it a?" in capfd.readouterr().err

"""Whatever of a campaign is killed, and whenever: the next run ends as an undisturbed one."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from contracts.script_step import GpuScriptStep, ScriptStep, make_campaign, notes, start_run, until

from nnunet_pancext.campaign.lease import current_owner
from nnunet_pancext.campaign.local.run import run_local
from nnunet_pancext.campaign.record import lease_file, read_record

LONG = "note('ready'); wait_for('go'); finish('x')"
# Goes on where it was killed: one line of its output at a time, as a training one epoch.
IN_PARTS = """\
part = output.with_name(f"{name}.parts")
done = part.read_text().count("x") if part.exists() else 0
for number in range(done, 5):
    time.sleep(0.05)
    with part.open("a") as parts:
        parts.write("x")
before = "".join(path.read_text() for path in sorted(folder.glob("*.out")) if path.name < output.name)
finish(f"{name}{len(part.read_text())}" + before)
"""
STEPS = [
    ScriptStep(name="a", code=IN_PARTS),
    GpuScriptStep(name="b", needs=("a",), code=IN_PARTS),
    GpuScriptStep(name="c", needs=("a", "b"), code=IN_PARTS),
    ScriptStep(name="d", needs=("c",), code=IN_PARTS),
]


def processes(folder: Path, what: str) -> Iterator[psutil.Process]:
    """Yield the processes of a campaign: "supervisor" those of its steps, "child" the steps' commands."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            is_supervisor = "nnunet_pancext.campaign.attempt.execute" in words
            if str(folder) in words and is_supervisor == (what == "supervisor") and "run" not in words:
                yield process


def are_gone(folder: Path) -> bool:
    return not [*processes(folder, "supervisor"), *processes(folder, "child")]


@pytest.fixture
def waiting(folder: Path) -> Path:
    """A campaign whose first step waits for the file `go`."""
    make_campaign(folder, [ScriptStep(name="a", code=LONG), ScriptStep(name="b", needs=("a",))])
    return folder


def test_supervisors_outlive_a_killed_run_and_the_next_one_waits_for_them(waiting: Path):
    with start_run(waiting) as first:
        until(lambda: "a ready" in notes(waiting))
        first.kill()
    assert current_owner(lease_file(waiting, "a")) is not None
    with start_run(waiting) as second:
        assert second.stdout is not None
        assert any("a: waits for process " in line for line in iter(second.stdout.readline, ""))
        (waiting / "go").touch()
        second.communicate()
    assert second.returncode == 0
    assert notes(waiting) == ["a started", "a ready", "a finished", "b started", "b finished"]
    assert not list((waiting / "state").rglob("*.lease"))


@pytest.mark.parametrize("what", ["supervisor", "child"])
def test_a_kill_ends_a_step_alone_and_the_next_run_does_it_again(waiting: Path, what: str):
    with start_run(waiting) as first:
        until(lambda: "a ready" in notes(waiting))
        for process in processes(waiting, what):
            process.kill()
        shown = first.communicate()[0]
    assert first.returncode == 1
    assert ("a: interrupted" if what == "supervisor" else "was ended by signal 9") in shown
    until(lambda: are_gone(waiting))
    (waiting / "go").touch()
    assert run_local(waiting) == 0
    outcomes = [attempt.outcome for attempt in read_record(waiting, "a").attempts]
    assert outcomes == [None if what == "supervisor" else "failed", "done"]


def test_what_a_killed_supervisor_left_is_ended_by_the_next_attempt(folder: Path):
    leaving = """\
import subprocess
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
note(f"worker {worker.pid}")
wait_for("go")
finish("x")
"""
    make_campaign(folder, [ScriptStep(name="a", code=leaving)])
    with start_run(folder) as first:
        until(lambda: len(notes(folder)) == 2)
        for process in processes(folder, "supervisor"):
            process.kill()
        first.communicate()
    worker = psutil.Process(int(notes(folder)[1].split()[-1]))
    assert worker.is_running()
    (folder / "go").touch()
    assert run_local(folder) == 0
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def kill_at_random(folder: Path, seed: int) -> str:
    """Start a run, kill something of it at a random moment, and return what."""
    chance = random.Random(seed)
    what = chance.choice(["run", "supervisor", "child", "all", "group"])
    with start_run(folder) as process:
        time.sleep(chance.uniform(0.3, 4))
        if what == "group":  # all that a terminal or a batch system knows of
            for session in {os.getsid(one.pid) for one in processes(folder, "supervisor")}:
                with suppress(ProcessLookupError):
                    os.killpg(session, signal.SIGKILL)
        if what in ("run", "all", "group"):
            process.kill()
        for of in ("supervisor", "child"):
            if what in (of, "all"):
                for one in processes(folder, of):
                    with suppress(psutil.Error):
                        one.kill()
        process.communicate()
    return what


def check_random_kills(folder: Path, seeds: range) -> None:
    make_campaign(folder / "undisturbed", STEPS)
    assert run_local(folder / "undisturbed") == 0
    expected = {path.name: path.read_bytes() for path in (folder / "undisturbed").glob("*.out")}
    for seed in seeds:
        killed = folder / f"seed {seed}"
        make_campaign(killed, STEPS)
        what = kill_at_random(killed, seed)
        assert run_local(killed) == 0, (seed, what)
        assert {path.name: path.read_bytes() for path in killed.glob("*.out")} == expected, (seed, what)
        finished = Counter(note for note in notes(killed) if note.endswith("finished"))
        # One may have been killed between its note and its output.
        assert sorted(finished) == [f"{name} finished" for name in "abcd"]
        assert finished.total() <= 5, (seed, what)


@pytest.mark.slow
def test_killed_at_three_random_moments(folder: Path):
    check_random_kills(folder, range(3))


@pytest.mark.exhaustive
def test_killed_at_twenty_random_moments(folder: Path):
    check_random_kills(folder, range(3, 23))

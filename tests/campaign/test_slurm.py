"""A campaign on a real Slurm: to its end, and through what happens to jobs."""

import pickle
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from contracts.script_step import make_campaign
from contracts.slurm_cluster import SlurmCluster, running_cluster, slurm_cluster, tail, wait_for  # noqa: F401
from contracts.slurm_steps import (
    assert_ticked_without_repeats,
    at_work,
    began,
    let_end,
    quick,
    ticks,
    training,
    words,
)

from nnunet_pancext.campaign.definition import open_campaign
from nnunet_pancext.campaign.record import log_file, read_record
from nnunet_pancext.campaign.slurm.options import SlurmOptions
from nnunet_pancext.campaign.slurm.queue import job_log, queue_states
from nnunet_pancext.campaign.slurm.submission import run_slurm
from nnunet_pancext.campaign.state import step_states
from nnunet_pancext.cli.main import main

pytest.importorskip("submitit")
pytestmark = pytest.mark.slow

ONE_CPU = SlurmOptions(cpus=1)
FOLDS = [f"train-{trainer}-{fold}" for trainer in "AB" for fold in (0, 1)]


@pytest.fixture
def cluster(slurm_cluster: SlurmCluster, script_kinds: None) -> SlurmCluster:  # noqa: F811
    """A cluster whose jobs know the kinds of scripts."""
    return slurm_cluster


@pytest.fixture
def folder(script_kinds: None, tmp_path: Path) -> Path:
    """The folder of a campaign to be made; a space in its path does no harm."""
    return tmp_path / "my campaign"


def whole_campaign(folder: Path) -> None:
    """Make a campaign of two trainers and two folds, up to their comparison, whose result is 11 by hand.

    The preprocessing makes 1, each fold 1 + 1, the best of a trainer 1 + 2 + 2, and the comparison 1 + 5 + 5.
    """
    folds = [training(name, "preprocess") for name in FOLDS]
    best = [quick(f"best-{trainer}", f"train-{trainer}-0", f"train-{trainer}-1") for trainer in "AB"]
    steps = [quick("preprocess"), *folds, *best, quick("compare", "best-A", "best-B")]
    make_campaign(folder, steps, environment={"COLOUR": "the campaign's"})


def training_at_work(folder: Path, options: SlurmOptions) -> str:
    """Make a campaign of a training and what needs it; return the training's job once it is at work."""
    make_campaign(folder, [training("train"), quick("compare", "train")])
    job = run_slurm(folder, options)["train"]
    wait_for(lambda: at_work(folder, "train"), "the training", details=lambda: all_logs(folder))
    return job


def states(folder: Path) -> dict[str, str]:
    return {name: state.state for name, state in step_states(open_campaign(folder), folder).items()}


def is_done(folder: Path, name: str) -> Callable[[], bool]:
    return (folder / f"{name}.out").exists


def in_queue(folder: Path, name: str) -> str:
    """Return the state of a step's job in the queue, "" where there is none."""
    queue = queue_states(folder)
    return queue[name].state if name in queue else ""


def start_now(cluster: SlurmCluster, job: str) -> None:
    """End the wait of a requeued job."""
    cluster.slurm("scontrol", "update", f"JobId={job}", "StartTime=now", check=False)


def wait_until_requeued(folder: Path) -> None:
    wait_for(lambda: in_queue(folder, "train") == "PENDING", "a requeue", details=lambda: all_logs(folder))


def wait_for_run(cluster: SlurmCluster, folder: Path, job: str, *, run: int = 2) -> None:
    """Return when a requeued training is at work again."""
    wait_for(
        lambda: start_now(cluster, job) or at_work(folder, "train", run=run),
        f"run {run}",
        details=lambda: all_logs(folder),
        within_s=200,
    )


def wait_for_end(folder: Path, name: str) -> None:
    """Return when a step is done and the queue empty."""
    wait_for(is_done(folder, name), f"{name}, {states(folder)}", details=tail(job_log(folder, name)))
    wait_for(lambda: not queue_states(folder), "an empty queue")


def all_logs(folder: Path) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in sorted((folder / "slurm").glob("*_log.*")))


def test_a_campaign_runs_to_its_comparison(cluster, folder, capsys, monkeypatch):
    whole_campaign(folder)
    monkeypatch.setenv("COLOUR", "the shell's")
    jobs = run_slurm(folder, ONE_CPU)
    assert capsys.readouterr().out.endswith(
        "Submitted 8 steps; time limit of each: 04:00:00, the partition's own.\n"
    )
    array = {jobs[name].partition("_")[0] for name in FOLDS}
    assert len(array) == 1
    assert {jobs[name].partition("_")[2] for name in FOLDS} == set("0123")
    wait_for(lambda: all(at_work(folder, name) for name in FOLDS), "four folds side by side")
    assert states(folder)["preprocess"] == "done"
    queue = queue_states(folder)
    assert [queue[name].state for name in FOLDS] == ["RUNNING"] * 4
    assert {queue[name].node for name in FOLDS} == {"n1", "n2"}
    assert (queue["compare"].state, queue["compare"].reason) == ("PENDING", "Dependency")
    assert run_slurm(folder) == {}
    assert "7 steps already in the queue.\nNothing to submit." in capsys.readouterr().out
    let_end(folder)
    wait_for_end(folder, "compare")
    assert (folder / "compare.out").read_text(encoding="utf-8") == "11"
    attempt = read_record(folder, "train-B-1").last
    assert (attempt.place, attempt.job, attempt.restarts) == ("slurm", jobs["train-B-1"], 0)
    assert attempt.outcome == "done"
    log = log_file(folder, "train-B-1").read_text(encoding="utf-8")
    assert f"run by {sys.executable} in the campaign's colour" in log
    assert run_slurm(folder) == {}
    assert all(words(folder, step.name) == ["started", "done"] for step in open_campaign(folder).steps)


def test_a_job_that_is_preempted_goes_on_where_it_was(cluster, folder):
    job = training_at_work(folder, ONE_CPU)
    urgent = preempt(cluster)
    wait_for(lambda: cluster.job_state(urgent) == "RUNNING", "the urgent job")
    assert words(folder, "train")[:2] == ["started", "stopped"]
    assert read_record(folder, "train").last.outcome == "interrupted"
    assert in_queue(folder, "train") == "PENDING"
    cluster.slurm("scancel", urgent)
    go_on_and_end(cluster, folder, job)


@pytest.mark.exhaustive
def test_a_job_that_ends_within_the_grace_time_of_its_preemption_is_requeued(cluster, folder):
    job = training_at_work(folder, SlurmOptions(cpus=1, partition="graceful"))
    urgent = preempt(cluster)
    wait_for(lambda: cluster.job_state(urgent) == "RUNNING", "the urgent job", within_s=200)
    assert words(folder, "train")[:2] == ["started", "stopped"]
    cluster.slurm("scancel", urgent)
    go_on_and_end(cluster, folder, job)


def preempt(cluster: SlurmCluster) -> str:
    """Submit a job that takes both nodes."""
    words = ("--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 600")
    return cluster.slurm("sbatch", "--parsable", *words).strip()


def go_on_and_end(cluster: SlurmCluster, folder: Path, job: str) -> None:
    """Let a requeued training go on to the end of the campaign, as the same job."""
    wait_for_run(cluster, folder, job)
    let_end(folder)
    wait_for_end(folder, "compare")
    assert words(folder, "train") == ["started", "stopped", "continued", "done"]
    assert_ticked_without_repeats(folder, "train")
    attempts = read_record(folder, "train").attempts
    assert [(attempt.job, attempt.restarts) for attempt in attempts] == [(job, 0), (job, 1)]
    assert [attempt.outcome for attempt in attempts] == ["interrupted", "done"]


def test_a_job_at_its_time_limit_is_requeued_as_often_as_it_takes(cluster, folder):
    job = training_at_work(folder, SlurmOptions(cpus=1, time="5"))
    assert "TimeLimit=00:05:00" in cluster.slurm("scontrol", "show", "job", job)
    cluster.slurm("scancel", job, "--signal=USR2")
    wait_until_requeued(folder)
    # submitit counts any end of a job of 10 minutes or less as one of its time limit, and gives up after 3.
    assert "this job is timed-out" in all_logs(folder)
    submitted = pickle.loads((folder / "slurm" / f"{job}_submitted.pkl").read_bytes())
    assert submitted._timeout_countdown > 10**8
    go_on_and_end(cluster, folder, job)


@pytest.mark.exhaustive
def test_two_signals_at_once_requeue_a_job_once(cluster, folder):
    job = training_at_work(folder, ONE_CPU)
    for name in ("TERM", "USR2"):  # as where preemption sends the user's signal, too
        cluster.slurm("scancel", job, f"--signal={name}")
    wait_until_requeued(folder)
    go_on_and_end(cluster, folder, job)


def test_a_job_that_is_cancelled_by_hand_can_be_done_again(cluster, folder):
    job = training_at_work(folder, ONE_CPU)
    cluster.slurm("scancel", job)
    wait_for(lambda: not queue_states(folder), "the job's end, and that of the one that needs it")
    assert words(folder, "train") == ["started", "stopped"]
    assert states(folder) == {"train": "interrupted", "compare": "waiting"}
    assert main(["campaign", "retry", str(folder)]) == 0
    assert set(queue_states(folder)) == {"train", "compare"}
    assert queue_states(folder)["train"].job != job
    let_end(folder)
    wait_for_end(folder, "compare")
    assert words(folder, "train") == ["started", "stopped", "continued", "done"]
    assert_ticked_without_repeats(folder, "train")


@pytest.mark.exhaustive
def test_steps_are_cancelled_by_name_and_only_they(cluster, folder):
    make_campaign(folder, [training(name) for name in ("one", "two", "three")])
    run_slurm(folder, ONE_CPU)
    wait_for(lambda: at_work(folder, "one") and at_work(folder, "two"), "two trainings")
    assert main(["campaign", "cancel", str(folder), "one"]) == 0
    assert set(run_slurm(folder, steps=["one"])) == {"one"}  # it waits for the first job's end
    let_end(folder)
    for name in ("one", "two", "three"):
        wait_for_end(folder, name)
    assert began(folder, "one") == 2
    assert began(folder, "two") == 1


def test_what_needs_a_failed_step_is_not_run_until_it_is_retried(cluster, folder):
    steps = [quick("broken", broken=True), quick("other"), quick("compare", "broken", "other")]
    make_campaign(folder, steps)
    job = run_slurm(folder, ONE_CPU)["broken"]
    wait_for(lambda: not queue_states(folder), "an empty queue")
    assert cluster.job_state(job) == "FAILED"
    assert states(folder) == {"broken": "failed", "other": "done", "compare": "waiting"}
    log = job_log(folder, "broken").read_text(encoding="utf-8")
    assert "PancextError: Step broken was not done: failed." in log
    assert "there is no such trainer" in log
    (folder / "mended").touch()
    assert set(run_slurm(folder, steps=["broken"])) == {"broken", "compare"}
    wait_for_end(folder, "compare")
    assert (folder / "compare.out").read_text(encoding="utf-8") == "3"
    assert words(folder, "other") == ["started", "done"]


def test_a_node_that_dies_with_all_that_ran_there(cluster, folder):
    job = training_at_work(folder, ONE_CPU)
    node = queue_states(folder)["train"].node
    cluster.end(node)
    cluster.end_jobs(node)
    cluster.set_down(node)
    wait_until_requeued(folder)
    wait_for_run(cluster, folder, job)
    assert queue_states(folder)["train"].node != node
    let_end(folder)
    wait_for_end(folder, "compare")
    assert words(folder, "train") == ["started", "continued", "done"]
    assert_ticked_without_repeats(folder, "train")


@pytest.mark.parametrize("is_told", [True, pytest.param(False, marks=pytest.mark.exhaustive)])
def test_a_node_that_slurm_loses_sight_of_while_its_training_lives_on(cluster, folder, is_told):
    job = training_at_work(folder, ONE_CPU)
    node = queue_states(folder)["train"].node
    cluster.end(node)
    if is_told:
        cluster.set_down(node)
    wait_for(lambda: in_queue(folder, "train") == "PENDING", "Slurm to miss the node", within_s=300)
    wait_for(lambda: start_now(cluster, job) or "is held by" in all_logs(folder), "the second run")
    reached = len(ticks(folder, "train"))
    wait_for(lambda: len(ticks(folder, "train")) > reached, "the first run to go on")
    assert began(folder, "train") == 1  # the second does not write beside it
    let_end(folder)
    wait_for(is_done(folder, "compare"), "the comparison", details=lambda: all_logs(folder))
    assert words(folder, "train") == ["started", "done"]
    assert_ticked_without_repeats(folder, "train")


def test_the_controller_may_be_restarted(cluster, folder):
    training_at_work(folder, ONE_CPU)
    cluster.end("slurmctld", signal.SIGTERM)
    let_end(folder)
    wait_for(is_done(folder, "train"), "a training that ends meanwhile")
    cluster.start_controller()
    assert queue_states(folder)["compare"].state in ("PENDING", "RUNNING")
    wait_for_end(folder, "compare")
    assert words(folder, "train") == words(folder, "compare") == ["started", "done"]


@pytest.mark.exhaustive
def test_a_training_outlives_time_limits_of_a_minute(cluster, folder):
    job = training_at_work(folder, SlurmOptions(cpus=1, time="1"))
    for run in (2, 3):
        wait_for(lambda: in_queue(folder, "train") == "PENDING", "the limit", within_s=200)
        wait_for_run(cluster, folder, job, run=run)
    for run in (4, 5, 6):  # more than submitit's own three
        cluster.slurm("scancel", job, "--signal=USR2")
        wait_until_requeued(folder)
        wait_for_run(cluster, folder, job, run=run)
    let_end(folder)
    wait_for_end(folder, "compare")
    assert words(folder, "train") == [
        "started",
        "stopped",
        *["continued", "stopped"] * 4,
        "continued",
        "done",
    ]
    assert_ticked_without_repeats(folder, "train")
    assert [attempt.restarts for attempt in read_record(folder, "train").attempts] == list(range(6))

"""What the status says of steps that were submitted to Slurm."""

import os
from pathlib import Path

import pytest
from contracts.made_campaign import STARTED, TRAIN_0, TRAIN_1

from nnunet_pancext.campaign.definition import Campaign
from nnunet_pancext.campaign.slurm.queue import QueueState, Submission, Submissions, write_submissions
from nnunet_pancext.campaign.status.rows import read_status


@pytest.fixture
def submitted(tmp_path: Path, campaign: Campaign) -> Path:
    """The campaign's folder after its trainings were submitted as jobs 17 and 18."""
    names = [campaign.steps[number].name for number in (TRAIN_0, TRAIN_1)]
    (tmp_path / "slurm").mkdir()
    jobs = {name: Submission(job=str(17 + n), name=name, submitted=STARTED) for n, name in enumerate(names)}
    write_submissions(tmp_path, Submissions(jobs=jobs))
    return tmp_path


def test_a_step_in_slurms_queue_tells_why_it_waits(
    submitted: Path, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = campaign.steps[TRAIN_0].name
    queue = {name: QueueState(job="17", state="PENDING", reason="Priority", node="", since=STARTED)}
    monkeypatch.setattr("nnunet_pancext.campaign.status.rows.queue_states", lambda *_, **__: queue)

    status = read_status(campaign, submitted)

    assert status.is_active
    assert [(row.state, row.details) for row in status.rows[1:3]] == [
        ("queued", "job 17, pending (Priority)"),
        ("ready", "can start"),
    ]
    assert status.rows[TRAIN_0].alike == "pending (Priority)"


def test_a_job_that_ended_before_its_step_began_is_told(
    submitted: Path, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnunet_pancext.campaign.status.rows.queue_states", lambda *_, **__: {})
    (submitted / "slurm" / "17_0_log.err").write_text("No module named submitit", encoding="utf-8")

    rows = read_status(campaign, submitted).rows

    assert rows[TRAIN_0].details == f"its Slurm job ended before it ran; see {submitted}/slurm/17_0_log.err"
    assert rows[TRAIN_1].details == "can start"


def test_without_an_answer_of_slurm_the_other_states_are_shown(
    submitted: Path, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")

    status = read_status(campaign, submitted)

    assert status.problems == [
        "Slurm's queue could not be read: There is no squeue on the PATH. "
        "Run this where Slurm's commands are, on a login node."
    ]
    assert [row.state for row in status.rows] == ["done", "ready", "ready", "waiting", "waiting"]


def test_a_queue_that_does_not_answer_is_not_waited_for(
    submitted: Path, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue = submitted / "bin" / "squeue"
    squeue.parent.mkdir()
    squeue.write_text("#!/bin/sh\nexec sleep 3600\n", encoding="utf-8")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(squeue.parent), prepend=os.pathsep)
    monkeypatch.setattr("nnunet_pancext.campaign.status.rows.SLURM_ANSWERS_WITHIN_S", 0.1)

    status = read_status(campaign, submitted)

    assert status.problems == [
        "Slurm's queue could not be read: squeue did not answer within 0.1 s. Try again later."
    ]
    assert [row.state for row in status.rows] == ["done", "ready", "ready", "waiting", "waiting"]

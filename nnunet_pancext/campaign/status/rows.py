"""The rows of a campaign's status, from each step's record, lease, job, log and outputs. Read only."""

import time
from collections.abc import Mapping
from pathlib import Path

from nnunet_pancext.campaign.control import is_run_under_way
from nnunet_pancext.campaign.definition import Campaign
from nnunet_pancext.campaign.measured import Measured
from nnunet_pancext.campaign.record import cancel_file, log_file
from nnunet_pancext.campaign.slurm.queue import QueueState, job_log, queue_states, submissions_file
from nnunet_pancext.campaign.state import (
    DONE,
    FAILED,
    READY,
    RUNNING,
    WAITING,
    StepState,
    step_states,
)
from nnunet_pancext.campaign.status.log_tail import last_lines, last_output, last_progress
from nnunet_pancext.campaign.status.summary import QUEUED, TRAIN, Row, Status
from nnunet_pancext.campaign.status.words import (
    done_text,
    ended_text,
    joined,
    queued_text,
    running_text,
    starting_text,
    waiting_text,
)
from nnunet_pancext.errors import PancextError

LOG_LINES = 8  # of a failed step
SLURM_ANSWERS_WITHIN_S = 10.0  # else the rest is shown without it


def read_status(campaign: Campaign, folder: Path) -> Status:
    """Return where the campaign in `folder` is; its environment variables must be set."""
    problems: list[str] = []
    of_steps = step_states(campaign, folder)
    queue = _queue(folder, problems)
    may_be_lost = not problems and submissions_file(folder).is_file()
    rows = []
    states = {
        name: QUEUED if name in queue and of_step.state not in (DONE, RUNNING) else of_step.state
        for name, of_step in of_steps.items()
    }
    for name, of_step in of_steps.items():
        job = job_log(folder, name) if may_be_lost else None
        rows.append(_row(of_step, states, queue.get(name), folder=folder, job_log=job))
    return Status(
        folder=folder,
        rows=rows,
        made_at=time.time(),
        is_run_under_way=is_run_under_way(folder),
        problems=problems,
    )


def _queue(folder: Path, problems: list[str]) -> dict[str, QueueState]:
    try:
        return queue_states(folder, within_s=SLURM_ANSWERS_WITHIN_S)
    except (PancextError, OSError, ValueError) as error:
        problems.append(f"Slurm's queue could not be read: {error}")
        return {}


def _row(
    of_step: StepState,
    states: Mapping[str, str],
    queued: QueueState | None,
    *,
    folder: Path,
    job_log: Path | None,
) -> Row:
    step, record, state = of_step.step, of_step.record, states[of_step.step.name]
    log = log_file(folder, step.name)
    measured, problem = None, ""
    if step.kind == TRAIN or (record.attempts and state != DONE):
        try:
            measured = step.measured(folder)
        except (PancextError, OSError, ValueError) as error:
            problem = str(error)
    alike = ""
    if state == DONE:
        details = done_text(record)
    elif state == RUNNING:
        details = _running(of_step, measured, folder=folder)
    elif state == QUEUED and queued is not None:
        alike = queued_text(queued.state, queued.reason)
        details = f"job {queued.job}, {alike}"
    elif state == WAITING:
        waits = waiting_text(step, states)
        details = alike = joined("its outputs exist, waits", waits, by=" ") if of_step.is_whole else waits
    elif state == READY and not record.attempts:
        if job_log is not None and job_log.is_file():
            details = f"its Slurm job ended before it ran; see {job_log}"
        else:
            details = alike = "can start"
    else:
        is_known = record.last is not None and of_step.note == record.last.message
        details = joined("" if is_known else of_step.note, ended_text(record, measured))
    return Row(
        step=step,
        state=state,
        details=joined(details, problem),
        alike=alike,
        is_whole=of_step.is_whole,
        record=record,
        measured=measured,
        log=last_output(log, LOG_LINES) if state == FAILED else (),
    )


def _running(of_step: StepState, measured: Measured | None, *, folder: Path) -> str:
    step, last = of_step.step, of_step.record.last
    log = log_file(folder, step.name)
    if last is None or last.outcome is not None:
        text = starting_text(of_step.owner, last_lines(log, 1))
    else:
        text = running_text(last, measured, "" if measured else last_progress(log, step.progress()))
    return joined("is being cancelled" if cancel_file(folder, step.name).exists() else "", text)

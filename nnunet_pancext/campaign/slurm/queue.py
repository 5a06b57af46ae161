"""The jobs of a campaign in Slurm's queue, without accounting: from squeue and `submissions.json`."""

import os
import shutil
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.slurm.options import SlurmOptions, from_json, minutes
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json, write_json

FOLDER, FILE = "slurm", "submissions.json"
FORMAT = 1
ANSWERS_WITHIN_S = 120.0
# Formats that a user may have set for squeue and sinfo.
FORMATS = ("SQUEUE_", "SINFO_", "SLURM_TIME_FORMAT", "SLURM_BITSTR_LEN")


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A job of a step: its id, "17" or "17_3" of an array, its name in Slurm, and when it was submitted."""

    job: str
    name: str
    submitted: float


@dataclass(frozen=True, kw_only=True)
class Submissions:
    """`slurm/submissions.json`: the options of the latest run on Slurm, and the latest job of each step."""

    options: SlurmOptions = field(default_factory=SlurmOptions)
    jobs: Mapping[str, Submission] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class QueueState:
    """A job that waits or runs: Slurm's state and reason, e.g. "PENDING" and "Dependency".

    `since`, in seconds since the epoch, is when it started to run or was submitted.
    """

    job: str
    state: str
    reason: str
    node: str
    since: float


def submissions_file(folder: Path) -> Path:
    """Return the file of the jobs; `folder` is the campaign's."""
    return folder / FOLDER / FILE


def read_submissions(folder: Path) -> Submissions | None:
    """Return the jobs that were submitted; None if the campaign was never run on Slurm."""
    path = submissions_file(folder)
    if not path.is_file():
        return None
    remedy = "Remove it, and cancel the campaign's jobs with scancel."
    content = read_json(path, expect=dict, remedy=remedy)
    try:
        jobs = {step: Submission(**job) for step, job in content["jobs"].items()}
        return Submissions(options=from_json(content["options"]), jobs=jobs)
    except (KeyError, TypeError, AttributeError) as error:
        raise PancextError(f"{path} is not a record of jobs ({error}). {remedy}") from error


def write_submissions(folder: Path, submissions: Submissions) -> None:
    """Write the record of the jobs."""
    jobs = {step: asdict(job) for step, job in submissions.jobs.items()}
    content = {"format": FORMAT, "options": submissions.options.as_json(), "jobs": jobs}
    submissions_file(folder).parent.mkdir(exist_ok=True)
    write_json(submissions_file(folder), content)


def queue_states(folder: Path, *, within_s: float = ANSWERS_WITHIN_S) -> dict[str, QueueState]:
    """Return the steps of a campaign that are in the queue; empty if it was never run on Slurm.

    Raises:
        PancextError: it was, and there is no squeue or no answer within so many seconds.
    """
    submissions = read_submissions(folder)
    if submissions is None or not submissions.jobs:
        return {}
    steps = {(job.job, job.name): step for step, job in submissions.jobs.items()}
    question = ("squeue", "--noheader", "--array", "--user", str(os.getuid()), "-o", "%i|%T|%N|%S|%V|%r|%j")
    text = slurm(*question, within_s=within_s)
    found = {}
    for line in text.splitlines():
        job, state, node, started, submitted, reason, name = line.split("|", 6)
        # Slurm's ids restart after a new setup: a job of another name is not ours.
        if step := steps.get((job, name)):
            since = submitted if state == "PENDING" else started
            found[step] = QueueState(job=job, state=state, reason=reason, node=node, since=_seconds(since))
    return found


def cancel_jobs(folder: Path, steps: Collection[str]) -> list[str]:
    """Cancel the jobs of steps that are in the queue, and return the steps that had one."""
    queue = queue_states(folder)
    names = [step for step in queue if step in steps]
    if names:
        slurm("scancel", "--quiet", *(queue[name].job for name in names))
    return names


def job_log(folder: Path, step: str) -> Path | None:
    """Return the log of a step's latest job: errors before its command ran, too. None without a job."""
    submissions = read_submissions(folder)
    if submissions is None or step not in submissions.jobs:
        return None
    return folder / FOLDER / f"{submissions.jobs[step].job}_0_log.err"


def is_running(job: str) -> bool:
    """Whether Slurm lets a job go on; False if it is about to end or requeue it, or does not answer."""
    try:
        return "JobState=RUNNING" in slurm("scontrol", "show", "job", job).split()
    except PancextError:
        return False


def time_limit(partition: str | None) -> int:
    """Return the limit of a partition in minutes, or the least of several separated by commas.

    None is the default partition; without one there is no limit.

    Raises:
        PancextError: there is no such partition.
    """
    rows = [line.split("|") for line in slurm("sinfo", "--all", "--noheader", "-o", "%P|%l").splitlines()]
    limits = {name.rstrip("*"): minutes(limit) for name, limit in rows}
    names = partition.split(",") if partition else [name[:-1] for name, _ in rows if name.endswith("*")][:1]
    unknown = [name for name in names if name not in limits]
    if unknown:
        raise PancextError(f"Slurm has no partition {', '.join(unknown)}. Choose from: {', '.join(limits)}.")
    return min((limits[name] for name in names if limits[name]), default=0)


def slurm(*command: str, within_s: float = ANSWERS_WITHIN_S) -> str:
    """Return what a command of Slurm prints; PancextError with its error if it fails or does not answer."""
    if shutil.which(command[0]) is None:
        raise PancextError(
            f"There is no {command[0]} on the PATH. Run this where Slurm's commands are, on a login node."
        )
    variables = {key: value for key, value in os.environ.items() if not key.startswith(FORMATS)}
    try:
        done = subprocess.run(
            command,
            env=variables,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=within_s,
            check=False,
            start_new_session=True,  # a signal to a job's processes must not end the question
        )
    except subprocess.TimeoutExpired:
        raise PancextError(f"{command[0]} did not answer within {within_s:g} s. Try again later.") from None
    if done.returncode != 0:
        raise PancextError(f"Slurm refuses {command[0]}, or cannot be reached: {error_text(done.stderr)}.")
    return done.stdout


def error_text(stderr: Any) -> str:
    """Return an error of a command of Slurm in one line."""
    lines = [line.strip() for line in str(stderr).splitlines() if line.strip()]
    return "; ".join(lines).rstrip(".") or "it gave no reason"


def _seconds(time: str) -> float:
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:  # N/A
        return 0.0

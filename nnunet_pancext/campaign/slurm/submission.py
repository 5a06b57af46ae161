"""`run --on slurm`: every step that is left becomes a job that waits for the jobs of the steps it needs."""

import contextlib
import io
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.definition import Campaign, open_campaign
from nnunet_pancext.campaign.lease import Lease
from nnunet_pancext.campaign.record import cancel_file
from nnunet_pancext.campaign.slurm.options import SlurmOptions, minutes, time_text
from nnunet_pancext.campaign.slurm.queue import (
    FOLDER,
    QueueState,
    Submission,
    Submissions,
    error_text,
    queue_states,
    read_submissions,
    time_limit,
    write_submissions,
)
from nnunet_pancext.campaign.slurm.task import StepTask
from nnunet_pancext.campaign.state import step_states
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted

INSTALL = 'pip install "nnunet-pancext[slurm]"'
# A training of days under a limit of hours is requeued as often as it takes; submitit gives up after 3.
MOST_TIMEOUTS = 10**9
SETTLES_WITHIN_S = 120.0
# Of a job from within which this is run: its own requests would become those of the new jobs.
OF_A_JOB = ("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_")
OF_THE_SITE = ("SLURM_CONF", "SUBMITIT_PREEMPT_SIGNAL")
Group = tuple[str, bool, tuple[str, ...]]


def run_slurm(
    folder: Path, options: SlurmOptions | None = None, *, steps: Collection[str] | None = None
) -> dict[str, str]:
    """Submit the steps that are not done, not running and not in the queue; return their jobs by step.

    Nothing else needs to run afterwards. Options that are not given are those of the run before.

    Args:
        folder: the campaign's, on a file system that all nodes see under the same path.
        options: what the jobs ask for.
        steps: submit these alone, with those that need them; without it all.

    Raises:
        PancextError: submitit or sbatch is missing, an option is wrong, or Slurm refuses a job. Jobs that
            were submitted before remain in the queue, and the next run submits the others.
    """
    folder = folder.absolute()
    executor = _executor(folder)
    campaign = open_campaign(folder)
    with Lease(folder / FOLDER / "submitting.lease"):
        submissions = read_submissions(folder) or Submissions()
        options = (options or SlurmOptions()).over(submissions.options)
        limit = _limit(options)
        queue = _settled_queue(folder)
        chosen = _left(campaign, folder, queue=queue, steps=steps)
        jobs = {name: state.job for name, state in queue.items()}
        submitted: dict[str, str] = {}
        for step in chosen:
            cancel_file(folder, step.name).unlink(missing_ok=True)
        for (kind, uses_gpu, needed), group in _groups(chosen, jobs):
            parameters = options.parameters(uses_gpu=uses_gpu, time=limit, folder=str(folder))
            name = group[0].name if len(group) == 1 else kind
            if needed:
                parameters["dependency"] = f"afterok:{':'.join(needed)}"
            try:
                new = _submit(executor, folder, group, {**parameters, "job_name": name})
            except PancextError as error:
                done = (
                    f" {counted(len(submitted), 'step')} had been submitted before; run again for the others."
                )
                raise PancextError(f"{group[0].name}: {error}{done if submitted else ''}") from error
            jobs |= new
            submitted |= new
            now = time.time()
            records = {step: Submission(job=job, name=name, submitted=now) for step, job in new.items()}
            submissions = Submissions(options=options, jobs={**submissions.jobs, **records})
            write_submissions(folder, submissions)
    _say(submitted, queue, options=options, limit=limit)
    if campaign.device == "cuda" and not options.gres and any(step.uses_gpu for step in chosen):
        print("Without --gres, such as --gres gpu:1, the jobs request no GPU.")
    return submitted


def _executor(folder: Path) -> Any:
    try:
        from submitit import SlurmExecutor
    except ImportError:
        raise PancextError(f"Running on Slurm needs submitit. Install the extra: {INSTALL}") from None
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise PancextError(
            "sbatch or srun is not on the PATH. Run this on a login node of the cluster, "
            "or on this machine alone with --on local."
        )
    if "%" in str(folder):
        raise PancextError(f"Slurm cannot write logs below {folder}, because of the %. Rename the folder.")
    return SlurmExecutor(folder / FOLDER, max_num_timeout=MOST_TIMEOUTS)


def _limit(options: SlurmOptions) -> int:
    """Return the jobs' time limit in minutes: the one asked for, else the partition's."""
    most = time_limit(options.partition)
    if not options.time:
        return most
    limit = minutes(options.time)
    if most and not 0 < limit <= most:
        raise PancextError(
            f"--time {options.time} exceeds the partition's limit, {time_text(most)}. Give at most that: "
            "a step that takes longer is requeued and resumes."
        )
    return limit


def _settled_queue(folder: Path) -> dict[str, QueueState]:
    """Return the steps in the queue once none of them is about to leave it or to be requeued."""
    last = time.monotonic() + SETTLES_WITHIN_S
    while True:
        queue = queue_states(folder)
        if time.monotonic() > last or all(state.state != "COMPLETING" for state in queue.values()):
            return queue
        time.sleep(1)


def _left(
    campaign: Campaign, folder: Path, *, queue: Mapping[str, QueueState], steps: Collection[str] | None
) -> list[Step]:
    """Return the steps to submit, in order."""
    states = step_states(campaign, folder)
    outside = {name for name, state in states.items() if state.state == "running" and name not in queue}
    waiting = {name for running in outside for name in campaign.dependents(running)}
    if waiting:
        print(
            f"{', '.join(sorted(outside))}: running, but not as a Slurm job. {', '.join(sorted(waiting))}: "
            "not submitted, because it depends on that. Run again when it has ended."
        )
    names = states if steps is None else steps
    below = [name for step in names for name in campaign.dependents(step)]
    return [
        step
        for step in campaign.with_needs([*names, *below])
        if states[step.name].state != "done" and step.name not in queue and step.name not in outside | waiting
    ]


def _groups(steps: list[Step], jobs: Mapping[str, str]) -> Iterator[tuple[Group, list[Step]]]:
    """Yield steps that become one array: of one kind, and waiting for the same jobs.

    `jobs` must have the jobs of a group before the next one is asked for.
    """
    left = list(steps)
    while left:
        names = {step.name for step in left}
        groups: dict[Group, list[Step]] = defaultdict(list)
        for step in left:
            if not names.intersection(step.needs):
                needed = tuple(dict.fromkeys(jobs[need] for need in step.needs if need in jobs))
                groups[step.kind, step.uses_gpu, needed].append(step)
        yield from groups.items()
        found = {step.name for group in groups.values() for step in group}
        left = [step for step in left if step.name not in found]


def _submit(executor: Any, folder: Path, steps: list[Step], parameters: dict[str, Any]) -> dict[str, str]:
    """Submit steps as one job or array, and return their jobs."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    executor.parameters.clear()
    executor.update_parameters(**parameters)
    tasks = [StepTask(folder, step.name) for step in steps]
    with _outside_of_jobs(), contextlib.redirect_stderr(io.StringIO()):
        try:
            jobs = executor.submit_array(tasks)
        except (FailedJobError, FailedSubmissionError) as error:
            raise PancextError(f"Slurm refuses the job: {error_text(error)}.") from error
        except OSError as error:
            raise PancextError(
                f"Cannot write to {folder / FOLDER}: {error.strerror}. Free some space, and run again."
            ) from error
    return {step.name: job.job_id for step, job in zip(steps, jobs, strict=True)}


@contextlib.contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """Hide the variables of the job in which this process runs, if it does."""
    hidden = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith(OF_A_JOB) and name not in OF_THE_SITE
    }
    try:
        yield
    finally:
        os.environ.update(hidden)


def _say(
    submitted: Mapping[str, str], queue: Mapping[str, QueueState], *, options: SlurmOptions, limit: int
) -> None:
    for step, job in submitted.items():
        print(f"{step}: job {job}")
    if queue:
        print(f"{counted(len(queue), 'step')} already in the queue.")
    if not submitted:
        print("Nothing to submit.")
        return
    source = "" if options.time else ", the partition's own"
    print(f"Submitted {counted(len(submitted), 'step')}; time limit of each: {time_text(limit)}{source}.")

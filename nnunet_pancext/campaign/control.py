"""Ending the steps of a campaign from outside, and doing failed ones again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nnunet_pancext.campaign.definition import Campaign, open_campaign
from nnunet_pancext.campaign.local.others import living_runs
from nnunet_pancext.campaign.record import cancel_file, retry_file
from nnunet_pancext.campaign.state import CANCELLED, DONE, FAILED, INTERRUPTED, UNCLEAR, step_states
from nnunet_pancext.errors import PancextError

SUBMISSIONS = Path("slurm", "submissions.json")
AGAIN = (FAILED, INTERRUPTED, CANCELLED)  # may be done again


def cancel(folder: Path, steps: Sequence[str] = ()) -> list[str]:
    """Request the end of running steps, and keep the others from starting; return those that were not done.

    Args:
        folder: the campaign's.
        steps: their names; all if there are none.
    """
    folder = folder.absolute()
    campaign = open_campaign(folder)
    for name in steps:
        campaign.step(name)
    states = step_states(campaign, folder)
    names = [name for name in steps or states if states[name].state != DONE]
    for name in names:
        _touch(cancel_file(folder, name))
    if (folder / SUBMISSIONS).is_file():
        from nnunet_pancext.campaign.slurm.queue import cancel_jobs

        cancel_jobs(folder, names)
    return names


def retry(folder: Path, steps: Sequence[str] = ()) -> list[str]:
    """Make failed, interrupted or cancelled steps ready again for a running `run`; return them.

    Steps that they need are included if they failed, were interrupted or cancelled too.

    Args:
        folder: the campaign's.
        steps: their names; all such steps if there are none.

    Raises:
        PancextError: there is nothing to retry of a step that was named.
    """
    folder = folder.absolute()
    campaign = open_campaign(folder)
    for name in steps:
        campaign.step(name)
    states = step_states(campaign, folder)
    wanted = [step.name for step in campaign.with_needs(steps or states)]
    names = [name for name in wanted if states[name].state in AGAIN]
    for name in steps:
        if any(step.name in names for step in campaign.with_needs([name])):
            continue
        state = states[name]
        if state.state == UNCLEAR:
            raise PancextError(f"{name} is unclear: {state.note}")
        raise PancextError(
            f"{name} is {state.state}: there is nothing to retry. Only steps that failed, were interrupted "
            "or cancelled can be, and those that need them."
        )
    for name in names:
        with _writing(cancel_file(folder, name)):
            cancel_file(folder, name).unlink(missing_ok=True)
        _touch(retry_file(folder, name))
    return names


def forget_requests(folder: Path, campaign: Campaign) -> None:
    """Remove earlier requests of `cancel` and `retry`, for a run that does every step."""
    for step in campaign.steps:
        for path in (cancel_file(folder, step.name), retry_file(folder, step.name)):
            with _writing(path):
                path.unlink(missing_ok=True)


def is_run_under_way(folder: Path) -> bool:
    """Whether a `run` is running, on this machine or another."""
    return bool(living_runs(folder))


def _touch(path: Path) -> None:
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PancextError(
            f"Cannot write {path}: {error.strerror}. Correct the permissions, or remove what is in its place."
        ) from error

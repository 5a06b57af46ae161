"""The state of each step of a campaign, read from its files."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.campaign.changes import changes_text, has_result, outdated_entries
from nnunet_pancext.campaign.definition import Campaign
from nnunet_pancext.campaign.lease import Owner, current_owner
from nnunet_pancext.campaign.record import STATE, Record, cancel_file, lease_file, read_record
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.errors import PancextError

DONE, RUNNING, WAITING, READY = "done", "running", "waiting", "ready"
FAILED, INTERRUPTED, CANCELLED, CHANGED = "failed", "interrupted", "cancelled", "changed"
UNCLEAR = "unclear"  # its files cannot be read


@dataclass(frozen=True, kw_only=True)
class StepState:
    """Where a step is: `state` is one of those above.

    `note` says what a waiting step waits for, what has changed, why it failed, or what cannot be read.
    `owner` is the process that runs it. `is_whole` is for a waiting step: its outputs are there, and are
    judged again once the steps it needs are done.
    """

    step: Step
    state: str
    record: Record
    owner: Owner | None = None
    note: str = ""
    is_whole: bool = False


def step_states(campaign: Campaign, folder: Path) -> dict[str, StepState]:
    """Return the state of each step, in the campaign's order; the environment must be the campaign's."""
    states: dict[str, StepState] = {}
    for step in campaign.steps:
        done, changed = (
            {name for name in step.needs if states[name].state == state} for state in (DONE, CHANGED)
        )
        try:
            states[step.name] = _step_state(step, campaign, folder, done=done, changed=changed)
        except (PancextError, OSError, ValueError) as error:
            states[step.name] = StepState(step=step, state=UNCLEAR, record=Record(), note=str(error))
    return states


def _step_state(
    step: Step, campaign: Campaign, folder: Path, *, done: Collection[str], changed: Collection[str]
) -> StepState:
    """Return where a step is, given the steps that it needs and that are done, and those that have changed.

    A step without an outcome and without a living owner was interrupted: killed with its supervisor.
    """
    try:
        owner = current_owner(lease_file(folder, step.name))
    except OSError as error:
        raise PancextError(
            f"Cannot read the state of step {step.name}: {error.strerror}. Check {folder / STATE}."
        ) from error
    record = read_record(folder, step.name)

    def state(name: str, note: str = "", *, is_whole: bool = False) -> StepState:
        return StepState(step=step, state=name, record=record, note=note, owner=owner, is_whole=is_whole)

    if owner:
        return state(RUNNING)
    # Before the outputs are judged: those of other options may be none of the step's.
    if entries := outdated_entries(step, record, campaign, folder):
        return state(CHANGED, changes_text(entries))
    before = [name for name in step.needs if name in changed]
    if before and has_result(step, folder):
        return state(CHANGED, f"made from {', '.join(before)}")
    try:
        is_whole = step.is_done(folder)
    except (PancextError, OSError) as error:
        return state(FAILED, str(error))
    missing = [name for name in step.needs if name not in done]
    if is_whole and not missing:
        return state(DONE)
    if cancel_file(folder, step.name).exists():
        return state(CANCELLED)
    if missing:
        return state(WAITING, ", ".join(missing), is_whole=is_whole)
    if record.last is None or record.last.outcome == DONE:  # done once, and its outputs are gone
        return state(READY)
    return state(record.last.outcome or INTERRUPTED, record.last.message)

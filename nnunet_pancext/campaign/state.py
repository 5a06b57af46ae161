"""Where each step of a campaign is, as its files tell."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.campaign.changes import changed_entries, changes_text
from nnunet_pancext.campaign.definition import Campaign
from nnunet_pancext.campaign.lease import Owner, current_owner
from nnunet_pancext.campaign.record import STATE, Record, cancel_file, lease_file, read_record
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.errors import PancextError

DONE, RUNNING, WAITING, READY = "done", "running", "waiting", "ready"
FAILED, INTERRUPTED, CANCELLED, CHANGED = "failed", "interrupted", "cancelled", "changed"
STATES = (DONE, RUNNING, WAITING, READY, FAILED, INTERRUPTED, CANCELLED, CHANGED)


@dataclass(frozen=True, kw_only=True)
class StepState:
    """Where a step is: `state` is one of `STATES`.

    `note` says what a waiting step waits for, what has changed, or why it failed; `owner` is the process that
    runs it.
    """

    step: Step
    state: str
    record: Record
    owner: Owner | None = None
    note: str = ""


def step_state(
    step: Step, folder: Path, *, done: Collection[str], changed: Collection[str] = ()
) -> StepState:
    """Return where a step is, given the steps before it that are done, and those that have changed.

    A step without an outcome and without a living owner was interrupted: killed with its supervisor.
    """
    try:
        owner = current_owner(lease_file(folder, step.name))
    except OSError as error:
        raise PancextError(
            f"Cannot read the state of step {step.name}: {error.strerror}. Check {folder / STATE}."
        ) from error
    record = read_record(folder, step.name)

    def state(name: str, note: str = "") -> StepState:
        return StepState(step=step, state=name, record=record, note=note, owner=owner)

    if owner:
        return state(RUNNING)
    try:
        has_result, is_done = step.result(folder).exists(), step.is_done(folder)
    except (PancextError, OSError) as error:
        return state(FAILED, str(error))
    if has_result and (entries := changed_entries(step, record)):
        return state(CHANGED, changes_text(entries))
    if has_result and (before := [name for name in step.needs if name in changed]):
        return state(CHANGED, f"made from {', '.join(before)}")
    if is_done:
        return state(DONE)
    if cancel_file(folder, step.name).exists():
        return state(CANCELLED)
    if missing := [name for name in step.needs if name not in done]:
        return state(WAITING, ", ".join(missing))
    if record.last is None or record.last.outcome == DONE:  # done once, and its outputs are gone
        return state(READY)
    return state(record.last.outcome or INTERRUPTED, record.last.message)


def step_states(campaign: Campaign, folder: Path) -> dict[str, StepState]:
    """Return where each step is, in the campaign's order; the environment must be the campaign's."""
    states: dict[str, StepState] = {}
    done: set[str] = set()
    changed: set[str] = set()
    for step in campaign.steps:
        states[step.name] = state = step_state(step, folder, done=done, changed=changed)
        {DONE: done, CHANGED: changed}.get(state.state, set()).add(step.name)
    return states

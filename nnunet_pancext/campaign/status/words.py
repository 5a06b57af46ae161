"""A step's state in words."""

import time
from collections.abc import Mapping, Sequence

from nnunet_pancext.campaign.lease import Owner
from nnunet_pancext.campaign.measured import Measured
from nnunet_pancext.campaign.record import Attempt, Record
from nnunet_pancext.campaign.state import CANCELLED, CHANGED, DONE, FAILED, INTERRUPTED, UNCLEAR
from nnunet_pancext.campaign.status.log_tail import HEADER
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.io.durations import duration_text, rough_duration
from nnunet_pancext.nnunet_commands.command_output import LAST_LINES, QUOTE

MOST_ATTEMPTS = 4  # that are listed in a line
STUCK = (FAILED, INTERRUPTED, CANCELLED, CHANGED, UNCLEAR)


def moment(seconds: float) -> str:
    """Return a time as 2026-11-27 04:12, in this machine's time zone."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def joined(*parts: str | None, by: str = "; ") -> str:
    """Join the parts that are not empty."""
    texts = [part for part in parts if part]
    return by.join([*(text.removesuffix(".") for text in texts[:-1]), *texts[-1:]])


def hours_text(seconds: float) -> str:
    """Return an estimated duration, of many hours without the minutes."""
    return rough_duration(seconds) if seconds < 36_000 else f"{seconds / 3600:,.0f} h"


def attempt_text(attempt: Attempt) -> str:
    """Return how an attempt ended and after how long."""
    if attempt.seconds is None:
        return attempt.outcome or "not ended"
    return f"{attempt.outcome or 'interrupted'} after {duration_text(attempt.seconds)}"


def place_text(attempt: Attempt) -> str:
    """Return where an attempt ran."""
    job = attempt.job and f"Slurm job {attempt.job}"
    return joined(attempt.host, job, attempt.gpu and f"GPU {attempt.gpu}", by=", ")


def attempts_text(record: Record) -> str:
    """Return how the attempts ended, the last ones of many; empty for fewer than two."""
    number, last = len(record.attempts), record.attempts[-MOST_ATTEMPTS:]
    if number < 2:
        return ""
    recent = ", most recently" if number > len(last) else ""
    return f"{number} attempts{recent}: {', '.join(map(attempt_text, last))}"


def done_text(record: Record) -> str:
    """Return when a step was done and how long it took."""
    last = record.last
    if last is None or last.ended is None or last.seconds is None:
        return "its outputs exist"
    return f"{moment(last.ended)}, took {duration_text(last.seconds)}"


def starting_text(owner: Owner | None, log: Sequence[str]) -> str:
    """Return where a step is about to start, and what it waits for, as the last line of its `log` says."""
    waits = [line.removeprefix(HEADER) for line in log if line.startswith(f"{HEADER}waits for ")]
    return joined(f"starts on {owner.host}" if owner and owner.host else "starts", *waits)


def running_text(attempt: Attempt, measured: Measured | None, progress: str) -> str:
    """Return where an attempt runs, how far it is, and the time to go."""
    to_go = measured.seconds_left if measured else None
    return joined(
        f"since {moment(attempt.started)} on {place_text(attempt)}",
        measured.text if measured else progress,
        f"{hours_text(to_go)} to go" if to_go else "",
    )


def queued_text(state: str, reason: str) -> str:
    """Return a job's state and reason, as Slurm calls them."""
    return joined(state.lower(), f"({reason})" if reason not in ("", "None") else "", by=" ")


def waiting_text(step: Step, states: Mapping[str, str]) -> str:
    """Return the first of the steps that a step waits for, one that is stuck before others."""
    missing = [need for need in step.needs if states.get(need) != DONE]
    missing.sort(key=lambda need: states.get(need) not in STUCK)
    if not missing:
        return ""
    state = states.get(missing[0], "")
    return (
        f"for {missing[0]}"
        + (f" ({state})" if state in STUCK else "")
        + (f" and {len(missing) - 1} more" if missing[1:] else "")
    )


def ended_text(record: Record, measured: Measured | None) -> str:
    """Return when the last attempt ended, how far it came, and why it ended."""
    last = record.last
    if last is None:
        return ""
    if last.ended is None or last.seconds is None:
        when = f"started {moment(last.started)} on {place_text(last)}, its end was not recorded"
    else:
        when = f"{moment(last.ended)}, after {duration_text(last.seconds)}"
    code = last.exit_code or 0
    how = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
    why = message_text(last.message) or (how if code else "")
    return joined(when, measured.text if measured else "", why)


def message_text(message: str) -> str:
    """Return an error in one line, without the lines of the log in it."""
    lines = [line.partition(f" {LAST_LINES}")[0] for line in message.splitlines()]
    return " ".join(line.strip() for line in lines if not line.startswith(QUOTE))

"""`status.html`: the status of a campaign as a page in one file."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.campaign.measured import Measured
from nnunet_pancext.campaign.record import Attempt
from nnunet_pancext.campaign.state import DONE, FAILED, RUNNING
from nnunet_pancext.campaign.status.summary import STATES, Row, Status
from nnunet_pancext.campaign.status.words import attempt_text, hours_text, joined, moment, place_text
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.pages.page import write_page

FILE = "status.html"
TEMPLATE = "campaign/status/status.html"
WIDTH, HEIGHT = 140, 34  # of a curve, pixels
MOST_POINTS = 140


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A training's pseudo Dice by epoch as SVG coordinates, where it ends, and its range in words."""

    points: str
    end: tuple[float, float]
    text: str


def write_status_page(status: Status, *, refresh_s: int | None = None) -> Path | None:
    """Write the page into the campaign's folder, whole or not at all; None where nothing can be written.

    With `refresh_s` a browser loads it again every so many seconds.
    """
    target = status.folder / FILE
    with suppress(OSError):
        write_page(
            target,
            TEMPLATE,
            title=f"Campaign {status.folder.resolve().name}",
            notes=list(status.problems),
            refresh_s=refresh_s,
            status=status,
            moment=moment,
            attempts_of=attempts_of,
            curve_of=curve_of,
            headlines=_headlines(status),
            bar=[(state, status.counts[state]) for state in STATES if state in status.counts],
            width=WIDTH,
            height=HEIGHT,
        )
        return target
    return None


def _headlines(status: Status) -> list[dict[str, str]]:
    """Return the numbers at the top, each with its name and sometimes a detail."""
    counts, left = status.counts, status.trainings_left
    shown = {"steps done": f"{counts.get(DONE, 0)} of {len(status.rows)}"}
    shown |= {state: str(counts[state]) for state in (RUNNING, FAILED) if state in counts}
    if left:
        shown["trainings left"] = str(len(left))
    headlines = [{"name": name, "number": number} for name, number in shown.items()]
    seconds = [known for row in left if (known := status.seconds_left(row)) is not None]
    if seconds:
        unknown = len(left) - len(seconds)
        detail = joined("one after another", f"{unknown} of unknown duration" if unknown else "")
        headlines.append({"name": "training time left", "number": hours_text(sum(seconds)), "detail": detail})
    return headlines


def attempts_of(row: Row) -> list[str]:
    """Return the attempts at a step in words."""
    return [_attempt(attempt) for attempt in row.record.attempts]


def _attempt(attempt: Attempt) -> str:
    restarts = f"requeued {counted(attempt.restarts, 'time')}" if attempt.restarts else ""
    return joined(
        moment(attempt.started), place_text(attempt), attempt_text(attempt), restarts, attempt.message
    )


def curve_of(measured: Measured | None) -> Curve | None:
    """Return the curve of a training over all its epochs, of at most `MOST_POINTS`; None without a value."""
    if measured is None:
        return None
    values = [
        (epoch, min(max(value, 0.0), 1.0))
        for epoch, value in enumerate(measured.pseudo_dice)
        if not math.isnan(value)
    ]
    if not values:
        return None
    last = max(measured.epochs or 0, len(measured.pseudo_dice)) - 1
    points = [_place(epoch, value, last=last) for epoch, value in _thinned(values)]
    scores = [value for _, value in values]
    return Curve(
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
        end=points[-1],
        text=f"pseudo Dice by epoch: {scores[0]:.3f} to {scores[-1]:.3f}, at most {max(scores):.3f}",
    )


def _thinned(values: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    step = math.ceil(len(values) / MOST_POINTS)
    return values[(len(values) - 1) % step :: step]  # with the last one


def _place(epoch: int, value: float, *, last: int) -> tuple[float, float]:
    return 2 + (WIDTH - 6) * epoch / max(last, 1), 2 + (HEIGHT - 4) * (1 - value)

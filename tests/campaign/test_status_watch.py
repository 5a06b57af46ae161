"""Watching a campaign until nothing runs any more."""

import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts.made_campaign import STARTED, MadeStep

from nnunet_pancext.campaign.status import watch as status_watch
from nnunet_pancext.campaign.status.summary import Row, Status
from nnunet_pancext.campaign.status.watch import (
    EVERY_S,
    HOME_AND_CLEAR,
    QUIET_LOOKS,
    Screen,
    ended_by_exception,
    ending,
    watch,
)


def status_of(*states: str) -> Status:
    rows = [Row(step=MadeStep(name=f"s{n}"), state=state, details="") for n, state in enumerate(states)]
    return Status(folder=Path("FOLDER"), rows=rows, made_at=STARTED)


@pytest.mark.parametrize(
    ("looks", "number"),
    [
        ([("done", "done")], 1),
        ([("done", "running"), ("done", "queued"), ("done", "done")], 3),
        ([("done", "ready")] * 9, QUIET_LOOKS),
        ([("failed", "waiting")] * 9, QUIET_LOOKS),
        # It was watched before it was run.
        ([("ready",), ("running",), ("ready",), ("running",), ("done",)], 5),
    ],
)
def test_it_ends_when_all_is_done_or_nothing_has_run_for_a_while(
    looks: list[tuple[str, ...]], number: int
) -> None:
    left: Iterator[Status] = iter([status_of(*states) for states in looks])
    shown: list[Status] = []
    pauses: list[float] = []

    last = watch(lambda: next(left), shown.append, pause=pauses.append)

    assert len(shown) == number
    assert shown[-1] is last
    assert pauses == [EVERY_S] * (number - 1)


def test_the_ending_says_why_and_what_to_do() -> None:
    assert ending(status_of("done", "done")) == "All steps are done."
    assert ending(status_of("done", "failed")) == (
        "Nothing is running, but not all steps are done. Continue with: pancext campaign run FOLDER"
    )


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
def test_under_nohup_a_closed_terminal_does_not_end_it() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_exception():
            signal.raise_signal(signal.SIGHUP)
    finally:
        assert signal.signal(signal.SIGHUP, before) == signal.SIG_IGN


class Terminal(io.StringIO):
    """A terminal of 80 by 5 characters."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def five_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_watch, "get_terminal_size", lambda *_: os.terminal_size((80, 5)))


@pytest.mark.usefixtures("five_lines")
def test_a_terminal_is_redrawn() -> None:
    stream = Terminal()
    screen = Screen(stream)

    screen.show("a\nb")
    screen.show("a\nb")

    assert stream.getvalue() == f"{HOME_AND_CLEAR}a\nb\n" * 2


@pytest.mark.usefixtures("five_lines")
def test_of_a_text_taller_than_the_terminal_the_end_is_shown() -> None:
    stream = Terminal()

    Screen(stream).show("\n".join("abcdefg"))

    assert stream.getvalue() == f"{HOME_AND_CLEAR}… 4 lines above\ne\nf\ng\n"


def test_a_pipe_gets_the_text_again_only_after_a_change() -> None:
    stream = io.StringIO()
    screen = Screen(stream)

    for text in ("a", "a", "b", "b", "a"):
        screen.show(text)

    assert stream.getvalue() == "a\n\nb\n\na\n"


def test_a_pipe_is_as_wide_as_columns_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "93")

    assert Screen(io.StringIO()).width == 93

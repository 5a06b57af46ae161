"""The table on the console."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

import pytest
from contracts.made_campaign import STARTED, MadeStep, attempt

from nnunet_pancext.campaign.measured import Measured
from nnunet_pancext.campaign.record import Record
from nnunet_pancext.campaign.status.summary import Row, Status
from nnunet_pancext.campaign.status.table import LONG, status_table

LONG_NAME = "train-007-SegResNetNLTrainer-nnUNetPlans-3d_fullres-0"


def row(
    name: str, state: str = "ready", details: str = "can start", *, dataset: str = "007", **others: object
) -> Row:
    return Row(step=MadeStep(name=name, dataset=dataset), state=state, details=details, **others)  # type: ignore[arg-type]


def table_of(
    rows: Sequence[Row], *, width: int = 80, folded: bool = True, problems: Sequence[str] = ()
) -> str:
    status = Status(folder=Path("campaign"), rows=rows, made_at=STARTED, problems=problems)
    return status_table(status, width=width, folded=folded)


def test_details_are_beside_the_names_where_there_is_room() -> None:
    rows = [
        row("one", "done", "2026-09-21 14:13, took 1 h 00 min"),
        row("three", "waiting", "for two and some more steps that have very long names"),
        row("of-all", dataset=""),
    ]

    assert table_of(rows, width=66) == dedent(
        """\
        Dataset 007
          done         one     2026-09-21 14:13, took 1 h 00 min
          waiting      three   for two and some more steps that have very
                               long names

        All datasets
          ready        of-all  can start

        1 of 3 steps done; 1 waiting, 1 ready."""
    )


def test_details_are_below_long_names() -> None:
    rows = [row(LONG_NAME, "failed", "exit code 1", log=["line 1", "x" * 100]), row("other")]

    assert table_of(rows, width=80) == dedent(
        f"""\
        Dataset 007
          failed       {LONG_NAME}
                       exit code 1
                       | line 1
                       | {"x" * 62}…
          ready        other
                       can start

        0 of 2 steps done; 1 failed, 1 ready."""
    )


@pytest.mark.parametrize("width", [1, 60, 80, 100, 120, 200])
def test_no_line_exceeds_the_width(width: int) -> None:
    details = " ".join(f"word{number}" for number in range(100))
    rows = [row(LONG_NAME[:40], "failed", details, log=["y" * 500] * 2), row("other", "waiting", details)]

    lines = table_of(rows, width=width, problems=[details]).splitlines()

    assert max(map(len, lines)) <= max(width, 60)


def test_a_long_name_is_whole() -> None:
    name = "n" * 150

    assert name in table_of([row(name)], width=80)


def test_text_of_unknown_origin_is_safe_to_print() -> None:
    text = table_of([row("one", "failed", "a\x1b[2Jb", log=["\x07"])], problems=["c\x1bd"])

    assert "\x1b" not in text
    assert "\x07" not in text


def many_rows(state: str, **others: object) -> list[Row]:
    return [row(f"{state}-{number}", state, f"details {number}", **others) for number in range(LONG + 1)]


def test_in_a_long_campaign_done_steps_of_a_kind_share_a_line() -> None:
    record = Record(attempts=(attempt("done", hours=1),))
    rows = [row("first", "running", "at work"), *many_rows("done", record=record)]

    lines = table_of(rows).splitlines()

    assert lines[1] == "  running      first          at work"
    assert lines[2].startswith("  done         25 made steps  last 20")
    assert lines[2].endswith("; 25 h together")
    assert len(lines) == 5
    assert len(table_of(rows, folded=False).splitlines()) == 29


def test_steps_that_wait_for_the_same_share_a_line_in_place_of_the_first() -> None:
    waiting = many_rows("waiting", alike="for x")
    rows = [row("a"), *waiting[:2], row("b"), *waiting[2:], row("c", "waiting", "for y", alike="for y")]

    lines = table_of(rows).splitlines()

    assert [line.split()[1] for line in lines[1:5]] == ["a", "25", "b", "c"]
    assert lines[2] == "  waiting      25 made steps  for x"


@pytest.mark.parametrize("state", ["failed", "running", "interrupted", "cancelled", "changed", "unclear"])
def test_steps_that_a_user_must_look_at_have_lines_of_their_own(state: str) -> None:
    assert len(table_of(many_rows(state)).splitlines()) == LONG + 4


def test_in_a_short_campaign_each_step_has_a_line() -> None:
    assert len(table_of(many_rows("done")[:LONG]).splitlines()) == LONG + 3


def test_attempts_are_told_after_the_details() -> None:
    record = Record(attempts=(attempt("failed"), attempt("done", hours=2)))

    text = table_of([row("one", "done", "took 2 h", record=record)], width=150)

    assert "took 2 h; 2 attempts: failed after 1 h 00 min, done after 2 h 00 min" in text


def test_the_dice_of_trainings_is_explained() -> None:
    measured = Measured(text="epoch 1", pseudo_dice=[0.5])

    assert "Pseudo Dice: on nnU-Net's validation patches" in table_of([row("one", measured=measured)])
    assert "Pseudo Dice" not in table_of([row("one")])

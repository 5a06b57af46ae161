"""What the status says of each step."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
from contracts.made_campaign import (
    HOUR,
    PREPROCESS,
    TRAIN_0,
    TRAIN_1,
    MadeStep,
    attempt,
    made_campaign,
    record_attempts,
    training_of,
    write_log,
    write_training_log,
)

from nnunet_pancext.campaign.definition import Campaign
from nnunet_pancext.campaign.lease import Lease
from nnunet_pancext.campaign.measured import Measured
from nnunet_pancext.campaign.record import cancel_file, lease_file, runs_folder, state_file
from nnunet_pancext.campaign.status.rows import read_status
from nnunet_pancext.campaign.status.summary import Row
from nnunet_pancext.campaign.step import Progress


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tell times in UTC: `STARTED` is 2026-09-21 14:13:20."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def row_of(campaign: Campaign, folder: Path, number: int) -> Row:
    return read_status(campaign, folder).rows[number]


def test_steps_that_nothing_happened_to_are_ready_or_wait(tmp_path: Path, campaign: Campaign) -> None:
    rows = read_status(campaign, tmp_path).rows

    assert [(row.state, row.details) for row in rows] == [
        ("done", "2026-09-21 14:43, took 30 min 00 s"),
        ("ready", "can start"),
        ("ready", "can start"),
        ("waiting", "for train-007-A-nnUNetPlans-3d_fullres-0 and 1 more"),
        ("waiting", "for best-007-A"),
    ]


@pytest.mark.parametrize(
    ("outcome", "others", "details"),
    [
        ("done", {}, "2026-09-21 15:13, took 1 h 00 min"),
        ("failed", {}, "2026-09-21 15:13, after 1 h 00 min; exit code 1"),
        ("failed", {"message": "Killed by 9."}, "2026-09-21 15:13, after 1 h 00 min; Killed by 9."),
        (
            "failed",
            {"message": "train failed. Its last lines (all in X):\n  | a\n  | b\nUse less memory."},
            "2026-09-21 15:13, after 1 h 00 min; train failed. Use less memory.",
        ),
        ("interrupted", {}, "2026-09-21 15:13, after 1 h 00 min"),
        ("cancelled", {}, "2026-09-21 15:13, after 1 h 00 min"),
    ],
)  # fmt: skip
def test_an_ended_step_tells_when_and_why(
    tmp_path: Path, campaign: Campaign, outcome: str, others: dict[str, object], details: str
) -> None:
    record_attempts(tmp_path, campaign.steps[TRAIN_0], attempt(outcome, **others))

    row = row_of(campaign, tmp_path, TRAIN_0)

    assert (row.state, row.details) == (outcome, details)


def test_a_killed_step_has_no_end(tmp_path: Path, campaign: Campaign) -> None:
    record_attempts(tmp_path, campaign.steps[TRAIN_0], attempt(None))

    row = row_of(campaign, tmp_path, TRAIN_0)

    assert (row.state, row.details) == (
        "interrupted",
        "started 2026-09-21 14:13 on node1, its end was not recorded",
    )


def test_outputs_that_the_campaign_did_not_make_are_done(tmp_path: Path, campaign: Campaign) -> None:
    state_file(tmp_path, campaign.steps[PREPROCESS].name).unlink()

    row = row_of(campaign, tmp_path, PREPROCESS)

    assert (row.state, row.details) == ("done", "its outputs exist")


@pytest.mark.parametrize(
    ("others", "place"),
    [
        ({}, "node1"),
        ({"gpu": "2"}, "node1, GPU 2"),
        ({"job": "4711", "place": "slurm", "gpu": "0"}, "node1, Slurm job 4711, GPU 0"),
    ],
)
def test_a_running_training_tells_where_it_is(
    tmp_path: Path, campaign: Campaign, others: dict[str, object], place: str
) -> None:
    step = training_of(campaign, TRAIN_0)
    record_attempts(tmp_path, step, attempt(None, **others))
    write_training_log(step.fold_folder(tmp_path), epochs=10, planned=1000, seconds=60.0, dice=0.0)

    with Lease(lease_file(tmp_path, step.name)):
        row = row_of(campaign, tmp_path, TRAIN_0)

    assert row.state == "running"
    assert row.details == (
        f"since 2026-09-21 14:13 on {place}; epoch 10 of 1000, pseudo Dice 0.000; 16 h to go"
    )


def test_outputs_that_are_there_before_those_they_need_wait(tmp_path: Path, campaign: Campaign) -> None:
    preprocess, training = campaign.steps[PREPROCESS], campaign.steps[TRAIN_0]
    record_attempts(tmp_path, training, attempt("done"))
    preprocess.result(tmp_path).unlink()

    status = read_status(campaign, tmp_path)

    assert status.rows[TRAIN_0].state == "waiting"
    assert status.rows[TRAIN_0].details == f"its outputs exist, waits for {preprocess.name}"
    assert [row.step.name for row in status.trainings_left] == [campaign.steps[TRAIN_1].name]


def test_a_step_whose_lease_is_just_taken_starts(tmp_path: Path, campaign: Campaign) -> None:
    step = campaign.steps[TRAIN_0]
    record_attempts(tmp_path, step, attempt("failed"))

    with Lease(lease_file(tmp_path, step.name)):
        row = row_of(campaign, tmp_path, TRAIN_0)

    assert row.details.startswith("starts on ")


def test_a_step_that_waits_for_a_folder_says_so(tmp_path: Path, campaign: Campaign) -> None:
    step = campaign.steps[TRAIN_0]
    write_log(tmp_path, step, "an earlier attempt\n=== waits for fold_0: it is held by node2\n")

    with Lease(lease_file(tmp_path, step.name)):
        row = row_of(campaign, tmp_path, TRAIN_0)

    assert row.details.endswith("; waits for fold_0: it is held by node2")


def test_a_running_step_that_shall_end_is_being_cancelled(tmp_path: Path, campaign: Campaign) -> None:
    step = campaign.steps[TRAIN_0]
    cancel_file(tmp_path, step.name).touch()

    with Lease(lease_file(tmp_path, step.name)):
        row = row_of(campaign, tmp_path, TRAIN_0)

    assert (row.state, row.details.partition(";")[0]) == ("running", "is being cancelled")


@dataclass(frozen=True, kw_only=True)
class Printing(MadeStep):
    """A step that only its log tells of."""

    kind: ClassVar[str] = "printing"

    def progress(self) -> Progress | None:
        return lambda line: line if line.startswith("case") else None


def test_without_a_measure_the_latest_progress_of_the_log_is_shown(tmp_path: Path) -> None:
    step = Printing(name="print")
    campaign = replace(made_campaign(tmp_path), steps=(step,))
    record_attempts(tmp_path, step, attempt(None))
    write_log(tmp_path, step, "case 1 of 9\ncase 2 of 9\nwarning\n")

    with Lease(lease_file(tmp_path, step.name)):
        row = row_of(campaign, tmp_path, 0)

    assert row.details == "since 2026-09-21 14:13 on node1; case 2 of 9"


def test_a_failed_step_shows_the_end_of_its_log(tmp_path: Path, campaign: Campaign) -> None:
    step = campaign.steps[TRAIN_0]
    record_attempts(tmp_path, step, attempt("failed"))
    write_log(tmp_path, step, "".join(f"line {number}\n" for number in range(20)))

    assert row_of(campaign, tmp_path, TRAIN_0).log == [f"line {number}" for number in range(12, 20)]
    assert row_of(campaign, tmp_path, TRAIN_1).log == ()


def test_what_waits_names_the_step_that_holds_it_up(tmp_path: Path, campaign: Campaign) -> None:
    record_attempts(tmp_path, campaign.steps[TRAIN_1], attempt("failed"))

    details = row_of(campaign, tmp_path, 3).details

    assert details == "for train-007-A-nnUNetPlans-3d_fullres-1 (failed) and 1 more"


def test_all_attempts_are_told(tmp_path: Path, campaign: Campaign) -> None:
    step = campaign.steps[TRAIN_0]
    attempts = [
        attempt("interrupted", hours=0.25),
        attempt("failed", hours=1),
        attempt("done", hours=2, after=5),
    ]
    record_attempts(tmp_path, step, *attempts)

    row = row_of(campaign, tmp_path, TRAIN_0)

    assert row.details == "2026-09-21 21:13, took 2 h 00 min"
    assert row.attempts == (
        "3 attempts: interrupted after 15 min 00 s, failed after 1 h 00 min, done after 2 h 00 min"
    )


def test_of_many_attempts_the_last_ones_are_told(tmp_path: Path, campaign: Campaign) -> None:
    step = campaign.steps[TRAIN_0]
    record_attempts(tmp_path, step, *[attempt("interrupted", hours=0.01)] * 9, attempt(None))

    assert row_of(campaign, tmp_path, TRAIN_0).attempts == (
        "10 attempts, most recently: " + 3 * "interrupted after 36.0 s, " + "not ended"
    )


def test_a_step_with_other_options_than_it_was_made_with_has_changed(
    tmp_path: Path, campaign: Campaign
) -> None:
    steps = list(campaign.steps)
    record_attempts(tmp_path, steps[TRAIN_0], attempt("done"))
    steps[TRAIN_0] = replace(training_of(campaign, TRAIN_0), plans="Other")

    row = row_of(replace(campaign, steps=tuple(steps)), tmp_path, TRAIN_0)

    assert row.state == "changed"
    assert row.details.startswith('plans "nnUNetPlans" -> "Other"; 2026-09-21 15:13')


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is not JSON"),
        ('{"attempts": [', "is not JSON"),
        ("[]", "is not an object"),
        ('{"attempts": [{"host": "a"}], "options": null, "versions": {}}', "is not a step's record"),
        ("\x00\x01", "is not JSON"),
    ],
)
def test_a_broken_record_spoils_its_own_row_alone(
    tmp_path: Path, campaign: Campaign, content: str, problem: str
) -> None:
    path = state_file(tmp_path, campaign.steps[TRAIN_0].name)
    path.write_text(content, encoding="utf-8")

    rows = read_status(campaign, tmp_path).rows

    assert [row.state for row in rows] == ["done", "unclear", "ready", "waiting", "waiting"]
    assert str(path) in rows[TRAIN_0].details
    assert problem in rows[TRAIN_0].details


def test_a_record_that_is_a_folder_spoils_its_own_row_alone(tmp_path: Path, campaign: Campaign) -> None:
    lease_file(tmp_path, campaign.steps[TRAIN_0].name).mkdir()

    rows = read_status(campaign, tmp_path).rows

    assert [row.state for row in rows] == ["done", "unclear", "ready", "waiting", "waiting"]


@dataclass(frozen=True, kw_only=True)
class Unmeasurable(MadeStep):
    """A step whose files cannot be read."""

    kind: ClassVar[str] = "unmeasurable"

    def measured(self, folder: Path) -> Measured | None:
        raise PermissionError(13, "Permission denied", "fold_0")


def test_what_cannot_be_measured_says_why(tmp_path: Path) -> None:
    step = Unmeasurable(name="hidden")
    record_attempts(tmp_path, step, attempt("interrupted"))

    row = row_of(replace(made_campaign(tmp_path), steps=(step,)), tmp_path, 0)

    assert (row.state, row.details.rpartition("; ")[2]) == (
        "interrupted",
        "[Errno 13] Permission denied: 'fold_0'",
    )


def test_between_two_steps_of_a_run_the_campaign_is_active(tmp_path: Path, campaign: Campaign) -> None:
    with Lease(runs_folder(tmp_path) / "node1-17.lease"):
        assert read_status(campaign, tmp_path).is_active
    assert not read_status(campaign, tmp_path).is_active


def test_nothing_is_written(tmp_path: Path, campaign: Campaign) -> None:
    record_attempts(tmp_path, campaign.steps[TRAIN_0], attempt("failed", hours=HOUR))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    read_status(campaign, tmp_path)

    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before

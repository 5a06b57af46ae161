"""What the status says of a campaign as a whole."""

from dataclasses import replace
from pathlib import Path

from contracts.made_campaign import (
    STARTED,
    TRAIN_0,
    TRAIN_1,
    MadeStep,
    attempt,
    made_campaign,
    record_attempts,
    training_of,
    write_training_log,
)

from nnunet_pancext.campaign.definition import Campaign
from nnunet_pancext.campaign.status.rows import read_status
from nnunet_pancext.campaign.status.summary import Row, Status


def test_the_summary_counts_states_and_adds_up_the_time_to_go(tmp_path: Path, campaign: Campaign) -> None:
    """One training is half through its 10 h, the other one will take as long as it."""
    step = training_of(campaign, TRAIN_0)
    record_attempts(tmp_path, step, attempt("interrupted"))
    write_training_log(step.fold_folder(tmp_path), epochs=500, planned=1000, seconds=36.0)

    status = read_status(campaign, tmp_path)

    assert status.counts == {"done": 1, "ready": 1, "waiting": 2, "interrupted": 1}
    assert status.summary() == [
        "1 of 5 steps done; 1 interrupted, 2 waiting, 1 ready.",
        "2 of 2 trainings left: 15 h of epochs one after another.",
    ]
    assert not status.is_done
    assert not status.is_active


def test_trainings_of_unknown_duration_are_counted(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, trainers=("A", "B"))
    step = training_of(campaign, TRAIN_0)
    record_attempts(tmp_path, step, attempt("done"))
    write_training_log(step.fold_folder(tmp_path), epochs=100, planned=100, seconds=36.0)

    assert read_status(campaign, tmp_path).summary()[1] == (
        "3 of 4 trainings left: 1 h 00 min of epochs one after another, and 2 trainings of unknown duration."
    )


def test_a_changed_training_is_counted_from_its_start(tmp_path: Path, campaign: Campaign) -> None:
    step = training_of(campaign, TRAIN_0)
    write_training_log(step.fold_folder(tmp_path), epochs=100, planned=100, seconds=36.0)
    for number in (TRAIN_0, TRAIN_1):
        record_attempts(tmp_path, campaign.steps[number], attempt("done"))
    record_attempts(tmp_path, replace(step, plans="Other"), attempt("done"))

    status = read_status(campaign, tmp_path)

    assert status.rows[TRAIN_0].state == "changed"
    assert status.summary()[1] == "1 of 2 trainings left: 1 h 00 min of epochs one after another."


def test_without_any_measure_the_duration_is_unknown(tmp_path: Path, campaign: Campaign) -> None:
    assert read_status(campaign, tmp_path).summary()[1] == "2 of 2 trainings left, of unknown duration."


def test_a_campaign_that_is_done_says_so(tmp_path: Path, campaign: Campaign) -> None:
    for step in campaign.steps:
        record_attempts(tmp_path, step, attempt("done"))

    status = read_status(campaign, tmp_path)

    assert status.is_done
    assert status.summary() == ["5 of 5 steps done."]


def test_rows_are_grouped_by_dataset(tmp_path: Path) -> None:
    steps = (
        *(MadeStep(name=f"s{i}", dataset=name) for i, name in enumerate(["7", "Dataset8_X", "", "7"])),
        MadeStep(name="scores of 7", needs=("s0", "s3")),
        MadeStep(name="summary of 7", needs=("scores of 7",)),
        MadeStep(name="all scores", needs=("s0", "s1")),
    )

    status = Status(
        folder=tmp_path, rows=[Row(step=step, state="ready", details="") for step in steps], made_at=STARTED
    )

    assert {heading: [row.step.name for row in rows] for heading, rows in status.by_dataset.items()} == {
        "Dataset 7": ["s0", "s3", "scores of 7", "summary of 7"],
        "Dataset8_X": ["s1"],
        "All datasets": ["s2", "all scores"],
    }

"""What must be done again when campaign.toml has changed, and where the steps are then."""

from dataclasses import replace
from pathlib import Path

import pytest
from contracts.script_step import ScriptStep, make_campaign

from nnunet_pancext.campaign.changes import (
    changed_entries,
    describe_changes,
    find_changes,
    redo,
    version_remarks,
)
from nnunet_pancext.campaign.definition import Campaign
from nnunet_pancext.campaign.lease import Held, Lease
from nnunet_pancext.campaign.record import (
    Attempt,
    Record,
    cancel_file,
    folder_lease_file,
    lease_file,
    read_record,
    write_record,
)
from nnunet_pancext.campaign.state import step_states

A = ScriptStep(name="a", words=("1",))
B = ScriptStep(name="b", needs=("a",))
C = ScriptStep(name="c", needs=("b",))
D = ScriptStep(name="d")


@pytest.fixture
def done(folder: Path) -> Path:
    """A campaign of which everything was done."""
    make_campaign(folder, [A, B, C, D])
    for step in (A, B, C, D):
        step.result(folder).write_text("x", encoding="utf-8")
        write_record(folder, step.name, Record(options=step.options(), versions={"torch": "1.0"}))
    return folder


def states(campaign: Campaign, folder: Path) -> dict[str, str]:
    return {name: state.state for name, state in step_states(campaign, folder).items()}


def with_words(folder: Path, *words: str) -> Campaign:
    return make_campaign(folder, [replace(A, words=words), B, C, D])


def test_nothing_has_changed_where_options_are_the_same(done: Path):
    campaign = make_campaign(done, [A, B, C, D])
    assert find_changes(campaign, done) == []
    assert states(campaign, done) == dict.fromkeys("abcd", "done")


def test_a_changed_step_is_named_with_its_entries_and_what_was_made_from_it(done: Path):
    campaign = with_words(done, "1", "2")
    C.result(done).unlink()
    text = describe_changes(find_changes(campaign, done))
    assert text == (
        "campaign.toml has changed since 1 step began:\n"
        '  a: words ["1"] -> ["1", "2"]\n'
        "      and what was made from it: b"
    )
    assert states(campaign, done) == {"a": "changed", "b": "changed", "c": "waiting", "d": "done"}


def test_a_step_that_was_removed_from_the_file_is_ignored(done: Path):
    assert find_changes(make_campaign(done, [A, B, D]), done) == []


def test_a_step_that_has_left_nothing_is_not_done_again(done: Path):
    campaign = with_words(done, "2")
    for step in (A, B, C):
        step.result(done).unlink()
    assert find_changes(campaign, done) == []
    assert states(campaign, done) == {"a": "ready", "b": "waiting", "c": "waiting", "d": "done"}


@pytest.mark.parametrize(
    ("recorded", "changed"),
    [
        (None, {}),
        ({"words": ["1"], "code": A.code, "writes": ""}, {}),
        ({"words": ["1"]}, {}),  # entries that came with a later version had their defaults
        ({}, {"words": ([], ["1"])}),
        ({"words": ["1"], "of an earlier version": 3}, {}),
        ({"words": ["1"], "writes": "x"}, {"writes": ("x", "")}),
    ],
)
def test_entries_that_a_record_does_not_know_had_their_defaults(recorded, changed):
    assert changed_entries(A, Record(options=recorded)) == changed


def test_redo_sets_aside_what_was_changed_and_all_that_was_made_from_it(done: Path):
    campaign = with_words(done, "2")
    assert redo(campaign, done, find_changes(campaign, done)) == ["a", "b", "c"]
    assert [path.name for path in sorted(done.glob("*.out"))] == [
        *("d.out", "former-1-a.out", "former-1-b.out", "former-1-c.out")
    ]
    assert read_record(done, "a").options is None
    assert find_changes(campaign, done) == []
    assert states(campaign, done)["a"] == "ready"


@pytest.mark.parametrize("held", ["step", "folder"])
def test_nothing_is_set_aside_under_a_process_that_writes_it(done: Path, held: str):
    steps = [replace(A, words=("2",), writes="fold"), B, C, D]
    campaign = make_campaign(done, steps)
    path = lease_file(done, "a") if held == "step" else folder_lease_file(done / "fold")
    with Lease(path), pytest.raises(Held, match="is held by process"):
        redo(campaign, done, find_changes(campaign, done))
    assert A.result(done).is_file()


def test_other_versions_are_remarked_and_nothing_more(done: Path):
    campaign = make_campaign(done, [A, B, C, D])
    (remark,) = version_remarks(campaign, done)
    assert remark.startswith("torch was 1.0 for 4 steps, and is ")
    assert remark.endswith(" now; the results are kept.")


def test_another_seed_is_remarked(done: Path):
    versions = {"PANCEXT_SEED": "unset"}
    for name in "abcd":
        write_record(done, name, replace(read_record(done, name), versions=versions if name == "a" else {}))
    remarks = version_remarks(make_campaign(done, [A], seed=2), done)
    assert remarks == ["PANCEXT_SEED was unset for a, and is 2 now; the results are kept."]
    assert version_remarks(make_campaign(done, [A]), done) == []


RUN = Attempt(place="local", host="here", pid=3, started=1.0)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (None, "ready"),
        (replace(RUN, outcome="failed", message="why"), "failed"),
        (replace(RUN, outcome="interrupted"), "interrupted"),
        (replace(RUN, outcome="cancelled"), "cancelled"),
        (replace(RUN, outcome=None), "interrupted"),  # killed with its supervisor
        (replace(RUN, outcome="done"), "ready"),  # its outputs were removed since
    ],
)
def test_a_step_that_is_not_done_is_where_its_last_attempt_left_it(folder: Path, last, expected: str):
    campaign = make_campaign(folder, [D])
    if last:
        write_record(folder, "d", Record(attempts=(RUN, last)))
    state = step_states(campaign, folder)["d"]
    assert state.state == expected
    assert state.note == (last.message if last else "")


def test_a_step_with_a_living_owner_runs_and_one_without_its_needs_waits(folder: Path):
    campaign = make_campaign(folder, [A, B, D])
    cancel_file(folder, "d").parent.mkdir()
    cancel_file(folder, "d").touch()
    with Lease(lease_file(folder, "a")):
        found = step_states(campaign, folder)
    assert {name: state.state for name, state in found.items()} == {
        "a": "running",
        "b": "waiting",
        "d": "cancelled",
    }
    assert found["a"].owner is not None
    assert found["b"].note == "a"

"""What must be done again when campaign.toml has changed, and where the steps are then."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from contracts.made_campaign import record_begun
from contracts.script_step import ScriptStep, make_campaign

from nnunet_pancext.campaign.changes import (
    changed_entries,
    describe_changes,
    find_changes,
    place_of,
    recorded_options,
    redo,
    version_remarks,
)
from nnunet_pancext.campaign.definition import Campaign
from nnunet_pancext.campaign.lease import Held, Lease
from nnunet_pancext.campaign.record import (
    Attempt,
    Begun,
    Record,
    cancel_file,
    folder_lease_file,
    lease_file,
    read_record,
    write_record,
)
from nnunet_pancext.campaign.state import step_states
from nnunet_pancext.errors import PancextError

A = ScriptStep(name="a", words=("1",))
B = ScriptStep(name="b", needs=("a",))
C = ScriptStep(name="c", needs=("b",))
D = ScriptStep(name="d")


@dataclass(frozen=True, kw_only=True)
class Training(ScriptStep):
    """A step whose result is in nnUNet_results, which may be moved, and depends on the seed."""

    results: ClassVar[str] = "nnUNet_results"

    def result(self, folder: Path) -> Path:
        return folder / self.results / f"{self.name}.out"

    def depends_on(self, campaign: Campaign) -> dict[str, Any]:
        return {"seed": campaign.seed, "nnUNet_results": campaign.folders["nnUNet_results"]}


@dataclass(frozen=True, kw_only=True)
class OfTrainer(ScriptStep):
    """A step whose result is at a place that an entry names."""

    trainer: str = "first"

    def result(self, folder: Path) -> Path:
        return folder / "nnUNet_results" / f"{self.trainer}.out"


@dataclass(frozen=True, kw_only=True)
class Refusing(ScriptStep):
    """A step that says of its outputs what is wrong with them."""

    problem: type[Exception] = PancextError

    def options(self) -> dict[str, Any]:
        return {"words": self.words}

    def is_done(self, folder: Path) -> bool:
        raise self.problem("cut with other options")


@pytest.fixture
def done(folder: Path) -> Path:
    """A campaign of which everything was done."""
    make_campaign(folder, [A, B, C, D])
    for step in (A, B, C, D):
        step.result(folder).write_text("x", encoding="utf-8")
        write_record(folder, step.name, record_begun(step, folder, versions={"torch": "1.0"}))
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
        "      and steps that depend on it: b"
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
        ({"words": ["1"], "code": A.code, "writes": ""}, {}),
        ({"words": ["1"]}, {}),  # entries that came with a later version had their defaults
        ({}, {"words": ([], ["1"])}),
        ({"words": ["1"], "of an earlier version": 3}, {}),
        ({"words": ["1"], "writes": "x"}, {"writes": ("x", "")}),
    ],
)
def test_entries_that_a_record_does_not_know_had_their_defaults(folder: Path, recorded, changed):
    assert changed_entries(A, recorded, make_campaign(folder, [A])) == changed


def test_redo_sets_aside_what_was_changed_and_all_that_was_made_from_it(done: Path):
    campaign = with_words(done, "2")
    assert redo(campaign, done, find_changes(campaign, done)) == ["a", "b", "c"]
    assert [path.name for path in sorted(done.glob("*.out"))] == [
        *("d.out", "former-1-a.out", "former-1-b.out", "former-1-c.out")
    ]
    assert list(read_record(done, "a").begun.values()) == [
        Begun(options=recorded_options(campaign.step("a"), campaign), versions={})
    ]
    assert find_changes(campaign, done) == []
    assert states(campaign, done)["a"] == "ready"


def run_as(folder: Path, trainer: str, *, finishes: bool = True) -> Campaign:
    """Plan a step with this trainer and what is made from it; run the step."""
    step = OfTrainer(name="t", trainer=trainer)
    campaign = make_campaign(folder, [step, replace(A, needs=("t",))])
    if finishes:
        step.result(folder).parent.mkdir(exist_ok=True)
        step.result(folder).touch()
    record = read_record(folder, "t")
    begun = Begun(options=recorded_options(step, campaign), versions={})
    write_record(folder, "t", record.with_begun(place_of(step, campaign, folder), begun))
    return campaign


def test_another_trainer_whose_output_is_elsewhere_is_a_change(folder: Path):
    run_as(folder, "first")
    (folder / "a.out").touch()
    other = make_campaign(folder, [OfTrainer(name="t", trainer="second"), replace(A, needs=("t",))])
    (change,) = find_changes(other, folder)
    assert (change.step, change.entries, change.dependents) == ("t", {"trainer": ("first", "second")}, ("a",))
    assert states(other, folder)["t"] == "changed"
    assert redo(other, folder, [change]) == ["t", "a"]
    assert find_changes(other, folder) == []
    assert (folder / "nnUNet_results" / "first.out").exists()
    assert not (folder / "a.out").exists()


def test_changing_a_trainer_back_accepts_what_it_had_made(folder: Path):
    first = run_as(folder, "first")
    second = run_as(folder, "second")
    for campaign in (first, second):
        assert find_changes(campaign, folder) == []
        assert states(campaign, folder)["t"] == "done"


def test_of_several_former_trainers_one_whose_output_is_there_counts(folder: Path):
    run_as(folder, "first")
    run_as(folder, "second")
    (folder / "nnUNet_results" / "second.out").unlink()
    third = make_campaign(folder, [OfTrainer(name="t", trainer="third")])
    (change,) = find_changes(third, folder)
    assert change.entries == {"trainer": ("first", "third")}


def test_what_another_trainer_made_with_other_entries_is_a_change(folder: Path):
    run_as(folder, "first")
    run_as(folder, "second")
    back = make_campaign(folder, [OfTrainer(name="t", trainer="first", words=("new",))])
    (change,) = find_changes(back, folder)
    assert change.entries == {"words": ([], ["new"])}


def test_a_trainer_that_has_made_nothing_may_be_replaced(folder: Path):
    run_as(folder, "misspelt", finishes=False)
    campaign = make_campaign(folder, [OfTrainer(name="t", trainer="first")])
    assert find_changes(campaign, folder) == []
    assert states(campaign, folder)["t"] == "ready"


def trained(folder: Path, **changes: Any) -> Campaign:
    """Return a campaign with two trainings that were done with seed 1, and a comparison of them."""
    trainings = [Training(name="t"), Training(name="u")]
    compared = replace(A, needs=("t", "u"))
    former = make_campaign(folder, [*trainings, compared], seed=1)
    for step in former.steps:
        step.result(folder).parent.mkdir(exist_ok=True)
        step.result(folder).touch()
        write_record(folder, step.name, record_begun(step, folder, options=recorded_options(step, former)))
    return replace(former, **changes)


def test_a_changed_seed_is_a_change_of_what_depends_on_it(folder: Path):
    campaign = trained(folder, seed=2)
    changes = find_changes(campaign, folder)
    assert describe_changes(changes) == (
        "campaign.toml has changed since 2 steps began:\n"
        "  t,\n"
        "  u: seed 1 -> 2\n"
        "      and steps that depend on them: a"
    )
    assert states(campaign, folder) == dict.fromkeys("tua", "changed")
    assert redo(campaign, folder, changes) == ["t", "u", "a"]
    assert states(campaign, folder) == {"t": "ready", "u": "ready", "a": "waiting"}


def test_a_folder_may_be_moved_with_what_is_in_it(folder: Path, monkeypatch):
    moved = {name: f"/moved/{name}" for name in ("nnUNet_raw", "nnUNet_preprocessed")}
    moved["nnUNet_results"] = str(folder / "moved")
    campaign = trained(folder, folders=moved)
    (folder / "nnUNet_results").rename(folder / "moved")
    monkeypatch.setattr(Training, "results", "moved")
    assert find_changes(campaign, folder) == []
    (folder / "moved" / "u.out").unlink()  # it has been left behind
    (change,) = find_changes(campaign, folder)
    assert (change.step, change.dependents) == ("u", ("a",))
    assert change.entries == {"nnUNet_results": (str(folder / "nnUNet_results"), str(folder / "moved"))}
    assert states(campaign, folder) == {"t": "done", "u": "changed", "a": "changed"}


def test_a_record_of_an_older_version_does_not_know_the_seed(folder: Path):
    campaign = trained(folder, seed=2)
    for step in campaign.steps:
        write_record(folder, step.name, record_begun(step, folder))
    assert find_changes(campaign, folder) == []


@pytest.mark.parametrize(
    ("words", "expected", "note"),
    [(("1",), "failed", "cut with other options"), (("2",), "changed", 'words ["1"] -> ["2"]')],
)
def test_a_changed_step_is_changed_even_if_its_outputs_are_refused(
    folder: Path, words: tuple[str, ...], expected: str, note: str
):
    step = Refusing(name="a", words=words)
    campaign = make_campaign(folder, [A])
    (folder / "a.out").touch()
    write_record(folder, "a", record_begun(step, folder, options={"words": ["1"]}))
    state = step_states(replace(campaign, steps=(step,)), folder)["a"]
    assert (state.state, state.note) == (expected, note)


def test_what_cannot_be_read_spoils_no_other_step(folder: Path):
    campaign = make_campaign(folder, [A, D])
    unreadable = (Refusing(name="a", problem=OSError), Refusing(name="b", problem=ValueError), D)
    found = states(replace(campaign, steps=unreadable), folder)
    assert found == {"a": "failed", "b": "unclear", "d": "ready"}


def test_outputs_whose_needs_are_not_done_are_looked_at_again(done: Path):
    campaign = make_campaign(done, [A, B, C, D])
    A.result(done).unlink()
    assert states(campaign, done) == {"a": "ready", "b": "waiting", "c": "waiting", "d": "done"}
    assert step_states(campaign, done)["b"].is_whole


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

"""Records and campaign.toml after a kill in the moment of writing: the old ones or the new ones."""

from pathlib import Path

import pytest
from contracts.killed_writing import kill_while_writing, only_with_fork
from contracts.script_step import ScriptStep, make_campaign, notes

from nnunet_pancext.campaign.attempt.execute import run_step
from nnunet_pancext.campaign.definition import FILE, read_campaign
from nnunet_pancext.campaign.record import read_record, state_file

pytestmark = only_with_fork
A, B = ScriptStep(name="a"), ScriptStep(name="b", needs=("a",))


def test_a_step_whose_record_was_being_written(folder: Path):
    make_campaign(folder, [A])
    kills = []
    for kill in kill_while_writing(lambda: run_step(folder, "a", place="local")):
        kills.append(kill)
        was_done, attempts = A.is_done(folder), len(read_record(folder, "a").attempts)
        assert run_step(folder, "a", place="local").outcome == "done"
        record = read_record(folder, "a")
        assert record.begun["a.out"].options == {"code": A.code, "writes": "", "words": []}
        assert len(record.attempts) == attempts + (not was_done)
        assert notes(folder) == ["a started", "a finished"], kill
        for path in (A.result(folder), state_file(folder, "a"), folder / "notes.txt"):
            path.unlink()
        assert not list(folder.rglob("*.lease"))
    # one record at the start and one at the end
    assert kills == [f"{side} replacement {number}" for number in (1, 2) for side in ("before", "after")]


@pytest.mark.parametrize("is_there", [False, True])
def test_a_campaign_that_was_being_written(folder: Path, is_there: bool):
    new = make_campaign(folder, [A, B])
    (folder / FILE).unlink()
    old = make_campaign(folder, [A]) if is_there else None
    kills = []
    for kill in kill_while_writing(lambda: make_campaign(folder, [A, B])):
        kills.append(kill)
        found = read_campaign(folder) if (folder / FILE).exists() else None
        assert found == (old if kill.startswith("before") else new)
    assert kills == ["before replacement 1", "after replacement 1"]

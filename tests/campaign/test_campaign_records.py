"""What is kept of each step, and moving outputs aside."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from nnunet_pancext.campaign.record import Attempt, Begun, Record, read_record, state_file, write_record
from nnunet_pancext.campaign.set_aside import set_aside
from nnunet_pancext.errors import PancextError

ATTEMPT = Attempt(place="local", host="here", pid=3, started=1.5)


def record_text(**wrong: object) -> str:
    return json.dumps({**asdict(Record()), **wrong})


def begun_text(**wrong: object) -> str:
    return record_text(begun={"a.out": wrong})


def attempt_text(**wrong: object) -> str:
    return record_text(attempts=[{**asdict(ATTEMPT), **wrong}])


def test_a_record_is_read_as_it_was_written(tmp_path: Path):
    record = Record(
        attempts=(ATTEMPT, ATTEMPT),
        begun={
            "$nnUNet_results/b": Begun(
                options={"folds": ["0", "1"], "epochs": 3}, versions={"torch": "2.15.0"}
            ),
            "$nnUNet_results/a": Begun(options={"epochs": 2}, versions={}),
        },
    )
    record = record.with_last(outcome="failed", exit_code=-9, ended=2.5, message="é")
    write_record(tmp_path, "a", record)
    assert read_record(tmp_path, "a") == record
    assert list(read_record(tmp_path, "a").begun) == list(record.begun)
    assert record.attempts[0] == ATTEMPT
    assert record.last is not None
    assert record.last.outcome == "failed"


def test_a_step_without_a_record_has_an_empty_one(tmp_path: Path):
    assert read_record(tmp_path, "a") == Record()
    assert Record().last is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"is not JSON: .*Remove it: .* count as made with the options that campaign\.toml has now"),
        ("[]", r"a\.json is not an object"),
        ("{}", r"a\.json is not a step's record .*Remove it"),
        (
            '{"attempts": [{"pid": 1}], "begun": {}}',
            r"is not a step's record .*Remove it",
        ),
        ('{"attempts": 3, "begun": {}}', r"is not a step's record .*Remove it"),
        (begun_text(options="x", versions={}), r"is not a step's record \(options or versions"),
        (begun_text(options={}, versions=None), r"is not a step's record \(options or versions"),
        (begun_text(options={}), r"is not a step's record \(.*versions"),
        (record_text(begun={"a.out": 3}), r"is not a step's record \("),
        (record_text(begun=["a.out"]), r"is not a step's record \("),
        (attempt_text(message=3), r"is not a step's record \(message is 3\)"),
        (attempt_text(host=["a"]), r"is not a step's record \(host is \['a'\]\)"),
        (attempt_text(started="x"), r"is not a step's record \(started is 'x'\)"),
        (attempt_text(ended=1e30), r"is not a step's record \(.*out of range"),
    ],
)
def test_a_record_that_is_none_is_refused(tmp_path: Path, text: str, message: str):
    path = state_file(tmp_path, "a")
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PancextError, match=message):
        read_record(tmp_path, "a")


def test_what_is_set_aside_keeps_its_name_and_what_was_aside_before(tmp_path: Path):
    for text in ("first", "second"):
        (tmp_path / "fold_0").mkdir()
        (tmp_path / "fold_0" / "log").write_text(text, encoding="utf-8")
        set_aside(tmp_path / "fold_0")
    assert not (tmp_path / "fold_0").exists()
    logs = [(tmp_path / f"former-{number}-fold_0" / "log").read_text(encoding="utf-8") for number in (1, 2)]
    assert logs == ["first", "second"]
    assert set_aside(tmp_path / "fold_0") is None

"""Following the log of a step that another process writes."""

from pathlib import Path

import pytest

from nnunet_pancext.campaign.local import log_follower
from nnunet_pancext.campaign.local.log_follower import LogFollower


def numbers(line: str) -> str | None:
    return f"at {line}" if line.isdigit() else None


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("1\n", encoding="utf-8")
    return path


def append(log: Path, text: str) -> None:
    with log.open("a", encoding="utf-8") as stream:
        stream.write(text)


def test_only_what_is_appended_from_now_on_is_news(log: Path):
    follower = LogFollower(log, numbers)
    assert follower.update() == ""
    append(log, "2\nnothing\n3\nelse\n")
    assert follower.update() == "at 3"
    assert follower.update() == "at 3"


def test_a_line_is_read_once_it_is_whole(log: Path):
    follower = LogFollower(log, numbers)
    append(log, "2\n4")
    assert follower.update() == "at 2"
    append(log, "5\n")
    assert follower.update() == "at 45"


def test_of_much_at_once_the_end_is_read(log: Path, monkeypatch):
    monkeypatch.setattr(log_follower, "AT_ONCE_BYTES", 10)
    follower = LogFollower(log, numbers)
    append(log, "2\n" + "x" * 100 + "\n3\n")
    assert follower.update() == "at 3"


def test_there_may_be_no_log_and_no_progress(tmp_path: Path, log: Path):
    assert LogFollower(tmp_path / "none", numbers).update() == ""
    follower = LogFollower(log, None)
    append(log, "2\n")
    assert follower.update() == ""

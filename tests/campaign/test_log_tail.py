"""The end of a step's log."""

from pathlib import Path

import pytest

from nnunet_pancext.campaign.status.log_tail import TAIL_BYTES, last_lines, last_output, last_progress


def log_of(tmp_path: Path, content: bytes) -> Path:
    log = tmp_path / "log.txt"
    log.write_bytes(content)
    return log


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a\nb\nc\nd\n", ["b", "c", "d"]),
        (b"a\n\n   \nb", ["a", "b"]),
        (b" 10%|#\r 50%|##\r100%|###\nend\n", ["100%|###", "end"]),
        (b"windows\r\nlines\r\n", ["windows", "lines"]),
        (b"\x1b[31mred\x1b[0m\n", ["red"]),
        (b"bell\x07 and \x1b]0;title\n", ["bell? and ?]0;title"]),
        (b"\xff\xfe\n", ["\ufffd\ufffd"]),
        (b"x" * 1000, ["x" * 300 + "…"]),
    ],
)
def test_the_last_lines_are_safe_to_print(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    assert last_lines(log_of(tmp_path, content), 3) == lines


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"=== attempt 1: command\na\n=== attempt 2: command\nb\nc\nd\ne\n", ["c", "d", "e"]),
        (b"=== attempt 1: command\na\n=== attempt 2: command\nb\n", ["b"]),
        (b"=== attempt 1: command\na\n=== attempt 2: command\n", []),
        (b"a\nb\n", ["a", "b"]),
    ],
)
def test_the_last_output_is_that_of_the_latest_attempt(
    tmp_path: Path, content: bytes, lines: list[str]
) -> None:
    assert last_output(log_of(tmp_path, content), 3) == lines


def test_of_a_long_log_only_whole_lines_of_its_end_are_read(tmp_path: Path) -> None:
    log = log_of(tmp_path, b"y" * TAIL_BYTES + b" end of a long line\nlast\n")

    assert last_lines(log, 3) == ["last"]


def test_a_missing_log_has_no_lines_and_no_progress(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "none.txt", 3) == []
    assert last_progress(tmp_path / "none.txt", lambda line: line) == ""


def test_the_latest_progress_is_that_of_the_last_line_that_tells_of_it(tmp_path: Path) -> None:
    log = log_of(tmp_path, b"case 1\ncase 2\nother\n")

    assert last_progress(log, lambda line: f"at {line}" if line.startswith("case") else None) == "at case 2"
    assert last_progress(log, lambda line: None) == ""
    assert last_progress(log, None) == ""


def test_the_progress_of_an_earlier_attempt_is_none(tmp_path: Path) -> None:
    log = log_of(tmp_path, b"=== attempt 1: command\ncase 1\n=== attempt 2: command\n")

    assert last_progress(log, lambda line: line) == ""

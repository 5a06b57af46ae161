"""The report and the exit code of `pancext doctor`."""

import argparse

import pytest

from nnunet_pancext.cli import doctor
from nnunet_pancext.doctor import checks
from nnunet_pancext.doctor.check import Check, ok, problem, warning
from nnunet_pancext.errors import NNUNetCommandError

GOOD = Check("good", lambda: [ok("nnU-Net", "2.8.1")])
SO_SO = Check("so-so", lambda: [warning("GPU", "none", "Pass -device cpu.")])
BAD = Check("bad", lambda: [problem("nnUNet_raw", "not set", "export nnUNet_raw=...")])


@pytest.fixture
def examine(monkeypatch, capsys):
    """Run the command with other checks; return its exit code and its lines."""

    def run(*replaced):
        monkeypatch.setattr(checks, "CHECKS", replaced)
        parser = argparse.ArgumentParser()
        doctor.add_parser(parser.add_subparsers())
        parsed = parser.parse_args(["doctor"])
        return parsed.run(parsed), capsys.readouterr().out.splitlines()

    return run


def test_lines_are_aligned_and_remedies_on_lines_of_their_own(examine):
    code, lines = examine(GOOD, SO_SO, BAD)
    assert lines == [
        "[ok]  nnU-Net              2.8.1",
        "[! ]  GPU                  none",
        "      -> Pass -device cpu.",
        "[!!]  nnUNet_raw           not set",
        "      -> export nnUNet_raw=...",
        "",
        "1 problem, 1 warning.",
    ]
    assert code == 1


@pytest.mark.parametrize(
    ("replaced", "code", "verdict"),
    [
        ((GOOD,), 0, "healthy, 0 warnings."),
        ((GOOD, SO_SO), 0, "healthy, 1 warning."),
        ((BAD, BAD), 1, "2 problems, 0 warnings."),
    ],
)
def test_warnings_are_healthy_and_problems_are_not(examine, replaced, code, verdict):
    found, lines = examine(*replaced)
    assert (found, lines[-1]) == (code, verdict)


@pytest.mark.parametrize(
    "error", [KeyError("torch"), NNUNetCommandError("torch"), RuntimeError("first\n torch ")]
)
def test_a_check_that_fails_becomes_a_problem_and_the_next_one_runs(examine, error):
    def fail():
        yield ok("half", "done")
        raise error

    code, lines = examine(Check("broken", fail), GOOD)
    assert code == 1
    assert lines[0].startswith("[ok]  half")
    assert lines[1].startswith("[!!]  broken               the check itself failed: ")
    assert type(error).__name__ in lines[1]
    assert "torch" in lines[1]
    assert lines[3].startswith("[ok]  nnU-Net")


def test_a_slow_check_announces_itself(examine, capsys):
    announced = []

    def look():
        announced.append(capsys.readouterr().out)
        return [ok("lookup", "fine")]

    examine(Check("slow", look, announcement="trying: is it there?"))
    assert announced == ["      trying: is it there?\n"]


def test_every_check_has_a_name_of_its_own():
    names = [check.name for check in checks.CHECKS]
    assert len(set(names)) == len(names)
    assert checks.CHECKS[-1].announcement.startswith("testing")

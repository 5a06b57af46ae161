"""The command line itself, whatever the command."""

import argparse
import inspect
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from nnunet_pancext.cli.main import build_parser, main
from nnunet_pancext.phantom import DIFFICULTIES, write_phantom_dataset

WIDTH = 116


def test_a_closed_pipe_is_not_an_error():
    command = [Path(sysconfig.get_path("scripts")) / "pancext", "splits", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert errors == ""
    assert process.returncode == 141


def test_a_full_disk_under_the_output_is_an_error_without_a_traceback():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full, which a full disk is imitated with")
    command = [Path(sysconfig.get_path("scripts")) / "pancext", "splits", "list"]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.stderr == (
        "pancext splits: error: disk full: no room for the output or a log. "
        "Free some space and run the same command again.\n"
    )
    assert result.returncode == 1


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and those of all its sub-commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from parsers(command)


@pytest.mark.parametrize("parser", list(parsers(build_parser())), ids=lambda parser: parser.prog)
def test_help_lines_fit_the_terminal(parser, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")  # what argparse itself wraps to
    assert max(map(len, parser.format_help().splitlines())) <= WIDTH


HELP = """\
import contextlib, io, sys
from nnunet_pancext.cli.main import COMMANDS, main

for words in (["--help"], *([command, "--help"] for command in COMMANDS)):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main(words)
print(*sys.modules)
"""


def test_help_imports_neither_torch_nor_nnunet_nor_scipy_nor_simpleitk():
    shown = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True).stdout
    assert "nnunet_pancext.cli.doctor" in shown.split()
    assert not {"torch", "nnunetv2", "scipy", "SimpleITK"} & set(shown.split())


def test_the_help_of_phantom_gives_the_defaults_and_choices_of_its_function():
    parsed = build_parser().parse_args(["phantom", "out"])
    defaults = inspect.signature(write_phantom_dataset).parameters
    assert {name: getattr(parsed, name) for name in ("size", "difficulty", "seed")} == {
        name: defaults[name].default for name in ("size", "difficulty", "seed")
    }
    for difficulty in DIFFICULTIES:
        build_parser().parse_args(["phantom", "out", "--difficulty", difficulty])


@pytest.mark.parametrize(
    ("command", "rest"), [("compare", "7 -tr A -o x"), ("convert msd", "folder")], ids=["one", "nested"]
)
def test_an_unknown_option_is_reported_with_the_usage_of_its_command(command, rest, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), *rest.split(), "--nope"])
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"usage: pancext {command} ")
    assert errors.endswith(f"pancext {command}: error: unrecognized arguments: --nope\n")


@pytest.mark.parametrize(
    ("letters", "words"),
    [
        ("compare 7 -tr A B -c 2d -o o", "compare 7 --trainers A B --configuration 2d -o o"),
        ("compare 7 -tr A -p P -f 0 1 -o o", "compare 7 --trainers A --plans P --folds 0 1 -o o"),
        ("attention M I -o o -f 1 -chk best.pth", "attention M I -o o --fold 1 --checkpoint best.pth"),
        ("report M -f 0", "report M --folds 0"),
        ("reproduce dlkunet -tr A -c 2d -f 0", "reproduce dlkunet --trainers A --configuration 2d --folds 0"),
        ("demo -c 2d", "demo --configuration 2d"),
        ("trainers -c 2d", "trainers --configuration 2d"),
    ],
)
def test_options_have_nnunets_own_letters_too(letters, words):
    parse = build_parser().parse_args
    assert vars(parse(letters.split())) == vars(parse(words.split()))

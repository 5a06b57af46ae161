"""The command line itself, whatever the command."""

from __future__ import annotations

import argparse
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from nnunet_pancext.cli.main import build_parser

WIDTH = 116


def test_a_reader_that_has_seen_enough_is_no_error():
    command = [Path(sysconfig.get_path("scripts")) / "pancext", "splits", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert said == ""
    assert process.returncode == 141


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and those of all its sub-commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from parsers(command)


@pytest.mark.parametrize("parser", list(parsers(build_parser())), ids=lambda parser: parser.prog)
def test_no_lines_of_the_help_run_out_of_the_terminal(parser, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")  # what argparse itself wraps to
    assert max(map(len, parser.format_help().splitlines())) <= WIDTH

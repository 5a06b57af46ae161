"""`pancext phantom` passes its options on."""

import argparse
import json

import pytest

from nnunet_pancext.cli import phantom
from nnunet_pancext.errors import PancextError


def parse(*arguments):
    parser = argparse.ArgumentParser()
    phantom.add_parser(parser.add_subparsers())
    return parser.parse_args(["phantom", *map(str, arguments)])


def test_command_writes_the_dataset_and_prints_its_folder(tmp_path, capsys):
    parsed = parse(
        tmp_path, "--cases", 1, "--size", 16, 32, 32, "--difficulty", "hard", "--seed", 7, "--test-cases", 1
    )
    assert parsed.run(parsed) == 0
    folder = tmp_path / "Task07_Pancreas"
    printed = capsys.readouterr()
    assert printed.out.strip() == str(folder)
    assert "phantom" in printed.err
    content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert (content["numTraining"], content["numTest"]) == (1, 1)
    assert "difficulty hard, seed 7" in content["description"]


def test_command_has_defaults_for_all_but_the_folder(tmp_path):
    parsed = parse(tmp_path)
    assert (parsed.cases, parsed.test_cases, parsed.size) == (10, 0, (40, 80, 80))
    assert (parsed.difficulty, parsed.seed) == ("easy", 0)


def test_command_raises_the_error_that_pancext_prints(tmp_path):
    parsed = parse(tmp_path, "--cases", 0)
    with pytest.raises(PancextError, match="ask for at least 1"):
        parsed.run(parsed)


def test_unknown_difficulty_lists_the_known_ones(tmp_path, capsys):
    with pytest.raises(SystemExit):
        parse(tmp_path, "--difficulty", "medium")
    assert "easy" in capsys.readouterr().err

"""docs/datasets.md describes what the command offers."""

import argparse
from pathlib import Path

import pytest

from nnunet_pancext.cli.convert import add_parser
from nnunet_pancext.dataset_conversion.layouts.synapse import EIGHT
from nnunet_pancext.splits.published import PUBLISHED

PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")


def layouts() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each layout."""
    commands = argparse.ArgumentParser().add_subparsers()
    add_parser(commands)
    (choices,) = (action for action in commands.choices["convert"]._actions if action.choices)
    return dict(choices.choices)


@pytest.mark.parametrize("layout", layouts())
def test_every_layout_is_described_with_its_id(layout):
    parser = layouts()[layout]
    (row,) = [line for line in PAGE.splitlines() if f"`pancext convert {layout} " in line]
    assert f"| {parser.get_default('dataset_id')} |" in row


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_split_is_described_with_its_dataset(name):
    titles = {"msd": "MSD", "nih": "NIH", "synapse": "Synapse", "acdc": "ACDC"}
    part = next(part for part in PAGE.split("\n## ") if part.startswith(titles[PUBLISHED[name].layout]))
    assert f"`{name}`" in part


def test_the_eight_organs_have_their_numbers():
    for value, organ in enumerate(EIGHT, start=1):
        assert f"{organ} {value}" in " ".join(PAGE.split())

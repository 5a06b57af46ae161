"""`pancext campaign plan`."""

import argparse


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Add the sub-commands of this module."""

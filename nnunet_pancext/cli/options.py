"""Options that several commands share, so that they read the same everywhere."""

import argparse
from pathlib import Path
from typing import Any


def add_command(commands: argparse._SubParsersAction, name: str, **texts: Any) -> argparse.ArgumentParser:
    """Add and return a sub-command whose description and examples keep their line breaks."""
    return commands.add_parser(name, formatter_class=argparse.RawDescriptionHelpFormatter, **texts)


def add_out(parser: argparse.ArgumentParser, *short: str, default: Path | str | None = None) -> None:
    """Add `--out`, the output folder, and its `short` form.

    It is required without a default; a str describes the default that the command works out itself.
    """
    parser.add_argument(
        *short,
        "--out",
        type=Path,
        metavar="FOLDER",
        required=default is None,
        default=default if isinstance(default, Path) else None,
        help="output folder" if default is None else f"output folder (default: {default})",
    )


def add_allow(parser: argparse.ArgumentParser) -> None:
    """Add `--allow`, names in a model's plan that the user trusts."""
    parser.add_argument(
        "--allow",
        nargs="+",
        default=(),
        metavar="NAME",
        help="dotted names of networks or layers in the plan that you trust, e.g. mypackage.MyNet",
    )


def add_jobs(parser: argparse.ArgumentParser, *, cases: str = "cases") -> None:
    """Add `--jobs`, how many `cases` are processed in parallel."""
    parser.add_argument(
        "--jobs", type=int, metavar="N", help=f"{cases} processed in parallel (default: 4, at most the CPUs)"
    )


def add_access(parser: argparse._ActionsContainer) -> None:
    """Add what a connection to a PACS needs in addition to its address."""
    add = parser.add_argument
    add(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="bearer token for https (default: the variable PANCEXT_DICOMWEB_TOKEN, if it is set)",
    )
    add(
        "--ca-bundle",
        type=Path,
        metavar="FILE",
        help="PEM file of the certificate authorities to trust instead of the public ones",
    )
    add(
        "--client-certificate", type=Path, metavar="FILE", help="PEM file of your own certificate and its key"
    )
    add("--allow-http", action="store_true", help="allow http:// to other machines, without encryption")

"""Entry point of `pancext`: runs a sub-command and prints users' mistakes without a traceback."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from nnunet_pancext import __version__
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import LONGEST_LINE, printable
from nnunet_pancext.io.disk import NO_ROOM

# The modules of `nnunet_pancext.cli`, in the order of the help.
COMMANDS = (
    *("demo", "convert", "check", "splits", "phantom", "trainers", "predict"),
    *("evaluate", "compare", "report", "campaign", "reproduce", "attention"),
    *("send", "inspect", "import_model", "doctor"),
)
CLOSED_PIPE = 141  # what a shell reports of a process that wrote into a closed pipe
OF_A_PATH = {errno.EACCES, errno.EPERM, errno.EIO, errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR}
EXAMPLES = """\
examples:
  pancext doctor                                   is this machine ready?
  pancext demo --out demo_output                   the whole pipeline on phantoms, 4 minutes on 2 cores
  pancext trainers                                 names for -tr
  pancext convert msd Task07_Pancreas.tar          a downloaded dataset, ready for nnU-Net
  nnUNetv2_train 007 3d_fullres 0 -tr SegResNetNLTrainer
  pancext predict NEW_CTS -o SEGMENTATIONS -d 7 -c 3d_fullres -tr SegResNetNLTrainer --report
  pancext evaluate PREDICTIONS TRUTH -o scores     every metric of the papers, per volume and per slice
"""


class CommandParser(argparse.ArgumentParser):
    """Reports an unknown option with the usage of its sub-command, not with that of `pancext` alone."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed, unknown


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `pancext` with all its sub-commands."""
    parser = CommandParser(
        prog="pancext",
        description="Pancreas and pancreatic-tumour segmentation in CT, built on nnU-Net v2.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"nnunet-pancext {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        import_module(f"nnunet_pancext.cli.{name}").add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `pancext` with `arguments` (default: the command line) and return its exit code."""
    _reopen_closed_streams()
    parsed = build_parser().parse_args(arguments)
    try:
        code = parsed.run(parsed) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader (head, a pager) has closed the pipe
        _discard_output()
        return CLOSED_PIPE
    except OSError as error:
        if (text := _problem(error)) is None:
            raise
        _discard_output()
        with suppress(OSError):
            print(f"pancext {parsed.command}: error: {text}", file=sys.stderr)
        return 1
    except PancextError as error:
        lines = [printable(line, most=LONGEST_LINE) for line in str(error).split("\n")]
        print(f"pancext {parsed.command}: error: " + "\n".join(lines), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"pancext {parsed.command}: interrupted", file=sys.stderr)
        return 130


def _problem(error: OSError) -> str | None:
    """Return what to say of an error of the disk; None where it is a mistake of this program."""
    if error.errno in NO_ROOM:
        place = printable(f"{error.filename}", most=LONGEST_LINE) if error.filename else "the output or a log"
        return f"disk full: no room for {place}. Free some space and run the same command again."
    if error.errno in OF_A_PATH and error.filename is not None:
        text = printable(f"{error.filename}: {error.strerror}", most=LONGEST_LINE)
        return f"{text}. Check the path and permissions."
    return None


def _discard_output() -> None:
    """Let Python's own last flush succeed where nothing can be printed any more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reopen_closed_streams() -> None:
    """Print to nowhere if the caller has closed a stream, whose number the next file would take."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115

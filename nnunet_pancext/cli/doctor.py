"""`pancext doctor`: is this machine ready?"""

import argparse

from nnunet_pancext.cli.options import add_command

DESCRIPTION = """\
Check the installed packages, nnU-Net's folders, the hardware and the environment variables, test whether
nnU-Net finds the trainers, and suggest a remedy for each problem. Nothing is changed.
The exit code is 0 without problems (warnings are allowed) and 1 otherwise."""

EXAMPLES = """\
examples:
  pancext doctor
  pancext doctor && nnUNetv2_train 007 3d_fullres 0 -tr SegResNetNLTrainer

marks:
  [ok]  ready
  [! ]  works, but not well
  [!!]  does not work
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `doctor` sub-command."""
    parser = add_command(
        commands,
        "doctor",
        help="check packages, folders, hardware and whether nnU-Net finds the trainers",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Print the report and return the exit code."""
    from nnunet_pancext.doctor.check import print_report
    from nnunet_pancext.doctor.checks import CHECKS

    return 1 if print_report(CHECKS) else 0

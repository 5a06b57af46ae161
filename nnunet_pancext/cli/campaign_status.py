"""`pancext campaign status`: where each step is, on the console and as a page."""

import argparse
from pathlib import Path

from nnunet_pancext.cli.options import add_command

DESCRIPTION = """\
Show each step of a campaign: when it was done, where it runs, its progress and what it waits for; for failed
steps, the last lines of the log. The same is written to FOLDER/status.html, and nothing else, so this can be
called at any time, from any machine that sees FOLDER."""

EXAMPLES = """\
examples:
  pancext campaign status CAMPAIGN
  pancext campaign status CAMPAIGN --watch       every 10 s, until nothing is running
  pancext campaign status CAMPAIGN --all | grep failed
"""


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Add the sub-commands of this module."""
    parser = add_command(
        commands,
        "status",
        help="show which steps are done, running, waiting or failed, and the time to go",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the campaign's folder")
    parser.add_argument(
        "--watch",
        action="store_true",
        help="update every 10 s until all steps are done (exit code 0) or nothing is running (1)",
    )
    parser.add_argument(
        "--all", action="store_true", help="a line for each step, also where similar steps would share one"
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Show the status once, or until nothing is running."""
    from nnunet_pancext.campaign.definition import open_campaign
    from nnunet_pancext.campaign.status.page import FILE, write_status_page
    from nnunet_pancext.campaign.status.rows import read_status
    from nnunet_pancext.campaign.status.summary import Status
    from nnunet_pancext.campaign.status.table import status_table
    from nnunet_pancext.campaign.status.watch import EVERY_S, Screen, ended_by_exception, ending, watch

    folder, screen = parsed.folder, Screen()
    seen: list[Status] = []  # the last one

    def look() -> Status:
        seen[:] = [read_status(open_campaign(folder), folder)]
        return seen[0]

    def show(status: Status, *, refresh_s: int | None = None) -> None:
        is_written = write_status_page(status, refresh_s=refresh_s)
        page = f"Page: {folder / FILE}" if is_written else f"{folder / FILE} cannot be written."
        screen.show(f"{status_table(status, width=screen.width, folded=not parsed.all)}\n{page}")

    if not parsed.watch:
        show(look())
        return 0
    with ended_by_exception():
        try:
            status = watch(look, lambda status: show(status, refresh_s=round(EVERY_S)))
        finally:
            for last in seen:
                write_status_page(last)  # that browsers do not load again
    print(ending(status))
    return 0 if status.is_done else 1

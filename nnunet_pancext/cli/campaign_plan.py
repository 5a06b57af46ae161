"""`pancext campaign plan`: the steps of a campaign and what they need, written to a file."""

import argparse
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_pancext.cli.options import add_command, add_out
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted

if TYPE_CHECKING:
    from nnunet_pancext.campaign.definition import Campaign
    from nnunet_pancext.campaign.step import Step

DESCRIPTION = """\
Write FOLDER/campaign.toml: the steps, from preprocessing to the comparison, for every combination of
datasets, trainers, plans, configurations and folds. Nothing is run. The file may be edited. GPU-hours are
estimated from the logs of earlier trainings in nnUNet_results."""

EXAMPLES = """\
examples:
  pancext campaign plan 7 -tr nnUNetTrainer SegResNetNLTrainer DLKUNetMTrainer -o CAMPAIGN
  pancext campaign plan 7 -tr nnUNetTrainer SegResNetNLTrainer -c 2d 3d_fullres -p nnUNetResEncUNetMPlans \\
      --test test/images test/labels --seed 1 -o CAMPAIGN
"""
MOST_LISTED = 50  # characters of names in the table


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Add the sub-commands of this module."""
    parser = add_command(
        commands,
        "plan",
        help="write the steps to do, with estimated GPU-hours",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("datasets", nargs="+", metavar="DATASET", help="number or name of a raw dataset in nnUNet_raw")
    add("-tr", "--trainers", nargs="+", required=True, metavar="NAME", help="as for nnUNetv2_train")
    add(
        *("-c", "--configurations"),
        nargs="+",
        default=["3d_fullres"],
        metavar="NAME",
        help="2d, 3d_fullres, 3d_lowres, 3d_cascade_fullres (default: 3d_fullres)",
    )
    add("-p", "--plans", nargs="+", default=["nnUNetPlans"], metavar="NAME", help="default: nnUNetPlans")
    add(
        *("-f", "--folds"),
        nargs="+",
        default=[str(fold) for fold in range(5)],
        metavar="FOLD",
        help="fold numbers, or all, which is not compared (default: 0 1 2 3 4)",
    )
    add(
        "--test",
        nargs=2,
        type=Path,
        metavar=("IMAGES", "LABELS"),
        help="folders of a test set, predicted with each trainer's best configuration and evaluated",
    )
    add("-device", "--device", choices=("cuda", "cpu", "mps"), default="cuda", help="default: cuda")
    add("--seed", type=int, metavar="N", help="PANCEXT_SEED of every training (default: none)")
    add_out(parser, "-o")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Plan as parsed, write the file and print the steps and the estimate."""
    from nnunet_pancext.campaign.definition import present_versions, write_campaign
    from nnunet_pancext.campaign.planning.checks import checked_request
    from nnunet_pancext.campaign.planning.plan import Request, plan_campaign
    from nnunet_pancext.io.disk import write_errors_as_pancext
    from nnunet_pancext.io.files import output_folder
    from nnunet_pancext.nnunet_files.folders import DUTIES, nnunet_folder, require_all_folders_set

    if parsed.seed is not None and parsed.seed < 0:
        raise PancextError(f"--seed {parsed.seed}: give a whole number from 0.")
    require_all_folders_set()
    folders = {variable: os.path.abspath(str(nnunet_folder(variable))) for variable in DUTIES}
    images, labels = parsed.test or ("", "")
    request = Request(
        datasets=tuple(parsed.datasets),
        trainers=tuple(parsed.trainers),
        configurations=tuple(parsed.configurations),
        plans=tuple(parsed.plans),
        folds=tuple(parsed.folds),
        test_images=os.path.abspath(images) if parsed.test else "",
        test_labels=os.path.abspath(labels) if parsed.test else "",
        device=parsed.device,
        seed=parsed.seed,
    )
    campaign = plan_campaign(checked_request(request), folders=folders, versions=present_versions())
    with output_folder(parsed.out) as folder, write_errors_as_pancext(parsed.out, option="-o"):
        is_there = _is_there(folder, campaign)
        if not is_there:
            write_campaign(folder, campaign)
    print(_text(folder, campaign, is_there=is_there))
    return 0


def _is_there(folder: Path, campaign: "Campaign") -> bool:
    """Whether the same campaign is planned there already; PancextError if another one is."""
    from dataclasses import replace

    from nnunet_pancext.campaign.definition import FILE, read_campaign

    file = folder / FILE
    if not file.exists():
        return False
    former = read_campaign(folder)
    if replace(former, versions=campaign.versions) != campaign:
        raise PancextError(
            f"{file} already exists, with other steps or settings. Edit it, move it away, or give another "
            "folder with -o."
        )
    return True


def _text(folder: Path, campaign: "Campaign", *, is_there: bool) -> str:
    from nnunet_pancext.campaign.definition import FILE
    from nnunet_pancext.campaign.state import DONE, step_states
    from nnunet_pancext.pages.text_table import text_table

    done = {name for name, state in step_states(campaign, folder).items() if state.state == DONE}
    paragraphs = [
        text_table(_step_rows(campaign, done), left=(0, 3)),
        text_table(_hour_rows(campaign, done), ruled_below=(0, -2), left=(0, 1)),
        f"{_hours(campaign)}: epochs left of all trainings, without validation and prediction.\n"
        "s/epoch: the median of earlier trainings of the same model in nnUNet_results.",
        f"{'unchanged' if is_there else 'written  '} {folder / FILE}\n"
        f"next      pancext campaign run {folder}",
    ]
    return "\n\n".join(paragraphs)


def _hours(campaign: "Campaign") -> str:
    return "GPU-hours" if campaign.device == "cuda" else "hours"


def _step_rows(campaign: "Campaign", done: Collection[str]) -> list[list[str]]:
    """Return a row for each kind of step: how many there are and are done, and what they are about."""
    rows = [["step", "number", "done", "of"]]
    for kind in dict.fromkeys(step.kind for step in campaign.steps):
        steps = [step for step in campaign.steps if step.kind == kind]
        needed = [campaign.step(name) for step in steps for name in step.needs]
        count = sum(step.name in done for step in steps)
        rows.append([kind, str(len(steps)), str(count), _subjects(steps) or _subjects(needed)])
    return rows


def _subjects(steps: Sequence["Step"]) -> str:
    """Return the datasets, plans and so on of like steps, many as a number; empty if they name none."""
    subjects = []
    for field in ("dataset", "plans", "configuration", "trainer", "fold"):
        values = dict.fromkeys(getattr(step, field, None) for step in steps)
        texts = [value for value in values if isinstance(value, str) and value]
        if len(texts) == len(values):  # the kind has this entry, and as a text
            listed = ", ".join(texts)
            is_short = field != "fold" and len(listed) <= MOST_LISTED
            subjects.append(listed if is_short else counted(len(texts), field.removesuffix("s")))
    return "; ".join(subjects)


def _hour_rows(campaign: "Campaign", done: Collection[str]) -> list[list[str]]:
    from nnunet_pancext.campaign.planning.estimate import estimate_trainings, total_text

    estimates = estimate_trainings(campaign, done=done)
    rows = [["training", "dataset", "to do", "epochs left", "s/epoch", _hours(campaign)]]
    for row in estimates:
        seconds = "unknown" if row.seconds_per_epoch is None else f"{row.seconds_per_epoch:.1f}"
        hours = "unknown" if row.hours is None else f"{row.hours:.1f}"
        rows.append([str(row.model), row.dataset, str(row.trainings), str(row.epochs_left), seconds, hours])
    to_do = sum(row.trainings for row in estimates)
    rows.append(["all", "", str(to_do), "", "", total_text(estimates)])
    return rows

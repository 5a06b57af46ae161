"""`pancext reproduce`: a paper's protocol, from the download to a table of its results beside ours."""

import argparse
import math
import sys
from pathlib import Path

from nnunet_pancext.cli.options import add_command, add_out
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_commands.console import INDENT
from nnunet_pancext.reproduction.papers import PAPERS, find_paper
from nnunet_pancext.reproduction.selection import CONFIGURATIONS, FOLDS, Selection, planned_runs, read_sources

AGAIN = (
    "Run the same command again to continue: finished steps are skipped, a started training continues. "
    "--table shows the results so far."
)
DESCRIPTION = """\
Write the whole protocol of a paper as a campaign in OUT/PAPER, and run it: conversion with the paper's split,
preprocessing, training of its models and of stock nnU-Net, prediction of the test set, evaluation, and a
table of the paper's results beside ours. The same command resumes where it stopped."""

EXAMPLES = """\
examples:
  pancext reproduce                                                   the papers
  pancext reproduce segresnet-nl --dry-run                            commands and estimated GPU-hours
  pancext reproduce segresnet-nl --source Task07_Pancreas.tar --trainers SegResNetNLTrainer nnUNetTrainer
  pancext reproduce attention-unet --source nih-images=Pancreas-CT nih-labels=TCIA_pancreas_labels-02-05-2017
  pancext reproduce dlkunet --datasets synapse --source RawData.zip
  pancext reproduce segresnet-nl --plan --source Task07_Pancreas.tar  only the campaign, e.g. for Slurm
  pancext reproduce segresnet-nl --table                              the table of the results so far
  pancext campaign status reproduction_output/segresnet-nl            its progress
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `reproduce` sub-command."""
    parser = add_command(
        commands,
        "reproduce",
        help="run a paper's protocol and stock nnU-Net, and tabulate the paper's results beside ours",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.add_argument("paper", nargs="?", help="name of the paper; all are listed if omitted")
    parser.add_argument(
        "--source",
        nargs="+",
        default=[],
        metavar="[NAME=]PATH",
        help="the downloads, folders or archives; with names where a paper has several datasets",
    )
    parser.add_argument(
        "--datasets", nargs="+", metavar="NAME", help="only these, for a paper with several, e.g. synapse"
    )
    parser.add_argument(
        "-tr", "--trainers", nargs="+", metavar="NAME", help="only these trainers of the protocol"
    )
    parser.add_argument(
        "-f",
        "--folds",
        nargs="+",
        choices=FOLDS,
        help="folds to train; their models are ensembled (default: the paper's)",
    )
    parser.add_argument("-c", "--configuration", choices=CONFIGURATIONS, help="default: the paper's")
    parser.add_argument("--device", choices=("cuda", "cpu", "mps"), help="for training and prediction")
    add_out(parser, "-o", default=Path("reproduction_output"))
    parser.add_argument(
        "--seconds-per-epoch",
        type=float,
        metavar="S",
        help="for the estimate of GPU-hours: an epoch of 250 iterations of stock nnU-Net on your GPU",
    )
    parser.add_argument("--gpus", type=int, metavar="N", help="GPUs of this machine to use (default: all)")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--dry-run", action="store_true", help="show the commands and estimated GPU-hours")
    only.add_argument("--plan", action="store_true", help="only write the campaign, to be edited and run")
    only.add_argument("--table", action="store_true", help="only tabulate the results available so far")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """List the papers, show a protocol, write its campaign, run it, or tabulate its results."""
    if parsed.paper is None:
        for paper in PAPERS.values():
            print(f"{paper.name}\n    {paper.title}")
            for experiment in paper.experiments:
                dataset = experiment.dataset
                print(f"    {dataset.layout}: {dataset.title}; {len(experiment.trainers)} trainers")
        return 0
    paper = find_paper(parsed.paper)
    seconds = parsed.seconds_per_epoch
    if seconds is not None and not (seconds > 0 and math.isfinite(seconds)):
        raise PancextError(f"--seconds-per-epoch is {seconds:g}; it must be finite and above 0.")
    names = ("out", "datasets", "trainers", "folds", "configuration", "device")
    selection = Selection(**{name: getattr(parsed, name) for name in names})
    if parsed.source:
        selection = read_sources(parsed.source, paper, selection)
    runs = planned_runs(paper, selection)
    from nnunet_pancext.campaign.run import run_campaign
    from nnunet_pancext.reproduction.campaign import campaign_folder
    from nnunet_pancext.reproduction.comparison import compare, format_results, write_results
    from nnunet_pancext.reproduction.dry_run import format_dry_run
    from nnunet_pancext.reproduction.folder import write_protocol

    folder = campaign_folder(paper, selection)
    if parsed.dry_run:
        print(format_dry_run(paper, runs, selection, folder, seconds_per_epoch=seconds))
        return 0
    if not parsed.table:
        finished = write_protocol(folder, runs, selection, is_run_here=not parsed.plan)
        print(f"campaign  {folder}", flush=True)
        for remark in (remark for step in finished for remark in step.remarks(folder)):
            print(f"{INDENT}{remark}", flush=True)
        if parsed.plan:
            print(f"Run it with `pancext campaign run {folder}`, on Slurm with --on slurm; then see --table.")
            return 0
        if code := run_campaign(folder, gpus=parsed.gpus):
            print(AGAIN, file=sys.stderr)
            return code
    comparisons = [compare(run, folder=folder) for run in runs]
    print(f"\n{format_results(comparisons)}\n")
    for file in write_results(paper, comparisons, out=selection.out):
        print(f"table     {file}")
    return 0

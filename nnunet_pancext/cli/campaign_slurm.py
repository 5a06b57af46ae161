"""Options of `pancext campaign run --on slurm`."""

import argparse

from nnunet_pancext.campaign.slurm.options import CPUS, SlurmOptions


def add_slurm_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for what the jobs request from Slurm."""
    group = parser.add_argument_group(
        "on Slurm",
        "Resources that each job requests. Omitted options keep their values from the previous run; "
        'give "" to unset one.',
    )
    group.add_argument("--partition", metavar="NAME", help="partition (default: the cluster's)")
    group.add_argument("--account", metavar="NAME", help="account to charge")
    group.add_argument(
        "--time",
        metavar="LIMIT",
        help="24:00:00, 2-00:00:00 or minutes (default: the partition's limit). A step that takes longer "
        "is requeued and resumes",
    )
    group.add_argument("--memory", metavar="SIZE", help="memory per node, e.g. 48G (default: the cluster's)")
    group.add_argument(
        "--gres", metavar="LIST", help="e.g. gpu:1 or gpu:a100:1; only for steps that use a GPU"
    )
    group.add_argument("--qos", metavar="NAME", help="quality of service")
    group.add_argument("--cpus", type=int, metavar="N", help=f"CPUs (default: {CPUS}, nnU-Net's advice)")
    group.add_argument("--constraint", metavar="FEATURES", help="required node features")
    group.add_argument(
        "--sbatch",
        action="append",
        metavar="KEY=VALUE",
        help="a further option of sbatch, e.g. mail-type=FAIL; may be repeated",
    )


def slurm_options(parsed: argparse.Namespace) -> SlurmOptions:
    """Return the parsed options of `add_slurm_options`; PancextError if one is invalid."""
    return SlurmOptions(
        partition=parsed.partition,
        account=parsed.account,
        time=parsed.time,
        memory=parsed.memory,
        gres=parsed.gres,
        qos=parsed.qos,
        cpus=parsed.cpus,
        constraint=parsed.constraint,
        extra=None if parsed.sbatch is None else tuple(pair for pair in parsed.sbatch if pair),
    )

"""`pancext compare`: is one trainer significantly better than another?"""

import argparse

from nnunet_pancext.cli.options import add_command, add_jobs, add_out

DESCRIPTION = """\
Compare trained models, of any nnU-Net trainers, on the validation cases of their folds: means with
intervals, paired tests against a reference with Holm's correction, effect sizes, worst cases, groups by size,
and cost. Reads nnUNet_results and the ground truth in nnUNet_preprocessed. Models that cannot be compared
fairly are refused."""

EXAMPLES = """\
examples:
  pancext compare 7 --trainers nnUNetTrainer SegResNetNLTrainer DLKUNetSTrainer -o comparison
  pancext compare Dataset007_Pancreas --trainers nnUNetTrainer SegResNetNLTrainer --folds 0 1 -o comparison
  pancext compare 7 -o comparison \\
      --trainers nnUNetTrainer nnUNetTrainer__nnUNetResEncUNetMPlans__3d_fullres
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `compare` sub-command."""
    text = "compare trained models on the same cases: statistics, sizes, cost; CSV, LaTeX, HTML"
    parser = add_command(commands, "compare", help=text, description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("dataset", help="number or name of the dataset")
    parser.add_argument(
        "-tr",
        "--trainers",
        nargs="+",
        required=True,
        metavar="NAME",
        help="TRAINER, or TRAINER__PLANS__CONFIGURATION to compare across plans or configurations",
    )
    parser.add_argument("-c", "--configuration", default="3d_fullres", help="default %(default)s")
    parser.add_argument("-p", "--plans", default="nnUNetPlans", help="default %(default)s")
    parser.add_argument("-f", "--folds", nargs="+", metavar="K", help="default: all trained folds")
    parser.add_argument(
        "--reference", metavar="NAME", help="trainer that the others are tested against (default: the first)"
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help="metrics to tabulate and to test as one Holm family; cases are ranked by the first "
        "(default: dice nsd_2mm hd95_mm)",
    )
    parser.add_argument(
        "--strata",
        nargs="+",
        default=[],
        metavar="LABEL=EDGES",
        help="group cases by true size, such as tumour=20,40mm (diameter of the sphere of its volume) or "
        "pancreas=60,90mL (default: 20 and 40 mm for lesions, terciles of volume for organs)",
    )
    parser.add_argument(
        "--patient-regex", metavar="REGEX", help="its first group is the patient in a case's name"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap (default %(default)s)")
    add_jobs(parser)
    add_out(parser, "-o")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Compare, write the files and print the tables."""
    # Imported here: torch and nnU-Net take seconds to load.
    from nnunet_pancext.comparison import compare_models, open_results
    from nnunet_pancext.comparison.output.console import format_comparison
    from nnunet_pancext.comparison.output.files import write_comparison
    from nnunet_pancext.io.files import output_folder

    with output_folder(parsed.out) as out:
        results = open_results(
            parsed.dataset,
            parsed.trainers,
            configuration=parsed.configuration,
            plans=parsed.plans,
            folds=parsed.folds,
            reference=parsed.reference,
        )
        comparison = compare_models(
            results,
            metrics=parsed.metrics or (),
            strata=parsed.strata,
            patient_regex=parsed.patient_regex,
            seed=parsed.seed,
            jobs=parsed.jobs,
        )
        page = write_comparison(out, comparison)
    print(format_comparison(comparison))
    print(f"\nreport    {page}")
    return 0

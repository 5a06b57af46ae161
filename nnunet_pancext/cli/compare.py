"""`pancext compare`: does one trainer really do better than another?"""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = """\
Compare trained models, of any nnU-Net trainers, on the validation cases of their folds: means with
intervals, paired tests against a reference with Holm's correction, effect sizes, worst cases, groups by size,
and cost. Reads nnUNet_results and the true label maps in nnUNet_preprocessed. What cannot be compared fairly
is refused."""

EXAMPLES = """\
examples:
  pancext compare 7 --trainers nnUNetTrainer SegResNetNLTrainer DLKUNetSTrainer -o comparison
  pancext compare Dataset007_Pancreas --trainers nnUNetTrainer SegResNetNLTrainer --folds 0 1 -o comparison
  pancext compare 7 -o comparison \\
      --trainers nnUNetTrainer nnUNetTrainer__nnUNetResEncUNetMPlans__3d_fullres
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `compare` sub-command."""
    parser = commands.add_parser(
        "compare",
        help="compare trained models on the same cases: statistics, sizes, cost; CSV, LaTeX, HTML",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dataset", help="number or name of the dataset")
    parser.add_argument(
        "-tr",
        "--trainers",
        nargs="+",
        required=True,
        metavar="NAME",
        help="TRAINER, or TRAINER__PLANS__CONFIGURATION to compare these as well",
    )
    parser.add_argument("-c", "--configuration", default="3d_fullres", help="default %(default)s")
    parser.add_argument("-p", "--plans", default="nnUNetPlans", help="default %(default)s")
    parser.add_argument("-f", "--folds", nargs="+", metavar="K", help="default: all that were trained")
    parser.add_argument("--reference", metavar="NAME", help="what the others are tested against (the first)")
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help="of the tables, and one family of tests (default: dice nsd_2mm hd95_mm); "
        "the first ranks the cases",
    )
    parser.add_argument(
        "--strata",
        nargs="+",
        default=[],
        metavar="LABEL=EDGES",
        help="groups by true size, as tumour=20,40mm (diameter of the sphere of its volume) or "
        "pancreas=60,90mL (default: 20 and 40 mm for lesions, terciles of volume for organs)",
    )
    parser.add_argument(
        "--patient-regex", metavar="REGEX", help="finds the patient in a case's name, as its first group"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default %(default)s)")
    parser.add_argument("--jobs", type=int, help="cases scored at once (default 4, at most the CPUs)")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="of the results")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Compare as parsed, write the files and print the tables."""
    # torch and nnU-Net take seconds to load; the other sub-commands shall not wait for them.
    from nnunet_pancext.comparison import compare_models
    from nnunet_pancext.comparison.output.console import format_comparison
    from nnunet_pancext.comparison.output.files import write_comparison
    from nnunet_pancext.io.files import output_folder

    with output_folder(parsed.out) as out:
        comparison = compare_models(
            parsed.dataset,
            parsed.trainers,
            configuration=parsed.configuration,
            plans=parsed.plans,
            folds=parsed.folds,
            reference=parsed.reference,
            metrics=parsed.metrics,
            strata=parsed.strata,
            patient_regex=parsed.patient_regex,
            seed=parsed.seed,
            jobs=parsed.jobs,
        )
        page = write_comparison(out, comparison)
    print(format_comparison(comparison))
    print(f"\nreport    {page}")
    return 0

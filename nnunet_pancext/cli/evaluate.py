"""`pancext evaluate`: score predicted label maps."""

import argparse
import sys
from pathlib import Path

from nnunet_pancext.cli.options import add_command, add_jobs, add_out

DESCRIPTION = """\
Score a folder of predicted label maps against ground truth of the same file names, and write metrics.csv
(one row per case and label) and summary.json. The exit code is 1 if a case could not be scored."""

EXAMPLES = """\
examples:
  pancext evaluate predictions $nnUNet_raw/Dataset007_Pancreas/labelsTs -o scores
  pancext evaluate predictions labels -o scores --labels pancreas=1 tumour=2
  pancext evaluate predictions labels -o scores --probabilities --jobs 8 --keep-going
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `evaluate` sub-command."""
    text = "score predicted label maps: overlap, surfaces, lesions, per volume and per slice"
    parser = add_command(commands, "evaluate", help=text, description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("predictions", type=Path, help="folder of predicted label maps")
    parser.add_argument("truth", type=Path, help="folder of ground-truth label maps")
    add_out(parser, "-o")
    parser.add_argument(
        "--dataset-json",
        type=Path,
        metavar="FILE",
        help="dataset.json that declares the labels (default: the one in the folder of the predictions or "
        "of the ground truth, or in the parent of the latter)",
    )
    parser.add_argument(
        "--labels",
        nargs="+",
        metavar="NAME=VALUE",
        help="labels in place of a dataset.json, such as pancreas=1 tumour=2, or whole=1,2 for a region",
    )
    parser.add_argument(
        "--probabilities",
        action="store_true",
        help="also score the .npz of nnUNetv2_predict --save_probabilities: PR curve, AUROC, AP",
    )
    parser.add_argument(
        "--patient-regex",
        metavar="REGEX",
        help="regular expression whose first group is the patient in a case's name, for patient-level AUROC "
        "(default: split.json of a converted dataset, else cases named PATIENT_frameNN share a patient)",
    )
    add_jobs(parser)
    parser.add_argument(
        "--keep-going", action="store_true", help="skip cases that cannot be scored, and list them at the end"
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Evaluate as parsed and print the tables."""
    from nnunet_pancext.evaluation.declared_labels import declared_labels
    from nnunet_pancext.evaluation.folder import evaluate, failure_text, require_folders
    from nnunet_pancext.evaluation.scores import write_metrics_csv
    from nnunet_pancext.evaluation.summary import write_curves, write_summary
    from nnunet_pancext.evaluation.totals_table import format_totals
    from nnunet_pancext.io.files import cannot_write, output_folder
    from nnunet_pancext.io.parallel import default_jobs

    require_folders(parsed.predictions, parsed.truth)
    labels, file_ending = declared_labels(
        parsed.predictions, parsed.truth, words=parsed.labels, dataset_json=parsed.dataset_json
    )
    with output_folder(parsed.out) as out:
        evaluation = evaluate(
            parsed.predictions,
            parsed.truth,
            labels=labels,
            file_ending=file_ending,
            jobs=default_jobs() if parsed.jobs is None else parsed.jobs,
            probabilities=parsed.probabilities,
            keep_going=parsed.keep_going,
            advice="With --keep-going the other cases are scored.",
            patient_regex=parsed.patient_regex,
            show_progress=True,
        )
        try:
            write_metrics_csv(evaluation.scores, out / "metrics.csv")
            write_summary(evaluation, out / "summary.json")
            if parsed.probabilities:
                write_curves(evaluation, out / "pr_curve.csv")
        except OSError as error:
            raise cannot_write(out, error) from error
    print(format_totals(evaluation))
    print(f"\ntables    {out / 'metrics.csv'}, {out / 'summary.json'}")
    for case, text in evaluation.failures.items():
        print(f"not scored    {failure_text(case, text)}", file=sys.stderr)
    return 1 if evaluation.failures else 0

"""`pancext convert`: a downloaded dataset becomes an nnU-Net raw dataset."""

from __future__ import annotations

import argparse
from pathlib import Path

MSD_EXAMPLES = """\
examples:
  pancext convert msd Task07_Pancreas.tar                          nnU-Net's own five folds
  pancext convert msd Task07_Pancreas --labels pancreas --split 257/24 --id 17
  pancext convert msd Downloads --out /data/nnunet_raw --jobs 8 --strict
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add `convert` with one sub-command for each source layout."""
    parser = commands.add_parser("convert", help="turn a downloaded dataset into an nnU-Net raw dataset")
    layouts = parser.add_subparsers(dest="layout", metavar="LAYOUT", required=True)
    add_msd(layouts)


def add_msd(layouts: argparse._SubParsersAction) -> None:
    """Add `convert msd`."""
    parser = layouts.add_parser(
        "msd",
        help="Medical Segmentation Decathlon Task07_Pancreas",
        description="Convert MSD Task07_Pancreas. Images are hard-linked or copied, never re-encoded.",
        epilog=MSD_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common_arguments(parser, dataset_id=7, name="Pancreas")
    parser.add_argument(
        "--labels",
        choices=("pancreas+tumour", "pancreas"),
        default="pancreas+tumour",
        help="as the source declares them (default), or every foreground label merged into 1 'pancreas'",
    )
    parser.add_argument(
        "--split",
        default="nnunet",
        metavar="nnunet|A/B",
        help="nnunet (default): all labelled cases train; A/B, e.g. 257/24 or 216/65: A cases train, "
        "B are held out as imagesTs with labelsTs, drawn with a fixed seed",
    )
    parser.set_defaults(run=run_msd)


def add_common_arguments(parser: argparse.ArgumentParser, *, dataset_id: int, name: str) -> None:
    """Add what every layout has: the source, the target and how to work."""
    parser.add_argument("source", type=Path, help="the dataset's folder, its parent, or its .tar or .tar.gz")
    parser.add_argument(
        "--id", type=int, default=dataset_id, dest="dataset_id", help="dataset id (default %(default)s)"
    )
    parser.add_argument("--name", default=name, help="dataset name (default %(default)s)")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="the raw datasets' folder (default $nnUNet_raw)"
    )
    parser.add_argument("--jobs", type=int, help="cases worked on at once (default 4, at most the CPUs)")
    parser.add_argument(
        "--strict", action="store_true", help="stop on any bad case instead of leaving it out"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the dataset if it exists, at the end"
    )


def run_msd(parsed: argparse.Namespace) -> int:
    """Convert as parsed and print the summary."""
    # SimpleITK takes its time to load; the other sub-commands shall not wait for it.
    from nnunet_pancext.dataset_conversion.msd import convert_msd
    from nnunet_pancext.dataset_conversion.raw_dataset import raw_root_from_environment
    from nnunet_pancext.dataset_conversion.report import summary

    result = convert_msd(
        parsed.source,
        raw_root=parsed.out or raw_root_from_environment(),
        dataset_id=parsed.dataset_id,
        name=parsed.name,
        labels=parsed.labels,
        split=parsed.split,
        jobs=parsed.jobs,
        strict=parsed.strict,
        overwrite=parsed.overwrite,
    )
    print(summary(result))
    return 0

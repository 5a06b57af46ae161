"""`pancext convert`: a downloaded dataset becomes an nnU-Net raw dataset."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

FORMATS = ".tar, .tar.gz or .zip"
MSD_EXAMPLES = """\
examples:
  pancext convert msd Task07_Pancreas.tar                          nnU-Net's own five folds
  pancext convert msd Task07_Pancreas --labels pancreas --split 257/24 --id 17
  pancext convert msd Downloads --out /data/nnunet_raw --jobs 8 --strict
"""


NIH_EXAMPLES = """\
examples:
  pancext convert nih manifest-1599750808610 TCIA_pancreas_labels-02-05-2017
  pancext convert nih Pancreas-CT.zip TCIA_pancreas_labels-02-05-2017.zip --split 60/20 --id 82
"""
SPLIT_HELP = (
    "nnunet (default): all labelled cases train; A/B, e.g. %s: A cases train, "
    "B are held out as imagesTs with labelsTs, drawn with a fixed seed"
)


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add `convert` with one sub-command for each source layout."""
    parser = commands.add_parser("convert", help="turn a downloaded dataset into an nnU-Net raw dataset")
    layouts = parser.add_subparsers(dest="layout", metavar="LAYOUT", required=True)
    add_msd(layouts)
    add_nih(layouts)


def add_msd(layouts: argparse._SubParsersAction) -> None:
    """Add `convert msd`."""
    parser = layouts.add_parser(
        "msd",
        help="Medical Segmentation Decathlon Task07_Pancreas",
        description="Convert MSD Task07_Pancreas. Images are hard-linked or copied, never re-encoded.",
        epilog=MSD_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help=f"the dataset's folder, its parent, or its {FORMATS}")
    add_common_arguments(parser, dataset_id=7, name="Pancreas")
    parser.add_argument(
        "--labels",
        choices=("pancreas+tumour", "pancreas"),
        default="pancreas+tumour",
        help="as the source declares them (default), or every foreground label merged into 1 'pancreas'",
    )
    add_split(parser, example="257/24 or 216/65")
    parser.add_argument(
        "--check-orientation",
        action="store_true",
        help="see from each image whether its label lies on it the right way round; needs minutes",
    )
    parser.set_defaults(run=run_msd)


def add_nih(layouts: argparse._SubParsersAction) -> None:
    """Add `convert nih`."""
    parser = layouts.add_parser(
        "nih",
        help="NIH Pancreas-CT, DICOM series with labels in NIfTI",
        description="Convert NIH Pancreas-CT. Slices are ordered by position and written in HU; each label "
        "is laid onto its image as the image's intensities tell, and left out where they do not.",
        epilog=NIH_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "images", type=Path, help=f"the folder of all patients' DICOM files, or its {FORMATS}"
    )
    parser.add_argument(
        "labels", type=Path, help=f"the folder of label0001.nii.gz and so on, or its {FORMATS}"
    )
    add_common_arguments(parser, dataset_id=82, name="NIHPancreas")
    add_split(parser, example="60/20")
    parser.set_defaults(run=run_nih)


def add_split(parser: argparse.ArgumentParser, *, example: str) -> None:
    """Add which cases are held out."""
    parser.add_argument("--split", default="nnunet", metavar="nnunet|A/B", help=SPLIT_HELP % example)


def add_common_arguments(parser: argparse.ArgumentParser, *, dataset_id: int, name: str) -> None:
    """Add what every layout has: the target and how to work."""
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
    from nnunet_pancext.dataset_conversion.report import summary

    result = convert_msd(
        parsed.source,
        labels=parsed.labels,
        check_orientation=parsed.check_orientation,
        **common_options(parsed),
    )
    print(summary(result))
    return 0


def run_nih(parsed: argparse.Namespace) -> int:
    """Convert as parsed and print the summary."""
    from nnunet_pancext.dataset_conversion.nih import convert_nih
    from nnunet_pancext.dataset_conversion.report import summary

    print(summary(convert_nih(parsed.images, parsed.labels, **common_options(parsed))))
    return 0


def common_options(parsed: argparse.Namespace) -> dict[str, Any]:
    """Return the options that every converter takes."""
    from nnunet_pancext.dataset_conversion.raw_dataset import raw_root_from_environment

    names = ("dataset_id", "name", "split", "jobs", "strict", "overwrite")
    options = {name: getattr(parsed, name) for name in names}
    return {"raw_root": parsed.out or raw_root_from_environment(), **options}

"""`pancext convert`: a downloaded dataset becomes an nnU-Net raw dataset."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nnunet_pancext.splits.published import names_for

FORMATS = ".tar, .tar.gz or .zip"
MSD_EXAMPLES = """\
examples:
  pancext convert msd Task07_Pancreas.tar                          nnU-Net's own five folds
  pancext convert msd Task07_Pancreas --labels pancreas --split 257/24 --id 17
  pancext convert msd Task07_Pancreas.tar --split nnunet-5fold     the same, whatever is left out
  pancext convert msd Downloads --out /data/nnunet_raw --jobs 8 --strict
"""


NIH_EXAMPLES = """\
examples:
  pancext convert nih manifest-1599750808610 TCIA_pancreas_labels-02-05-2017
  pancext convert nih Pancreas-CT.zip TCIA_pancreas_labels-02-05-2017.zip --split 60/20 --id 82
"""
SYNAPSE_EXAMPLES = """\
examples:
  pancext convert synapse RawData.zip --split transunet-18/12
  pancext convert synapse RawData --organs 13 --split monai-24/6
"""
ACDC_EXAMPLES = """\
examples:
  pancext convert acdc ACDC.zip                                  100 patients train, 50 are held out
  pancext convert acdc database --split ssl4mis-70/10/20
"""
SLICES_EXAMPLES = """\
examples:
  pancext convert slices pngs --split 257/24
  pancext convert slices pngs.zip --classes pancreas tumour --patient-regex '(case[0-9]+)_'
"""
SPLIT_HELP = (
    "nnunet (default): %s; A/B, e.g. %s: A patients train, "
    "B are held out as imagesTs with labelsTs, drawn with a fixed seed"
)


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add `convert` with one sub-command for each source layout."""
    parser = commands.add_parser("convert", help="turn a downloaded dataset into an nnU-Net raw dataset")
    layouts = parser.add_subparsers(dest="layout", metavar="LAYOUT", required=True)
    add_msd(layouts)
    add_nih(layouts)
    add_synapse(layouts)
    add_acdc(layouts)
    add_slices(layouts)


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
    add_split(parser, "msd", example="257/24 or 216/65")
    add_check_orientation(parser)
    parser.set_defaults(run=run_msd)


def add_nih(layouts: argparse._SubParsersAction) -> None:
    """Add `convert nih`."""
    parser = layouts.add_parser(
        "nih",
        help="NIH Pancreas-CT, DICOM series with labels in NIfTI",
        description="Convert NIH Pancreas-CT. Slices are ordered by position and written in HU; each label\n"
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
    add_split(parser, "nih", example="60/20")
    parser.set_defaults(run=run_nih)


def add_synapse(layouts: argparse._SubParsersAction) -> None:
    """Add `convert synapse`."""
    parser = layouts.add_parser(
        "synapse",
        help="Synapse multi-organ CT (BTCV), eight or thirteen organs",
        description="Convert the multi-organ CT of Synapse. Organs are chosen and numbered by name.",
        epilog=SYNAPSE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help=f"the folder RawData, its parent, or its {FORMATS}")
    parser.add_argument(
        "--organs", type=int, choices=(8, 13), default=8, help="TransUNet's 8 (default), or all 13"
    )
    add_common_arguments(parser, dataset_id=13, name="Synapse")
    add_split(parser, "synapse", example="18/12")
    add_check_orientation(parser)
    parser.set_defaults(run=run_synapse)


def add_acdc(layouts: argparse._SubParsersAction) -> None:
    """Add `convert acdc`."""
    parser = layouts.add_parser(
        "acdc",
        help="ACDC, cardiac MRI",
        description="Convert ACDC. The two frames of a patient are two cases, always on one side of a split.",
        epilog=ACDC_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help=f"the folder database, its parent, or its {FORMATS}")
    add_common_arguments(parser, dataset_id=27, name="ACDC")
    add_split(parser, "acdc", example="120/30", nnunet="training trains, testing is held out")
    add_check_orientation(parser)
    parser.set_defaults(run=run_acdc)


def add_slices(layouts: argparse._SubParsersAction) -> None:
    """Add `convert slices`."""
    parser = layouts.add_parser(
        "slices",
        help="slices as grey .png, with masks",
        description="Convert a folder image/ and a folder label/ of grey .png files of the same names into\n"
        "a 2D dataset. Masks are 0 and 255, or the numbers of the classes.",
        epilog=SLICES_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help=f"the folder of image/ and label/, or its {FORMATS}")
    parser.add_argument(
        "--classes",
        nargs="+",
        default=["pancreas"],
        metavar="NAME",
        help="of the values 1, 2, … of the masks",
    )
    parser.add_argument(
        "--patient-regex",
        metavar="REGEX",
        help="finds the patient in a file's name, as its first group (default: all before the last number)",
    )
    add_common_arguments(parser, dataset_id=101, name="Slices")
    add_split(parser, "slices", example="257/24")
    parser.set_defaults(run=run_slices)


def add_split(
    parser: argparse.ArgumentParser, layout: str, *, example: str, nnunet: str = "all labelled cases train"
) -> None:
    """Add which cases are held out."""
    text = SPLIT_HELP % (nnunet, example)
    published = names_for(layout)
    if published:
        text += f"; or published: {', '.join(published)} (`pancext splits list`)"
    parser.add_argument("--split", default="nnunet", metavar="nnunet|A/B|NAME", help=text)


def add_check_orientation(parser: argparse.ArgumentParser) -> None:
    """Add the look at each image for how its label lies."""
    parser.add_argument(
        "--check-orientation",
        action="store_true",
        help="see from each image whether its label lies on it the right way round; needs minutes",
    )


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
    parser.add_argument(
        "--copy",
        action="store_true",
        help="copy the files that need no change instead of hard-linking them",
    )


def run_msd(parsed: argparse.Namespace) -> int:
    """Convert as parsed and print the summary."""
    # SimpleITK takes its time to load; the other sub-commands shall not wait for it.
    from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
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
    from nnunet_pancext.dataset_conversion.layouts.nih import convert_nih
    from nnunet_pancext.dataset_conversion.report import summary

    print(summary(convert_nih(parsed.images, parsed.labels, **common_options(parsed))))
    return 0


def run_synapse(parsed: argparse.Namespace) -> int:
    """Convert as parsed and print the summary."""
    from nnunet_pancext.dataset_conversion.layouts.synapse import convert_synapse
    from nnunet_pancext.dataset_conversion.report import summary

    result = convert_synapse(
        parsed.source,
        organs=parsed.organs,
        check_orientation=parsed.check_orientation,
        **common_options(parsed),
    )
    print(summary(result))
    return 0


def run_acdc(parsed: argparse.Namespace) -> int:
    """Convert as parsed and print the summary."""
    from nnunet_pancext.dataset_conversion.layouts.acdc import convert_acdc
    from nnunet_pancext.dataset_conversion.report import summary

    result = convert_acdc(parsed.source, check_orientation=parsed.check_orientation, **common_options(parsed))
    print(summary(result))
    return 0


def run_slices(parsed: argparse.Namespace) -> int:
    """Convert as parsed and print the summary."""
    from nnunet_pancext.dataset_conversion.layouts.png_slices import PATIENT_REGEX, convert_slices
    from nnunet_pancext.dataset_conversion.report import summary

    result = convert_slices(
        parsed.source,
        classes=parsed.classes,
        patient_regex=parsed.patient_regex or PATIENT_REGEX,
        **common_options(parsed),
    )
    print(summary(result))
    return 0


def common_options(parsed: argparse.Namespace) -> dict[str, Any]:
    """Return the options that every converter takes."""
    from nnunet_pancext.nnunet_files.folders import raw_root

    names = ("dataset_id", "name", "split", "jobs", "strict", "overwrite", "copy")
    options = {name: getattr(parsed, name) for name in names}
    return {"raw_root": parsed.out or raw_root(), **options}

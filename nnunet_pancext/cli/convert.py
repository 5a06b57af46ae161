"""`pancext convert`: a downloaded dataset becomes an nnU-Net raw dataset."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

from nnunet_pancext.splits.published import names_for

FORMATS = ".tar, .tar.gz or .zip"
EXAMPLES = {
    "msd": """\
  pancext convert msd Task07_Pancreas.tar                          nnU-Net's own five folds
  pancext convert msd Task07_Pancreas --labels pancreas --split 257/24 --id 17
  pancext convert msd Task07_Pancreas.tar --split nnunet-5fold     the same folds, whatever is left out
  pancext convert msd Downloads --out /data/nnunet_raw --jobs 8 --strict
""",
    "nih": """\
  pancext convert nih manifest-1599750808610 TCIA_pancreas_labels-02-05-2017
  pancext convert nih Pancreas-CT.zip TCIA_pancreas_labels-02-05-2017.zip --split 60/20 --id 82
""",
    "synapse": """\
  pancext convert synapse RawData.zip --split transunet-18/12
  pancext convert synapse RawData --organs 13 --split monai-24/6
""",
    "acdc": """\
  pancext convert acdc ACDC.zip                                  100 patients for training, 50 for testing
  pancext convert acdc database --split ssl4mis-70/10/20
""",
    "slices": """\
  pancext convert slices pngs --split 257/24
  pancext convert slices pngs.zip --classes pancreas tumour --patient-regex '(case[0-9]+)_'
""",
}
SPLIT_HELP = (
    "nnunet (default): {nnunet}; A/B, e.g. {example}: A patients for training and B for testing "
    "(imagesTs with labelsTs), drawn with a fixed seed"
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
    parser = add_layout(
        layouts,
        "msd",
        source=f"the dataset's folder, its parent, or its {FORMATS}",
        help="Medical Segmentation Decathlon Task07_Pancreas",
        description="Convert MSD Task07_Pancreas. Images are hard-linked or copied, never re-encoded.",
    )
    add_common_arguments(parser, dataset_id=7, name="Pancreas")
    parser.add_argument(
        "--labels",
        choices=("pancreas+tumour", "pancreas"),
        default="pancreas+tumour",
        help="as the source declares them (default), or all foreground labels merged into 1 'pancreas'",
    )
    add_split(parser, "msd", example="257/24 or 216/65")
    add_check_orientation(parser)


def add_nih(layouts: argparse._SubParsersAction) -> None:
    """Add `convert nih`."""
    parser = add_layout(
        layouts,
        "nih",
        help="NIH Pancreas-CT, DICOM series with labels in NIfTI",
        description="Convert NIH Pancreas-CT. Slices are ordered by position and written in HU. Label\n"
        "orientation is verified against the image; cases where it is unclear are left out.",
    )
    parser.add_argument(
        "images", type=Path, help=f"the folder of all patients' DICOM files, or its {FORMATS}"
    )
    parser.add_argument(
        "labels", type=Path, help=f"the folder of label0001.nii.gz and so on, or its {FORMATS}"
    )
    add_common_arguments(parser, dataset_id=82, name="NIHPancreas")
    add_split(parser, "nih", example="60/20")


def add_synapse(layouts: argparse._SubParsersAction) -> None:
    """Add `convert synapse`."""
    parser = add_layout(
        layouts,
        "synapse",
        source=f"the folder RawData, its parent, or its {FORMATS}",
        help="Synapse multi-organ CT (BTCV), eight or thirteen organs",
        description="Convert the multi-organ CT of Synapse. Organs are selected and numbered by name.",
    )
    parser.add_argument(
        "--organs", type=int, choices=(8, 13), default=8, help="TransUNet's 8 (default), or all 13"
    )
    add_common_arguments(parser, dataset_id=13, name="Synapse")
    add_split(parser, "synapse", example="18/12")
    add_check_orientation(parser)


def add_acdc(layouts: argparse._SubParsersAction) -> None:
    """Add `convert acdc`."""
    parser = add_layout(
        layouts,
        "acdc",
        source=f"the folder database, its parent, or its {FORMATS}",
        help="ACDC, cardiac MRI",
        description="Convert ACDC. The two frames of a patient are two cases, always on one side of a split.",
    )
    add_common_arguments(parser, dataset_id=27, name="ACDC")
    add_split(parser, "acdc", example="120/30", nnunet="the source's own training and testing sets")
    add_check_orientation(parser)


def add_slices(layouts: argparse._SubParsersAction) -> None:
    """Add `convert slices`."""
    parser = add_layout(
        layouts,
        "slices",
        source=f"the folder of image/ and label/, or its {FORMATS}",
        help="greyscale .png slices with masks",
        description="Convert greyscale .png files in image/, with masks of the same names in label/, into a\n"
        "2D dataset. Masks hold 0 and 255, or the numbers of the classes.",
    )
    parser.add_argument(
        "--classes", nargs="+", default=["pancreas"], metavar="NAME", help="names of the mask values 1, 2, …"
    )
    parser.add_argument(
        "--patient-regex",
        metavar="REGEX",
        help="its first group is the patient in a file's name (default: all before the last number)",
    )
    add_common_arguments(parser, dataset_id=101, name="Slices")
    add_split(parser, "slices", example="257/24")


def add_layout(
    layouts: argparse._SubParsersAction, layout: str, *, source: str = "", **texts: Any
) -> argparse.ArgumentParser:
    """Add the sub-command of a layout with its texts, and its `source` if it has one alone."""
    parser = layouts.add_parser(
        layout,
        epilog=f"examples:\n{EXAMPLES[layout]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **texts,
    )
    if source:
        parser.add_argument("source", type=Path, help=source)
    parser.set_defaults(run=run)
    return parser


def add_split(
    parser: argparse.ArgumentParser, layout: str, *, example: str, nnunet: str = "all labelled cases train"
) -> None:
    """Add the choice of training and test cases."""
    text = SPLIT_HELP.format(nnunet=nnunet, example=example)
    if published := names_for(layout):
        text += f"; or published: {', '.join(published)} (`pancext splits list`)"
    parser.add_argument("--split", default="nnunet", metavar="nnunet|A/B|NAME", help=text)


def add_check_orientation(parser: argparse.ArgumentParser) -> None:
    """Add the check of each label's orientation."""
    parser.add_argument(
        "--check-orientation",
        action="store_true",
        help="verify label orientation against image intensities; takes minutes",
    )


def add_common_arguments(parser: argparse.ArgumentParser, *, dataset_id: int, name: str) -> None:
    """Add the options that every layout has: the target and how to work."""
    parser.add_argument(
        "--id", type=int, default=dataset_id, dest="dataset_id", help="dataset id (default %(default)s)"
    )
    parser.add_argument("--name", default=name, help="dataset name (default %(default)s)")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder of the raw datasets (default $nnUNet_raw)"
    )
    parser.add_argument("--jobs", type=int, help="cases processed at once (default 4, at most the CPUs)")
    parser.add_argument("--strict", action="store_true", help="stop on a bad case instead of leaving it out")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an existing dataset, once the new one is complete"
    )
    parser.add_argument(
        "--copy", action="store_true", help="copy unchanged files instead of hard-linking them"
    )


def run(parsed: argparse.Namespace) -> int:
    """Convert as parsed and print the summary."""
    # SimpleITK is slow to load; other sub-commands should not wait for it.
    from nnunet_pancext.dataset_conversion.report import summary
    from nnunet_pancext.nnunet_files.folders import raw_root

    module = "png_slices" if parsed.layout == "slices" else parsed.layout
    convert = getattr(
        import_module(f"nnunet_pancext.dataset_conversion.layouts.{module}"), f"convert_{parsed.layout}"
    )
    options = {name: value for name, value in vars(parsed).items() if value is not None}
    folders = ("images", "labels") if parsed.layout == "nih" else ("source",)
    sources = [options.pop(name) for name in folders]
    for name in ("command", "layout", "out", "run"):
        options.pop(name, None)
    print(summary(convert(*sources, raw_root=parsed.out or raw_root(), **options)))
    return 0

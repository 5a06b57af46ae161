"""`pancext convert`: a downloaded dataset becomes an nnU-Net raw dataset."""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from nnunet_pancext.cli.options import add_command, add_jobs
from nnunet_pancext.dataset_conversion.archive import FORMATS
from nnunet_pancext.splits.published import names_for

# Id and name of the dataset, and counts for --split.
DEFAULTS = {
    "msd": (7, "Pancreas", "257/24 or 216/65"),
    "nih": (82, "NIHPancreas", "60/20"),
    "synapse": (13, "Synapse", "18/12"),
    "acdc": (27, "ACDC", "120/30"),
    "slices": (101, "Slices", "257/24"),
}
EXAMPLES = {
    "msd": """\
  pancext convert msd Task07_Pancreas.tar                          nnU-Net's own five folds
  pancext convert msd Task07_Pancreas --labels pancreas --split 257/24 --id 17
  pancext convert msd Task07_Pancreas.tar --split nnunet-5fold     the same, whichever cases are left out
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


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add `convert` with one sub-command for each source layout."""
    parser = commands.add_parser("convert", help="turn a downloaded dataset into an nnU-Net raw dataset")
    layouts = parser.add_subparsers(dest="layout", metavar="LAYOUT", required=True)
    msd = add_layout(
        layouts,
        "msd",
        sources={"source": f"the dataset's folder, its parent, or its {FORMATS}"},
        help="Medical Segmentation Decathlon Task07_Pancreas",
        description="Convert MSD Task07_Pancreas. Images are hard-linked or copied, never re-encoded.",
    )
    msd.add_argument(
        "--labels",
        choices=("pancreas+tumour", "pancreas"),
        default="pancreas+tumour",
        help="as the source declares them (default), or all foreground labels merged into 1 'pancreas'",
    )
    add_layout(
        layouts,
        "nih",
        sources={
            "images": f"the folder of all patients' DICOM files, or its {FORMATS}",
            "labels": f"the folder of label0001.nii.gz and so on, or its {FORMATS}",
        },
        help="NIH Pancreas-CT, DICOM series with labels in NIfTI",
        description="Convert NIH Pancreas-CT. Slices are ordered by position and written in HU. Label\n"
        "orientation is verified against the image; cases where it is unclear are left out.",
    )
    synapse = add_layout(
        layouts,
        "synapse",
        sources={"source": f"the folder RawData, its parent, or its {FORMATS}"},
        help="Synapse multi-organ CT (BTCV), eight or thirteen organs",
        description="Convert the multi-organ CT of Synapse. Organs are selected and numbered by name.",
    )
    synapse.add_argument(
        "--organs", type=int, choices=(8, 13), default=8, help="TransUNet's 8 (default), or all 13"
    )
    acdc = add_layout(
        layouts,
        "acdc",
        sources={"source": f"the folder database, its parent, or its {FORMATS}"},
        nnunet_split="the source's own training and testing sets",
        help="ACDC, cardiac MRI",
        description="Convert ACDC. The two frames of a patient are two cases, always on one side of a split.",
    )
    slices = add_layout(
        layouts,
        "slices",
        sources={"source": f"the folder of image/ and label/, or its {FORMATS}"},
        help="greyscale .png slices with masks",
        description="Convert greyscale .png files in image/, with masks of the same names in label/, into a\n"
        "2D dataset. Masks hold 0 and 255, or the numbers of the classes.",
    )
    slices.add_argument(
        "--classes", nargs="+", default=["pancreas"], metavar="NAME", help="names of the mask values 1, 2, …"
    )
    slices.add_argument(
        "--patient-regex",
        metavar="REGEX",
        help="its first group is the patient in a file's name (default: everything before the last number)",
    )
    for parser in (msd, synapse, acdc):  # for nih always, for slices never
        parser.add_argument(
            "--check-orientation",
            action="store_true",
            help="verify label orientation against image intensities (takes minutes)",
        )


def add_layout(
    layouts: argparse._SubParsersAction,
    layout: str,
    *,
    sources: dict[str, str],
    nnunet_split: str = "all labelled cases train",
    **texts: str,
) -> argparse.ArgumentParser:
    """Add the sub-command of a layout with its `sources`, name to help, and the options of all layouts."""
    parser = add_command(layouts, layout, epilog=f"examples:\n{EXAMPLES[layout]}", **texts)
    parser.set_defaults(run=run, sources=tuple(sources))
    for source, text in sources.items():
        parser.add_argument(source, type=Path, help=text)
    dataset_id, name, counts = DEFAULTS[layout]
    split_help = (
        f"nnunet (default): {nnunet_split}; A/B, e.g. {counts}: A patients for training and B for "
        "testing (imagesTs with labelsTs), drawn with a fixed seed"
    )
    if published := names_for(layout):
        split_help += f"; or published: {', '.join(published)} (`pancext splits list`)"
    add = parser.add_argument
    add("--id", type=int, default=dataset_id, dest="dataset_id", help="dataset id (default %(default)s)")
    add("--name", default=name, help="dataset name (default %(default)s)")
    add("--out", type=Path, metavar="FOLDER", help="folder of the raw datasets (default $nnUNet_raw)")
    add("--split", default="nnunet", metavar="nnunet|A/B|NAME", help=split_help)
    add_jobs(parser)
    add("--strict", action="store_true", help="stop on a bad case instead of leaving it out")
    add("--overwrite", action="store_true", help="replace an existing dataset, once the new one is complete")
    add("--copy", action="store_true", help="copy unchanged files instead of hard-linking them")
    return parser


def run(parsed: argparse.Namespace) -> int:
    """Convert as parsed and print the summary."""
    # SimpleITK is slow to load; other sub-commands should not wait for it.
    from nnunet_pancext.dataset_conversion.report import summary
    from nnunet_pancext.nnunet_files.folders import PREPROCESSED, RAW, raw_root, relative_value

    module = "png_slices" if parsed.layout == "slices" else parsed.layout
    layout = import_module(f"nnunet_pancext.dataset_conversion.layouts.{module}")
    convert = getattr(layout, f"convert_{parsed.layout}")
    sources = [getattr(parsed, name) for name in parsed.sources]
    others = {"command", "layout", "out", "run", "sources", *parsed.sources}
    options = {
        name: value for name, value in vars(parsed).items() if value is not None and name not in others
    }
    out = parsed.out or raw_root()
    for variable in (PREPROCESSED,) if parsed.out else (RAW, PREPROCESSED):
        if fault := relative_value(variable):
            print(f"warning   {variable} {fault[0]}. Better: {fault[1]}", file=sys.stderr)
    print(summary(convert(*sources, raw_root=out, **options)))
    return 0

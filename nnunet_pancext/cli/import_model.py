"""`pancext import`: install a model from elsewhere without running its code."""

import argparse
from pathlib import Path

from nnunet_pancext.cli.options import add_allow, add_command

DESCRIPTION = """\
Install a shared nnU-Net model in nnUNet_results, as nnUNetv2_install_pretrained_model_from_zip does, but
without running code of the model, now or when nnU-Net loads it: checkpoints and postprocessing are read as
data, checked and written anew. provenance.json beside the model records source, hashes, date and versions."""

EXAMPLES = """\
examples:
  pancext inspect pancreas_model.zip && pancext import pancreas_model.zip
  nnUNetv2_predict -i IMAGES -o PREDICTIONS -d 007 -c 3d_fullres -tr SegResNetNLTrainer
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `import` sub-command."""
    parser = add_command(
        commands,
        "import",
        help="install a model from elsewhere without running its code",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "source", type=Path, metavar="MODEL", help="a .zip from nnUNetv2_export_model_to_zip, or a folder"
    )
    parser.add_argument(
        "--results", type=Path, metavar="FOLDER", help="where to install (default: $nnUNet_results)"
    )
    parser.add_argument("--replace", action="store_true", help="replace a model of the same name")
    add_allow(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Install the models and print their folders."""
    from nnunet_pancext.model_sharing.install import import_model

    for folder in import_model(
        parsed.source, results=parsed.results, replace=parsed.replace, allow=parsed.allow
    ):
        print(f"installed {folder}")
    return 0

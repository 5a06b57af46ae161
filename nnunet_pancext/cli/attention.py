"""`pancext attention`: write the attention maps of a trained model."""

import argparse
from pathlib import Path

from nnunet_pancext.cli.options import add_allow, add_command, add_out

DESCRIPTION = """\
Write the attention maps of a trained model for one image: attention gates, non-local blocks (what one voxel
attends to), saliency, localization and focusing maps, whichever its network has. Each becomes a NIfTI file in
the image's geometry and a PNG."""

EXAMPLES = """\
examples:
  M=$nnUNet_results/Dataset007_Pancreas
  pancext attention $M/AttentionUNetTrainer__nnUNetPlans__3d_fullres pancreas_001_0000.nii.gz -o maps
  pancext attention $M/SegResNetNLTrainer__nnUNetPlans__2d pancreas_001_0000.nii.gz --at 45 230 260 -o maps
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `attention` sub-command."""
    text = "write a trained model's attention maps for one image"
    parser = add_command(commands, "attention", help=text, description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("model", type=Path, metavar="MODEL_FOLDER", help="folder that nnUNetv2_train wrote")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="one file per channel")
    add_out(parser, "-o")
    parser.add_argument(
        "--at",
        type=int,
        nargs=3,
        metavar=("Z", "Y", "X"),
        help="query voxel (non-local blocks need it) and centre of figures: slice (0 in 2D), row, column",
    )
    parser.add_argument("-f", "--fold", default="0", metavar="FOLD", help="0 to 4 or all (default: 0)")
    checkpoint = "checkpoint_final.pth"
    parser.add_argument(
        "-chk", "--checkpoint", default=checkpoint, metavar="NAME", help="default: %(default)s"
    )
    parser.add_argument("--device", choices=("cuda", "cpu", "mps"), help="default: cuda if any, else cpu")
    add_allow(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Write the maps and print their paths."""
    from nnunet_pancext.attention.heatmap import write_maps
    from nnunet_pancext.attention.maps import read_attention
    from nnunet_pancext.attention.model import TrainedModel, check_voxel
    from nnunet_pancext.checkpoints.device import choose_device

    device = choose_device(parsed.device)
    voxel = None if parsed.at is None else tuple(parsed.at)
    model = TrainedModel(
        parsed.model, fold=parsed.fold, checkpoint=parsed.checkpoint, device=device, allow=parsed.allow
    )
    image = model.prepare(parsed.images)
    if voxel is not None:
        check_voxel(voxel, image)
    maps = read_attention(model, image, voxel)
    case = parsed.images[0].name.removesuffix(model.dataset.file_ending).removesuffix("_0000")
    for path in write_maps(
        maps, reference=image.reference, folder=parsed.out, case=case, voxel=voxel, is_ct=model.is_ct
    ):
        print(f"map       {path}")
    print(f"pictures  {parsed.out}/{case}_*.png")
    return 0

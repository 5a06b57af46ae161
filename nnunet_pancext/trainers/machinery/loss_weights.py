"""Weights of Dice and cross-entropy in nnU-Net's loss, log and progress figure."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from nnunet_pancext.io.files import atomic_path

FAST = 1  # zlib's level
DICE, CE = "loss_weight_dice", "loss_weight_ce"


def set_loss_weights(loss: nn.Module, dice: float, ce: float) -> None:
    """Set the weights of nnU-Net's Dice + CE or Dice + BCE, inside any wrappers that keep it as `loss`."""
    compound: Any = loss
    while not (hasattr(compound, "weight_dice") and hasattr(compound, "weight_ce")):
        if not hasattr(compound, "loss"):
            raise TypeError(f"{type(compound).__name__} is not a weighted sum of Dice and cross-entropy.")
        compound = compound.loss
    compound.weight_dice, compound.weight_ce = dice, ce


def log_columns(logger: Any, values: dict[str, float], epoch: int) -> None:
    """Log values by name as further columns of nnU-Net's log, which checkpoints keep."""
    columns = logger.local_logger.my_fantastic_logging
    for key, value in values.items():
        columns.setdefault(key, [])
        logger.log(key, value, epoch)


def append_weights_panel(path: Path, logger: Any) -> None:
    """Append a panel with the weights of all epochs so far to nnU-Net's progress figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    with Image.open(path) as file:
        progress = file.convert("RGB")
    width, height = progress.size
    dpi = 100
    figure = Figure(figsize=(width / dpi, width / dpi / 3), dpi=dpi, layout="tight")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    for key, colour in ((DICE, "g"), (CE, "b")):
        axes.plot(logger.get_value(key, None), color=colour, linewidth=4, label=key.replace("_", " "))
    axes.set_xlabel("epoch", fontsize=30)
    axes.set_ylabel("weight", fontsize=30)
    axes.tick_params(labelsize=30)
    axes.set_ylim(bottom=0)
    axes.grid(True)
    axes.legend(fontsize=30)
    canvas.draw()
    panel = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    both = Image.new("RGB", (width, height + panel.height))
    both.paste(progress, (0, 0))
    both.paste(panel, (0, height))
    with atomic_path(path) as partial:
        both.save(partial, format="PNG", compress_level=FAST)  # rewritten after each epoch

"""`balanced`: nnU-Net's own windows, but only those near the foreground.

Every window of nnU-Net's grid whose core lies within 5 mm of the foreground is run. The foreground is
first that of a coarse pass, then that of these windows without mirroring, then that of the result, until no
further window is near it. Within the cores of these windows the result is that of the whole image, except
that windows farther away do not take part in the averages at the cores' edges.
"""

from functools import partial
from time import monotonic

import torch

from nnunet_pancext.inference.coarse import (
    SLICES_A_STEP,
    CoarsePass,
    foreground_of_previous_stage,
    plan_coarse_pass,
    plan_kept_pass,
)
from nnunet_pancext.inference.exact import predict_exact
from nnunet_pancext.inference.foreground import hardly_seen, implausible, volume_ml
from nnunet_pancext.inference.logits import Logits, Passes, Request
from nnunet_pancext.inference.near import NearForeground
from nnunet_pancext.inference.prepared_image import PreparedImage
from nnunet_pancext.inference.sliding import Sliding
from nnunet_pancext.inference.trained_folds import LoadedFolds, threads_of_nnunet
from nnunet_pancext.inference.window_runner import WindowRunner
from nnunet_pancext.inference.windows import Mask, stock_grid

COARSE_SHARE = 0.1  # of nnU-Net's forward passes, at most


@torch.inference_mode()
def predict_balanced(folds: LoadedFolds, image: PreparedImage, request: Request) -> Logits:
    """Return the logits near the foreground; of the whole image where it costs less, or nothing is found."""
    runner = WindowRunner(folds, image)
    grid = stock_grid(folds, image.data.shape[1:])
    passes = Passes(whole_image_windows=len(grid), whole_image_forwards=len(grid) * folds.forwards_per_window)
    coarse: CoarsePass | None = None
    if not image.num_previous and not folds.mirroring_axes:
        coarse = plan_kept_pass(folds, image)
    elif not image.num_previous:
        coarse = plan_coarse_pass(
            folds,
            image,
            networks=range(len(folds.networks)),
            most_forwards=COARSE_SHARE * passes.whole_image_forwards,
            least_every=SLICES_A_STEP,
        )
        if coarse is None:
            return _whole_image(folds, image, request, passes, why="a coarse pass would not save work")
    sliding = Sliding(runner, grid, axes=folds.mirroring_axes, per_fold=request.per_fold)
    near = NearForeground(sliding, image, request, passes)
    with threads_of_nnunet():
        if coarse is None:
            mask, why = foreground_of_previous_stage(image, runner), "the previous stage found no foreground"
        else:
            mask, why = _look(coarse, near), "the coarse pass found no foreground"
        if not (mask.any() or sliding.done.any()):
            passes.forwards = runner.forwards
            return _whole_image(folds, image, request, passes, why=why)
        if mask.any():
            near.run(_look_again(near, mask) if sliding.axes else mask)
            why = implausible(volume_ml(near.foreground_voxels, near.spacing_mm), request)
            if coarse is not None and not why:
                why = hardly_seen(int(near.reached.sum()), int((near.reached & mask).sum()))
        if why:
            passes.fallback = "" if sliding.done.all() else why
            near.run_windows(grid.all(), "the whole image")
        return near.result()


def _look(coarse: CoarsePass, near: NearForeground) -> Mask:
    """Return the foreground of the coarse pass, whose windows are kept where they are nnU-Net's."""
    sliding, request = near.sliding, near.request
    request.announce("the coarse pass", coarse.forwards)
    started = monotonic()
    if coarse.is_kept:
        sliding.make_room(coarse.chosen)
        run = partial(sliding.run_window, axes=())
        mask = coarse.find(sliding.runner, of_any_fold=request.per_fold, run=run)
        sliding.done = coarse.chosen
    else:
        mask = coarse.find(sliding.runner, of_any_fold=request.per_fold)
    near.passes.coarse_windows = near.coarse_windows = coarse.windows
    near.passes.add_seconds("coarse pass", monotonic() - started)
    return mask


def _look_again(near: NearForeground, mask: Mask) -> Mask:
    """Return the foreground that the windows near a mask see in their cores, without mirroring.

    The coarse pass finds more, at the edges of its windows. These forward passes are kept: where the
    foreground is, `run` adds the mirrored ones.
    """
    chosen = near.windows(mask)
    forwards = int(chosen.sum()) * len(near.sliding.runner.folds.networks)
    near.request.announce("windows near what the coarse pass found, without mirroring", forwards)
    started = monotonic()
    mask = near.sliding.look(chosen)
    near.passes.add_seconds("full pass", monotonic() - started)
    return mask


def _whole_image(
    folds: LoadedFolds, image: PreparedImage, request: Request, passes: Passes, *, why: str
) -> Logits:
    """Return nnU-Net's own prediction, with what was spent before it."""
    logits = predict_exact(folds, image, request)
    logits.passes.fallback = why
    logits.passes.forwards += passes.forwards
    logits.passes.coarse_windows = passes.coarse_windows
    logits.passes.seconds |= passes.seconds
    return logits

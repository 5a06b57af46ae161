"""`fast`: crops around the foreground, with a grid of their own, less overlap and less mirroring.

A crop's grid is not that of the whole image, so the result differs from nnU-Net's as that of a shifted grid
does. A crop whose foreground reaches a side grows there and is run again.
"""

from math import ceil
from time import monotonic

import numpy as np
import torch

from nnunet_pancext.inference.bf16_probe import bfloat16_pays
from nnunet_pancext.inference.coarse import CoarsePass, foreground_of_previous_stage, plan_coarse_pass
from nnunet_pancext.inference.crops import boxes_around, grown_where, merged, sides_reached
from nnunet_pancext.inference.foreground import (
    hardly_seen,
    implausible,
    large_components,
    volume_ml,
    voxel_spacing_mm,
)
from nnunet_pancext.inference.logits import Box, Logits, Passes, Region, Request
from nnunet_pancext.inference.near import RIM
from nnunet_pancext.inference.prepared_image import PreparedImage
from nnunet_pancext.inference.sliding import Sliding
from nnunet_pancext.inference.trained_folds import LoadedFolds, threads_of_nnunet
from nnunet_pancext.inference.window_runner import WindowRunner
from nnunet_pancext.inference.windows import (
    Grid,
    Mask,
    bounding_box,
    grown,
    make_grid,
    size_of,
    stock_grid,
    whole,
)
from nnunet_pancext.io.console_text import counted

MARGIN_MM = 20.0
STEP = 0.75  # of a window's length
SLICES_A_STEP = 5  # of which the coarse pass looks at one, in 2D
MOST = 1.1  # of nnU-Net's forward passes
COARSE_SHARE = 0.5  # of the forward passes of the whole image with this grid
OVERLAPPING_SHARE = 1.25  # of a coarse pass's windows, up to which overlapping ones take its place
LEAST_CAPABILITY = (8, 0)  # of NVIDIA's GPUs that compute in bfloat16, from Ampere on


@torch.inference_mode()
def predict_fast(folds: LoadedFolds, image: PreparedImage, request: Request) -> Logits:
    """Return the logits of crops around the foreground, or of the whole image with the crops' grid."""
    with threads_of_nnunet():
        return _Fast(folds, image, request).predict()


class _Fast:
    def __init__(self, folds: LoadedFolds, image: PreparedImage, request: Request) -> None:
        self.folds, self.image, self.request = folds, image, request
        self.runner = WindowRunner(folds, image, half=convolutions_type(folds))
        self.axes = folds.mirroring_axes[-1:]
        self.spacing_mm = voxel_spacing_mm(folds, image)
        self.reach = [ceil(MARGIN_MM / length) for length in self.spacing_mm]
        stock = stock_grid(folds, image.data.shape[1:])
        self.window = stock.size
        self.passes = Passes(
            whole_image_windows=len(stock),
            whole_image_forwards=len(stock) * folds.forwards_per_window,
            bfloat16=self.runner.half == torch.bfloat16,
        )
        self.whole = whole(self.runner.shape)
        self.crops: dict[tuple[int, ...], tuple[Sliding, Mask]] = {}
        self.seen: Mask | None = None  # the foreground of the coarse pass

    def predict(self) -> Logits:
        return self._run_crops(self._places())

    @torch.inference_mode()
    def run_also(self, mask: Mask) -> Logits | None:
        """Run crops around a mask of the unpadded image too; None where they hold all of it."""
        padded = np.zeros(self.runner.shape, bool)
        padded[self.runner.inside] = mask
        places = [crop.place for crop, _ in self.crops.values()]
        for place in places:
            padded[place] = False
        if not padded.any():
            return None
        with threads_of_nnunet():
            return self._run_crops(merged([*places, *boxes_around(padded, self.reach, least=self.window)]))

    def _run_crops(self, places: list[Box]) -> Logits:
        """Run crops at these places, and larger ones where the foreground reaches a side."""
        started = monotonic()
        while True:
            places = self._affordable(places)
            self._announce(places)
            found = [self._crop(place) for place in places]
            self.crops = {_key(crop.place): (crop, mask) for crop, mask in found}
            larger = merged([self._grown(crop, mask) for crop, mask in found])
            if larger == places:
                reached = sum(int(mask.sum()) for _, mask in found)
                voxels = reached
                if self.request.per_fold:  # of their mean
                    voxels = sum(int(crop.foreground().sum()) for crop, _ in found)
                why = implausible(volume_ml(voxels, self.spacing_mm), self.request)
                if self.seen is not None and not why:
                    seen = sum(int((mask & self.seen[crop.place]).sum()) for crop, mask in found)
                    why = hardly_seen(reached, seen)
                if not why or places == [self.whole]:
                    break
                self.passes.fallback, larger = why, [self.whole]
            else:
                self.passes.growths += 1
            places = larger
        self.passes.add_seconds("full pass", monotonic() - started)
        self.passes.windows = sum(len(crop.grid) for crop, _ in found)
        self.passes.forwards = self.runner.forwards
        regions = [self._region(crop, mask) for crop, mask in found]
        slices, rows, columns = self.image.data.shape[1:]
        kept = tuple(region for region in regions if region is not None)
        return Logits((slices, rows, columns), kept, self.passes, run_also=self.run_also)

    def _places(self) -> list[Box]:
        """Return where the foreground is, by a first look."""
        if self.image.num_previous:
            mask = foreground_of_previous_stage(self.image, self.runner)
            nothing = "the previous stage found no foreground"
        else:
            coarse = self._plan()
            if coarse is None:
                self.passes.fallback = "a coarse pass would not save work"
                return [self.whole]
            mask = self.seen = self._look(coarse)
            nothing = "the coarse pass found no foreground"
        if not mask.any():
            self.passes.fallback = nothing
            return [self.whole]
        return boxes_around(mask, self.reach, least=self.window)

    def _look(self, coarse: CoarsePass) -> Mask:
        """Return the foreground of the coarse pass.

        In 3D overlapping windows cost about as much, and fewer of them are wrong at their edges.
        """
        grid = self._grid(self.whole)
        is_overlapping = len(self.folds.networks) == 1 and len(grid) <= OVERLAPPING_SHARE * coarse.windows
        self.passes.coarse_windows = len(grid) if is_overlapping else coarse.windows
        self.request.announce("the coarse pass", len(grid) if is_overlapping else coarse.forwards)
        started = monotonic()
        if is_overlapping:
            sliding = Sliding(self.runner, grid, axes=())
            sliding.run(grid.all())
            mask = sliding.foreground()
        else:
            mask = coarse.find(self.runner, of_any_fold=self.request.per_fold)
        self.passes.add_seconds("coarse pass", monotonic() - started)
        return mask

    def _plan(self) -> CoarsePass | None:
        price = self._price(self.whole)
        return plan_coarse_pass(
            self.folds,
            self.image,
            networks=range(len(self.folds.networks)) if self.request.per_fold else [0],
            most_forwards=min(COARSE_SHARE * price, MOST * self.passes.whole_image_forwards - price),
            every=SLICES_A_STEP,
        )

    def _affordable(self, places: list[Box]) -> list[Box]:
        """Return the places, or the whole image where they cost as much, or leave too little for it."""
        if places == [self.whole]:
            return places
        further = sum(self._price(place) for place in places if _key(place) not in self.crops)
        price = self._price(self.whole)
        left = MOST * self.passes.whole_image_forwards - self.runner.forwards
        if further < price and further + price <= left:
            return places
        self.passes.fallback = (
            "crops around the foreground would not save work"
            if not self.crops
            else "the foreground reaches beyond its crops"
        )
        return [self.whole]

    def _announce(self, places: list[Box]) -> None:
        new = [place for place in places if _key(place) not in self.crops]
        what = (
            "the whole image"
            if places == [self.whole]
            else f"{counted(len(new), 'crop')} around the foreground"
        )
        self.request.announce(what, sum(map(self._price, new)))

    def _crop(self, place: Box) -> tuple[Sliding, Mask]:
        if _key(place) not in self.crops:
            crop = Sliding(
                self.runner,
                self._grid(place),
                axes=self.axes,
                per_fold=self.request.per_fold,
                place=place,
            )
            crop.run(crop.grid.all())
            self.crops[_key(place)] = crop, crop.foreground(of_any_fold=True)
        return self.crops[_key(place)]

    def _grown(self, crop: Sliding, mask: Mask) -> Box:
        """Return the crop's place, grown at sides within the image that its foreground touches."""
        large = large_components(mask, self.spacing_mm)
        reached = sides_reached(large, crop.place, within=self.runner.inside)
        return grown_where(crop.place, reached, self.reach, within=self.runner.shape)

    def _region(self, crop: Sliding, mask: Mask) -> Region | None:
        if self.request.whole_regions:
            return crop.region()
        if not mask.any():
            return None
        return crop.region(grown(bounding_box(mask), (RIM,) * 3, within=mask.shape))

    def _grid(self, place: Box) -> Grid:
        return make_grid(size_of(place), patch=self.folds.patch_size, step=STEP)

    def _price(self, place: Box) -> int:
        return len(self._grid(place)) * 2 ** len(self.axes) * len(self.folds.networks)


def convolutions_type(folds: LoadedFolds) -> torch.dtype:
    """Return the type of the convolutions: bfloat16 where it is known to be correct and faster.

    On a CPU this is tried out, and only in 2D: PyTorch's bfloat16 convolutions of volumes are not reliable
    there.
    """
    if folds.device.type == "cuda":
        # Not torch.cuda.is_bf16_supported(), which is true of older GPUs too, where it is emulated.
        is_fast = torch.cuda.get_device_capability(folds.device) >= LEAST_CAPABILITY
        return torch.bfloat16 if is_fast else torch.float16
    is_flat_on_cpu = folds.device.type == "cpu" and len(folds.patch_size) == 2
    return torch.bfloat16 if is_flat_on_cpu and bfloat16_pays(torch.get_num_threads()) else torch.float16


def _key(place: Box) -> tuple[int, ...]:
    return tuple(end for side in place for end in (side.start, side.stop))

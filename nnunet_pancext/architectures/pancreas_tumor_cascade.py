"""The pancreatic-tumour cascade: a network for the organ, and one for the lesion in a window around it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_pancext.architectures.blocks import SaliencyChange, start_at
from nnunet_pancext.architectures.blocks.focusing import BOTH_SIDES, NUM_BRANCHES
from nnunet_pancext.architectures.dims import (
    Strides,
    check_spatial_dims,
    default_norm,
    least_positions,
)
from nnunet_pancext.architectures.lesion_stage import LesionStage
from nnunet_pancext.architectures.multi_scale_unet import (
    NUM_LEVELS,
    MultiScaleUNet,
    backbone_channels,
)
from nnunet_pancext.architectures.segmentation_network import SegmentationNetwork, crop_end
from nnunet_pancext.architectures.windows import Windows, boxes, common_windows, widen

MARGIN = 20
# The logits of both stages are held within this before they become log-probabilities.
SURE = 15.0  # a probability of 3e-7
# In prediction, where stage 2 does not look, both are held within this, and the lesion has the lowest.
# nnU-Net averages log-probabilities over flips, patches and folds: at 15, a view that saw no organ outvotes
# others that give the lesion 0.9 with 13 % of the weight; at 7, it takes 24 %. With one bound for both stages
# such a view never makes the lesion more probable than the organ.
SURE_UNSEEN = 7.0  # of 0.0009
NEVER = -60.0  # a class that is neither, so that no average of the others falls below it
# Stage 1 begins with it everywhere. From 1/2 the Dice loss of a rare organ hardly moves the background.
ORGAN_PRIOR = 0.01
# Not in PyTorch before 2.3; stage 2 is not compiled there.
IS_COMPILING = getattr(torch.compiler, "is_dynamo_compiling", lambda: False)
LEAST_POSITIONS = 2  # of a window at the deepest level, where the patch has as many
STAGES_APART, SALIENCY, JOINT = "S", "I", "J"
PHASES = (STAGES_APART, SALIENCY, JOINT)


class CascadeOutput(NamedTuple):
    """What the loss of the cascade needs.

    log_probabilities: of all classes, (B, num_classes, *spatial).
    organ_logits: of stage 1, (B, 1, *spatial).
    lesion_logits: of stage 2's maps, each (n, 1, *window), the last map first.
    windows: where these lie; None where there was nothing to look at.
    """

    log_probabilities: Tensor
    organ_logits: Tensor
    lesion_logits: list[Tensor]
    windows: Windows | None


class PancreasTumorCascade(SegmentationNetwork):
    """Qiu et al., cascade for pancreatic tumours with non-local localization and focusing.

    Stage 1, a `MultiScaleUNet`, gives the probability p1 of organ or lesion. Its box, with a margin, cuts a
    window out of the image times `SaliencyChange(p1)`; all windows of a batch have one size, at the image's
    own resolution. Stage 2 finds the lesion in it: `MultiScaleBackbone`, a convolution per level to 512, 256,
    128, 64, 32 channels (times base_channels / 64), `TargetMining`. With p2 the lesion's probability, 0
    outside the window, the classes have

        background (1 - p2)(1 - p1),  organ (1 - p2) p1,  lesion p2,

    returned as log-probabilities, with both logits held within 15: softmax gives the probabilities back. In
    prediction they are held within 7 outside of the window, so that a view in which stage 1 finds nothing
    does not outvote the others when nnU-Net averages. With one foreground class both stages find it: p2
    counts in the window, p1 outside. Where p1 is nowhere above 0.5, stage 2 does not run.

    In training the truth may be appended to the image as a last channel, 1 where there is organ or lesion.
    Phase S cuts by it and leaves the image as it is, so that the stages learn apart; I cuts by it; J cuts by
    p1, and by the truth where p1 finds nothing. Then, with deep supervision, `forward` returns a
    `CascadeOutput` instead of logits.

    Args:
        spatial_dims: 2 or 3.
        in_channels: image channels.
        num_classes: background, organ and lesion, or background and one class; others are never found.
        strides: one tuple per downsampling (4), finest first; None means 2 on every axis.
        deep_supervision: return what the loss needs.
        base_channels: None means 64 in 2D and 32 in 3D; a multiple of 8.
        margin: in voxels, for all axes or one number per axis. In training half of the windows have random
            margins of up to twice that on each side.
        crop: False gives stage 2 the whole image (ablation M of the paper's Table 3).
        saliency: False gives stage 2 the image as it is (M-P).
        localization, focusing: False leaves the module out (M-P-T, M-P-T-L). Without both, a 1x1 convolution
            on the backbone's finest features predicts.
        sides: what the focusing modules explore; see `FocusingModule`.
        norm: None means BatchNorm in 2D and InstanceNorm in 3D; or "batch", "instance", "group".

    Attributes:
        phase: "S", "I" or "J".
        roles: a buffer with the labels of organ and lesion; 1 and 2 unless set. A checkpoint carries it.

    Raises:
        ValueError: at construction, an option out of its range; in `forward`, an input that is too small.
    """

    roles: Tensor

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        strides: Sequence[Strides] | None = None,
        deep_supervision: bool = False,
        base_channels: int | None = None,
        margin: int | Sequence[int] = MARGIN,
        crop: bool = True,
        saliency: bool = True,
        localization: bool = True,
        focusing: bool = True,
        sides: Collection[str] = BOTH_SIDES,
        norm: str | None = None,
    ) -> None:
        check_spatial_dims(spatial_dims)
        if num_classes < 2:
            raise ValueError(f"num_classes is {num_classes}; the cascade needs background and foreground.")
        if focusing:  # context exploration divides half of the backbone's channels
            backbone_channels(spatial_dims, base_channels, multiple_of=2 * NUM_BRANCHES)
        norm_kind = norm or default_norm(spatial_dims)
        super().__init__(
            spatial_dims=spatial_dims,
            strides=strides,
            num_downsamplings=NUM_LEVELS - 1,
            deep_supervision=deep_supervision,
            least_deepest_positions=least_positions(norm_kind),
        )
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.margin = (margin,) * spatial_dims if isinstance(margin, int) else tuple(margin)
        if len(self.margin) != spatial_dims or min(self.margin) < 0:
            raise ValueError(f"margin is {margin}; it needs one number of at least 0 for each axis.")
        self.phase = JOINT
        self.register_buffer("roles", torch.tensor([1, min(2, num_classes - 1)]))
        self.stage_1 = MultiScaleUNet(
            spatial_dims=spatial_dims,
            in_channels=in_channels,
            num_classes=1,
            strides=self.strides,
            base_channels=base_channels,
            norm=norm_kind,
        )
        del self.stage_1.auxiliary_heads[:]  # the paper supervises its last map alone
        start_at(ORGAN_PRIOR, self.stage_1.head)
        self.crop = crop
        self.saliency = (
            SaliencyChange(spatial_dims=spatial_dims, in_channels=in_channels) if saliency else None
        )
        self.stage_2 = LesionStage(
            spatial_dims=spatial_dims,
            in_channels=in_channels,
            strides=self.strides,
            base_channels=base_channels,
            localization=localization,
            focusing=focusing,
            sides=sides,
            norm=norm_kind,
        )

    def decode(self, image: Tensor) -> list[Tensor]:
        raise NotImplementedError("The cascade has two decoders; see stage_1 and stage_2.")

    def forward(self, image: Tensor) -> Tensor | CascadeOutput:  # type: ignore[override]
        self._check_size(image)
        size = image.shape[2:]
        truth = None
        if image.shape[1] == self.in_channels + 1:
            image, truth = image[:, :-1], image[:, -1:]
        image = self._pad(image)
        # Returned as it is: what came after it in here would be compiled anew for every place of the windows.
        return self._complete(image, self.stage_1(image), truth, size, IS_COMPILING())

    @torch.compiler.disable
    def _complete(
        self, image: Tensor, organ_logits: Tensor, truth: Tensor | None, size: Sequence[int], compiled: bool
    ) -> Tensor | CascadeOutput:
        """Return the output from the padded image and stage 1's logits.

        Crop, paste and composition are not compiled. Where the network is, stage 2 is by itself, with
        PyTorch's default backend unless `stage_2.compile` was called before.
        """
        windows = self._windows(organ_logits.detach(), None if truth is None else self._pad(truth) > 0.5)
        lesion_logits: list[Tensor] = []
        if windows is not None:
            seen = windows.crop(self._salient(image, organ_logits))
            if compiled:
                self.stage_2.compile_once()
                if self.crop:
                    for axis in (0, *range(2, seen.dim())):  # all but the channels
                        torch._dynamo.maybe_mark_dynamic(seen, axis)
            lesion_logits = self.stage_2(seen)
        if self.training:
            organ_logits = organ_logits + self._nothing_of_the_idle(windows)
        log_probabilities = self._compose(organ_logits, lesion_logits, windows)
        if truth is None or not self.deep_supervision:
            return crop_end(log_probabilities, size)
        return CascadeOutput(
            crop_end(log_probabilities, size), crop_end(organ_logits, size), lesion_logits, windows
        )

    @property
    def attention_names(self) -> list[str]:
        """The names of `attention_maps`; levels are counted from 1."""
        return ["saliency", "window", *(f"stage2_{name}" for name in self.stage_2.map_names)]

    def attention_maps(self, image: Tensor) -> list[Tensor]:
        """Return what steers stage 2, with values between 0 and 1.

        The saliency is p1, out of which `SaliencyChange` makes factors for the image. The window is 1 where
        stage 2 looks. Then come the probabilities of stage 2's maps, finest first, 0 outside of the window.

        Shapes: image (B, in_channels, *spatial); each map (B, 1, *spatial).
        """
        self._check_size(image)
        size = image.shape[2:]
        image = self._pad(image)
        organ_logits = self.stage_1(image)
        windows = self._windows(organ_logits, None)
        maps = [torch.zeros_like(organ_logits)] * (1 + len(self.stage_2.map_names))
        if windows is not None:
            found = [one.sigmoid() for one in self.stage_2(windows.crop(self._salient(image, organ_logits)))]
            inside = torch.ones_like(found[0])
            maps = [windows.paste(one, onto=maps[0]) for one in (inside, *found)]
        return [crop_end(one, size) for one in (organ_logits.sigmoid(), *maps)]

    def _salient(self, image: Tensor, organ_logits: Tensor) -> Tensor:
        if self.saliency is None or (self.training and self.phase == STAGES_APART):
            return image
        return image * self.saliency(organ_logits.sigmoid())

    def _nothing_of_the_idle(self, windows: Windows | None) -> Tensor | float:
        """Return 0, with a gradient of 0 for what did not run: DistributedDataParallel wants one for all."""
        idle: list[nn.Module] = [] if windows else [self.stage_2]
        if self.saliency is not None and (self.phase == STAGES_APART or not windows):
            idle.append(self.saliency)
        return sum(0.0 * parameter.sum() for module in idle for parameter in module.parameters())

    def _windows(self, organ_logits: Tensor, truth: Tensor | None) -> Windows | None:
        shape = organ_logits.shape[2:]
        least = [
            min(length, LEAST_POSITIONS * step) for length, step in zip(shape, self.divisor, strict=True)
        ]
        if not self.crop:
            whole = ((0,) * len(shape), tuple(shape))
            return common_windows([whole] * len(organ_logits), shape=shape, divisor=self.divisor, least=least)
        follow_truth = truth is not None and self.training and self.phase != JOINT
        found = boxes(truth if follow_truth and truth is not None else organ_logits > 0)
        if truth is not None and self.training and not follow_truth:
            found = [ours or true for ours, true in zip(found, boxes(truth), strict=True)]
        vary = self.training and truth is not None
        widened = [box and widen(box, *self._margins(vary), shape) for box in found]
        return common_windows(widened, shape=shape, divisor=self.divisor, least=least)

    def _margins(self, vary: bool) -> tuple[Sequence[int], Sequence[int]]:
        if vary and torch.rand(()) < 0.5:
            before, after = (
                [int(torch.randint(2 * margin + 1, ())) for margin in self.margin] for _ in range(2)
            )
            return before, after
        return self.margin, self.margin

    def _compose(self, organ_logits: Tensor, lesion_logits: list[Tensor], windows: Windows | None) -> Tensor:
        """Return log-probabilities of all classes."""
        organ = organ_logits.float()
        bound = torch.full_like(organ, SURE if self.training else SURE_UNSEEN)
        lesion = organ if self.num_classes == 2 else -bound
        if windows is not None:
            seen = lesion_logits[0].float()
            bound = windows.paste(torch.full_like(seen, SURE), onto=bound)
            lesion = windows.paste(seen, onto=lesion)
        organ, lesion = (torch.clamp(logits, -bound, bound) for logits in (organ, lesion))
        if self.num_classes == 2:
            return torch.cat([functional.logsigmoid(-lesion), functional.logsigmoid(lesion)], dim=1)
        elsewhere = functional.logsigmoid(-lesion)
        known = [
            elsewhere + functional.logsigmoid(-organ),
            elsewhere + functional.logsigmoid(organ),
            functional.logsigmoid(lesion),
        ]
        labels = functional.pad(self.roles, (1, 0))  # background, organ, lesion
        never = organ.new_full((len(organ), self.num_classes, *organ.shape[2:]), NEVER)
        return never.index_copy(1, labels, torch.cat(known, dim=1))

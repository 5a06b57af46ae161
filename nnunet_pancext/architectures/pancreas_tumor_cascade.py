"""The two-stage network for pancreatic tumours: one stage for the organ, one for the lesion in a window."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from nnunet_pancext.architectures.blocks.focusing import BOTH_SIDES, NUM_BRANCHES
from nnunet_pancext.architectures.blocks.head import init_prior_bias
from nnunet_pancext.architectures.blocks.saliency import SaliencyChange
from nnunet_pancext.architectures.class_probabilities import compose_log_probabilities
from nnunet_pancext.architectures.dims import crop_end
from nnunet_pancext.architectures.lesion_stage import LesionStage
from nnunet_pancext.architectures.multi_scale_unet import NUM_LEVELS, MultiScaleUNet, backbone_channels
from nnunet_pancext.architectures.segmentation_network import NetworkOptions, SegmentationNetwork
from nnunet_pancext.architectures.windows import Windows, choose_windows, whole_image

MARGIN = 20
# Initial output of stage 1. From 1/2 the Dice loss of a rare organ hardly moves the background.
ORGAN_PRIOR = 0.01
# Not in PyTorch before 2.3; stage 2 is not compiled there.
IS_COMPILING = getattr(torch.compiler, "is_dynamo_compiling", lambda: False)
STAGES_APART, SALIENCY, JOINT = "S", "I", "J"
PHASES = (STAGES_APART, SALIENCY, JOINT)


class CascadeOutput(NamedTuple):
    """Input of the cascade's loss.

    log_probabilities: of all classes, (B, num_classes, *spatial).
    organ_logits: of stage 1, (B, 1, *spatial).
    lesion_logits: of stage 2's maps, each (n, 1, *window), finest first.
    windows: their places; None without any.
    """

    log_probabilities: Tensor
    organ_logits: Tensor
    lesion_logits: list[Tensor]
    windows: Windows | None


class PancreasTumorCascade(SegmentationNetwork):
    """Qiu et al., two-stage network for pancreatic tumours with non-local localization and focusing.

    Stage 1, a `MultiScaleUNet`, gives the probability p1 of organ or lesion. Its bounding box, with a margin,
    is cropped from the image times `SaliencyChange(p1)`; all windows of a batch have one size, at the image's
    own resolution. Stage 2 segments the lesion in it: `MultiScaleBackbone`, a convolution per level to 512,
    256, 128, 64, 32 channels (times base_channels / 64), `TargetMining`. The output is
    `compose_log_probabilities` of both stages: softmax gives the probabilities back. With one foreground
    class both stages segment it. Where p1 is nowhere above 0.5, stage 2 does not run.

    In training the ground truth may be appended to the image as a last channel, 1 for organ or lesion.
    Phase S crops by it and leaves the image unchanged, so that the stages learn apart; I crops by it; J crops
    by p1, and by the ground truth where p1 finds nothing. Then, with deep supervision, `forward` returns a
    `CascadeOutput` instead of logits.

    Args:
        num_classes: background, organ and lesion, or background and one class; others are never predicted.
        base_channels: None means 64 in 2D and 32 in 3D; a multiple of 8.
        margin: in voxels, for all axes or one number per axis. In training half of the windows have random
            margins of up to twice that on each side.
        crop: False gives stage 2 the whole image (ablation M of the paper's Table 3).
        saliency: False gives stage 2 the unchanged image (M-P).
        localization, focusing: False leaves the module out (M-P-T, M-P-T-L). Without both, a 1x1 convolution
            on the backbone's finest features predicts.
        sides: what the focusing modules explore; see `FocusingModule`.
        shared: see `SegmentationNetwork`.

    Attributes:
        phase: "S", "I" or "J".
        roles: a buffer with the labels of organ and lesion, 1 and 2 by default; checkpoints keep it.
    """

    roles: Tensor

    def __init__(
        self,
        *,
        base_channels: int | None = None,
        margin: int | Sequence[int] = MARGIN,
        crop: bool = True,
        saliency: bool = True,
        localization: bool = True,
        focusing: bool = True,
        sides: Collection[str] = BOTH_SIDES,
        **shared: Unpack[NetworkOptions],
    ) -> None:
        super().__init__(num_downsamplings=NUM_LEVELS - 1, **shared)
        spatial_dims, in_channels, num_classes = self.spatial_dims, self.in_channels, self.num_classes
        if num_classes < 2:
            raise ValueError(f"num_classes is {num_classes}; it needs background and foreground, so 2.")
        if focusing:  # context exploration divides half of the backbone's channels
            backbone_channels(spatial_dims, base_channels, multiple_of=2 * NUM_BRANCHES)
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
            norm=self.norm,
        )
        del self.stage_1.auxiliary_heads[:]  # the paper supervises its last map alone
        init_prior_bias(ORGAN_PRIOR, self.stage_1.head)
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
            norm=self.norm,
        )

    def forward_features(self, image: Tensor) -> list[Tensor]:
        raise NotImplementedError("PancreasTumorCascade has two decoders; see stage_1 and stage_2.")

    def forward(self, image: Tensor) -> Tensor | CascadeOutput:  # type: ignore[override]
        self._check_size(image)
        size = image.shape[2:]
        truth = None
        if image.shape[1] == self.in_channels + 1:
            image, truth = image[:, :-1], image[:, -1:]
        image = self._pad(image)
        # Returned at once: code after it would be recompiled for every position of the windows.
        return self._complete(image, self.stage_1(image), truth, size, IS_COMPILING())

    @torch.compiler.disable
    def _complete(
        self, image: Tensor, organ_logits: Tensor, truth: Tensor | None, size: Sequence[int], compiled: bool
    ) -> Tensor | CascadeOutput:
        """Return the output from the padded image and stage 1's logits.

        Crop, paste and composition are not compiled. Where the network is, stage 2 is compiled by itself,
        with PyTorch's default backend unless `stage_2.compile` was called before.
        """
        windows = self._windows(organ_logits.detach(), truth)
        lesion_logits: list[Tensor] = []
        if windows is not None:
            cropped = windows.crop(self._salient(image, organ_logits))
            if compiled:
                if self.stage_2._compiled_call_impl is None:
                    self.stage_2.compile()
                if self.crop:
                    for axis in (0, *range(2, cropped.dim())):  # all but the channels
                        torch._dynamo.maybe_mark_dynamic(cropped, axis)
            lesion_logits = self.stage_2(cropped)
        if self.training:
            organ_logits = organ_logits + self._zero_grad_term(windows)
        log_probabilities = compose_log_probabilities(
            organ_logits,
            lesion_logits[0] if lesion_logits else None,
            windows,
            roles=self.roles,
            num_classes=self.num_classes,
            training=self.training,
        )
        cropped_output = crop_end(log_probabilities, size)
        if truth is None or not self.deep_supervision:
            return cropped_output
        return CascadeOutput(cropped_output, crop_end(organ_logits, size), lesion_logits, windows)

    @property
    def attention_names(self) -> list[str]:
        """Names of `attention_maps`; levels are counted from 1."""
        return ["saliency", "window", *(f"stage2_{name}" for name in self.stage_2.map_names)]

    def attention_maps(self, image: Tensor) -> list[Tensor]:
        """Return the inputs that guide stage 2, and its maps, with values between 0 and 1.

        The saliency is p1, from which `SaliencyChange` computes factors. The window is 1 inside.
        Then come the probabilities of stage 2's maps, finest first, 0 outside the window.

        Shapes: image (B, in_channels, *spatial); each map (B, 1, *spatial).
        """
        self._check_size(image)
        size = image.shape[2:]
        image = self._pad(image)
        organ_logits = self.stage_1(image)
        windows = self._windows(organ_logits, None)
        maps = [torch.zeros_like(organ_logits)] * (1 + len(self.stage_2.map_names))
        if windows is not None:
            logits = self.stage_2(windows.crop(self._salient(image, organ_logits)))
            inside = [torch.ones_like(logits[0]), *(level.sigmoid() for level in logits)]
            maps = [windows.paste(values, onto=maps[0]) for values in inside]
        return [crop_end(values, size) for values in (organ_logits.sigmoid(), *maps)]

    def _windows(self, organ_logits: Tensor, truth: Tensor | None) -> Windows | None:
        if not self.crop:
            return whole_image(organ_logits)
        return choose_windows(
            organ_logits > 0,
            self._pad(truth) > 0.5 if self.training and truth is not None else None,
            margin=self.margin,
            size_divisibility=self.size_divisibility,
            follow_truth=self.phase != JOINT,
        )

    def _salient(self, image: Tensor, organ_logits: Tensor) -> Tensor:
        if self.saliency is None or (self.training and self.phase == STAGES_APART):
            return image
        return image * self.saliency(organ_logits.sigmoid())

    def _zero_grad_term(self, windows: Windows | None) -> Tensor | float:
        """Return 0 with a zero gradient for modules that did not run: DistributedDataParallel needs one."""
        idle: list[nn.Module] = [] if windows else [self.stage_2]
        if self.saliency is not None and (self.phase == STAGES_APART or not windows):
            idle.append(self.saliency)
        return sum(0.0 * parameter.sum() for module in idle for parameter in module.parameters())

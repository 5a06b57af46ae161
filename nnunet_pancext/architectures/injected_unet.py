"""A given U-Net, such as nnU-Net's own, with a paper's module injected between encoder and decoder."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nnunet_pancext.architectures.blocks.attention_gate import AdditiveAttention
from nnunet_pancext.architectures.blocks.conv import conv_stack
from nnunet_pancext.architectures.blocks.non_local import non_local_blocks, non_local_maps
from nnunet_pancext.architectures.blocks.target_mining import TargetMining


class InjectedUNet(nn.Module):
    """Base: the given network's own encoder and decoder, and the injected part.

    The encoder returns its features finest first. The decoder has `transpconvs`, `stages` and `seg_layers`,
    deepest first, and the switch `deep_supervision`, as in dynamic_network_architectures. Both stay the same
    objects with the same keys in a checkpoint. The part's keys come last and contain `.seg_layers.`, which
    nnU-Net's `-pretrained_weights` skips, so a checkpoint of the plain network loads.
    """

    def __init__(self, network: nn.Module, part: nn.Module, *, keep_decoder: bool = True) -> None:
        super().__init__()
        self.encoder: Any = network.encoder
        if keep_decoder:
            self.decoder: Any = network.decoder
        self.injected = nn.ModuleDict({"seg_layers": part})

    @property
    def part(self) -> Any:
        """The injected module."""
        return self.injected["seg_layers"]


class NonLocalUNet(InjectedUNet):
    """`num_blocks` non-local blocks in series on the deepest features; initially the identity."""

    def __init__(self, network: nn.Module, *, spatial_dims: int, num_blocks: int = 2) -> None:
        channels = check_unet(network).encoder.output_channels[-1]
        super().__init__(network, non_local_blocks(num_blocks, spatial_dims=spatial_dims, channels=channels))

    @property
    def num_non_local_blocks(self) -> int:
        """Number of non-local blocks."""
        return len(self.part)

    def non_local_maps(self, image: Tensor, voxel: Sequence[int]) -> list[Tensor]:
        """Return what the position of `voxel` attends to in each block: (B, 1, *deepest spatial)."""
        deepest = self.encoder(image)[-1]
        position = [
            index * deep // length
            for index, deep, length in zip(voxel, deepest.shape[2:], image.shape[2:], strict=True)
        ]
        return non_local_maps(self.part, deepest, position)

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        *skips, deepest = self.encoder(image)
        return self.decoder([*skips, self.part(deepest)])


class AttentionGatedUNet(InjectedUNet):
    """Each skip but the finest is multiplied by its additive attention.

    The gating signal of the deepest gate is the deepest features after a 1x1 convolution with norm and ReLU,
    that of the others the decoder's features one level below. `part.gates` lists the gates deepest first;
    with gates of ones the output is the given network's.
    """

    def __init__(self, network: nn.Module, *, spatial_dims: int) -> None:
        encoder = check_unet(network).encoder
        channels, strides = encoder.output_channels, encoder.strides
        part = nn.Module()
        part.signal = conv_stack(spatial_dims, [channels[-1]] * 2, kernel_sizes=[1], norm="instance")
        part.gates = nn.ModuleList(
            AdditiveAttention(
                spatial_dims=spatial_dims,
                channels=channels[level],
                gating_channels=channels[level + 1],
                stride=strides[level + 1],
            )
            for level in reversed(range(1, len(channels) - 1))
        )
        super().__init__(network, part)

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        return self._forward(image)[0]

    @property
    def attention_names(self) -> list[str]:
        """Names of `attention_maps`; levels are counted from 1, the finest."""
        return [f"gate_level{level}_head1" for level in range(2, len(self.part.gates) + 2)]

    def attention_maps(self, image: Tensor) -> list[Tensor]:
        """Return the attention of each gated level, finest first: (B, 1, *spatial / the level's stride)."""
        return self._forward(image)[1]

    def _forward(self, image: Tensor) -> tuple[Tensor | list[Tensor], list[Tensor]]:
        *skips, features = self.encoder(image)
        signal = self.part.signal(features)
        logits: list[Tensor] = []
        attentions: list[Tensor] = []
        gates = [*self.part.gates, None]  # the finest skip has none
        decoder = self.decoder
        for gate, skip, enlarge, stage, head in zip(
            gates, reversed(skips), decoder.transpconvs, decoder.stages, decoder.seg_layers, strict=True
        ):
            if gate is not None:
                attention = gate(skip, signal)
                attentions.insert(0, attention)
                skip = skip * attention
            features = signal = stage(torch.cat([enlarge(features), skip], dim=1))
            if decoder.deep_supervision or gate is None:
                logits.insert(0, head(features))
        return (logits if decoder.deep_supervision else logits[0]), attentions


class FocusedUNet(InjectedUNet):
    """The given network's own encoder, with localization and focusing modules as decoder.

    A convolution on each level halves the encoder's channels; `TargetMining` gives a map per level. The
    outputs are the maps of all levels but the deepest, as many as the given decoder's; the deepest map is the
    attention of the focusing module above it.
    """

    def __init__(self, network: nn.Module, *, spatial_dims: int) -> None:
        given = check_unet(network)
        channels = given.encoder.output_channels
        halves = [width // 2 for width in channels]
        part = nn.Module()
        part.reduce = nn.ModuleList(
            conv_stack(spatial_dims, [width, half], norm="instance")
            for width, half in zip(channels, halves, strict=True)
        )
        part.mine = TargetMining(
            spatial_dims=spatial_dims,
            channels=halves,
            strides=given.encoder.strides[1:],
            norm="instance",
            num_maps=given.decoder.num_classes,
        )
        super().__init__(given, part, keep_decoder=False)
        self.deep_supervision = given.decoder.deep_supervision

    @property
    def decoder(self) -> "FocusedUNet":
        """This network itself, because nnU-Net sets `decoder.deep_supervision`."""
        return self

    @property
    def attention_names(self) -> list[str]:
        """Names of `attention_maps`; levels are counted from 1, the finest."""
        return self.part.mine.map_names(first_level=1)

    def attention_maps(self, image: Tensor) -> list[Tensor]:
        """Return the foreground probability of each level's map, finest first: (B, 1, *spatial / its stride).

        Each but the finest, which predicts, is the attention of the next finer level's focusing module.
        """
        return self.part.mine.foreground(self._maps(image))

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        maps = self._maps(image)
        return maps[:-1] if self.deep_supervision else maps[0]

    def _maps(self, image: Tensor) -> list[Tensor]:
        skips = self.encoder(image)
        _, maps = self.part.mine(
            [reduce(features) for reduce, features in zip(self.part.reduce, skips, strict=True)]
        )
        return maps


def check_unet(network: nn.Module) -> Any:
    """Return `network`, or raise NotImplementedError unless it has encoder, decoder and skips."""
    encoder, decoder = getattr(network, "encoder", None), getattr(network, "decoder", None)
    needed = [(encoder, ("output_channels", "strides")), (decoder, ("transpconvs", "stages", "seg_layers"))]
    if not all(hasattr(half, name) for half, names in needed for name in names):
        raise NotImplementedError(
            f"{type(network).__name__} has no encoder and decoder to inject a module between. Plan a network "
            "that has: PlainConvUNet (nnUNetPlans) or ResidualEncoderUNet (nnUNetResEncUNetMPlans, L, XL)."
        )
    return network

"""Scale fusion module: merges an image's features at several scales (CDI-NSTSEG)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnunet_pancext.architectures.blocks.conv import conv_stack
from nnunet_pancext.architectures.dims import conv1x1, mixed_pool, resize


class ScaleFusion(nn.Module):
    """Weighs the features of each scale at each position, with weights that sum to 1.

    Features of a larger scale pass a 5x5 convolution, max- plus average-pooling to the size of scale 1, and a
    3x3 convolution; those of a smaller scale a 3x3 convolution, (bi/tri)linear upsampling and another
    3x3; those of scale 1 one 3x3. Concatenated, they pass 1x1, 3x3 and 3x3 convolutions, all with norm and
    ReLU, and a last 1x1 convolution to one channel per scale, whose softmax gives the weights.

    Shapes: a list of (B, channels, *spatial), one for each scale and each of its own size, to
    (B, channels, *spatial of scale 1).

    `scales` are in the order of the list; 1.0 must be among them.
    """

    def __init__(self, *, spatial_dims: int, channels: int, scales: Sequence[float], norm: str) -> None:
        super().__init__()
        self.scales = tuple(scales)

        def layers(*kernel_sizes: int, in_channels: int = channels) -> nn.Module:
            widths = [in_channels, *[channels] * len(kernel_sizes)]
            return conv_stack(spatial_dims, widths, kernel_sizes=kernel_sizes, norm=norm)

        self.before = nn.ModuleList(
            nn.Identity() if scale == 1 else layers(5 if scale > 1 else 3) for scale in self.scales
        )
        self.after = nn.ModuleList(layers(3) for _ in self.scales)
        self.weigh = nn.Sequential(
            layers(1, 3, 3, in_channels=len(self.scales) * channels),
            conv1x1(spatial_dims, channels, len(self.scales)),
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        size = features[self.scales.index(1)].shape[2:]
        aligned = []
        for scale, before, after, level in zip(self.scales, self.before, self.after, features, strict=True):
            level = before(level)
            aligned.append(after(mixed_pool(level, size) if scale > 1 else resize(level, size)))
        weights = self.weigh(torch.cat(aligned, dim=1)).softmax(dim=1).unbind(1)
        return sum(weight.unsqueeze(1) * level for weight, level in zip(weights, aligned, strict=True))

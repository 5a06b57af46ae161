"""A narrow two-stage cascade, and what its stages find."""

import torch

from nnunet_pancext.architectures import PancreasTumorCascade
from nnunet_pancext.architectures.class_probabilities import compose_log_probabilities
from nnunet_pancext.architectures.windows import whole_image

SMALL = {"base_channels": 8, "margin": 2}
SIZE = {2: (64, 64), 3: (32, 32, 64)}


def build(dims=2, num_classes=3, **options):
    torch.manual_seed(0)
    return PancreasTumorCascade(
        spatial_dims=dims, in_channels=1, num_classes=num_classes, **{**SMALL, **options}
    )


def with_truth(dims=2, *, empty=(False, False)):
    """Return a batch of two whose last channel marks an organ, unless empty."""
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(2, 2, *SIZE[dims], generator=generator)
    image[:, 1] = 0
    for sample, without in enumerate(empty):
        if not without:
            image[(sample, 1, *[slice(20, 27)] * dims)] = 1
    return image


def compose(organ, lesion=None, *, num_classes=3, roles=(1, 2), training=False):
    """Return the log-probabilities; without the lesion's logits stage 2 did not run."""
    return compose_log_probabilities(
        organ,
        lesion,
        None if lesion is None else whole_image(organ),
        roles=torch.tensor(roles),
        num_classes=num_classes,
        training=training,
    )


def finds(network, value):
    """Make stage 1 find everything or nothing."""
    with torch.no_grad():
        head = network.stage_1.head.seg_layers
        head.weight.zero_()
        head.bias.fill_(value)
    return network

"""What the demo's figures are about: change it, and those in README, docs and benchmarks no longer hold."""

import hashlib

import numpy as np
import pytest
import torch

from nnunet_pancext.demo import pipeline
from nnunet_pancext.phantom.case import make_phantom_case
from nnunet_pancext.phantom.dataset import labelled_number
from nnunet_pancext.trainers import find_trainer

SETTING_AND_LABELS = "fdb33b4cd9ddf1d4"
NETWORK = "5d06a13aa51ae5e8"


def digest(parts) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part if isinstance(part, bytes) else repr(part).encode())
    return found.hexdigest()[:16]


@pytest.fixture(scope="module")
def phantoms():
    return [
        make_phantom_case(
            seed=pipeline.SEED, index=labelled_number(place), size=pipeline.PHANTOM_SIZE, difficulty="easy"
        )
        for place in range(pipeline.PHANTOM_CASES)
    ]


def test_the_phantoms_stay_as_they_are(phantoms):
    setting = (pipeline.PHANTOM_CASES, pipeline.PHANTOM_SIZE, pipeline.SEED)
    assert digest([setting, *(case.label.tobytes() for case in phantoms)]) == SETTING_AND_LABELS


def test_their_voxels_do_too(phantoms):
    """Not by a hash: sine and exponential differ in their last bit from CPU to CPU, and a HU with them."""
    found = np.array([[case.image.mean(), case.image[case.label > 0].mean()] for case in phantoms])
    np.testing.assert_allclose(found.mean(axis=0), (-559.248, 73.365), atol=0.02)
    np.testing.assert_allclose(found.std(axis=0), (22.115, 4.395), atol=0.02)


def test_the_trainer_and_its_network_stay_as_they_are():
    trainer = find_trainer(pipeline.DEFAULT_TRAINER)
    with torch.device("meta"):
        network = trainer.network_class(
            spatial_dims=2, in_channels=1, num_classes=2, deep_supervision=True, **trainer.network_options
        )
    layers = [(name, tuple(value.shape)) for name, value in network.state_dict().items()]
    assert digest([trainer.__name__, trainer.network_options, layers]) == NETWORK

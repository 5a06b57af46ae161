"""What only one fold, or one model of an ensemble, finds is not lost by `balanced` and `fast`."""

import numpy as np
import pytest
import torch
from contracts.loaded_folds import Threshold, folds_of, image_of

from nnunet_pancext.inference import fast
from nnunet_pancext.inference.ensemble import look_at_the_same
from nnunet_pancext.inference.export import export
from nnunet_pancext.inference.logits import Request
from nnunet_pancext.inference.predict import predict_logits

WAYS = ["balanced", "fast"]
SHAPE = (32, 96, 96)
ORGAN, FAINT = (slice(12, 17), slice(10, 22), slice(10, 22)), (slice(16, 21), slice(74, 86), slice(74, 86))
PATCHES = {"3d_fullres": (8, 16, 16), "2d": (24, 24)}


@pytest.fixture(autouse=True)
def _single_precision(monkeypatch):
    """Predict with the same numbers on every processor."""
    monkeypatch.setattr(fast, "bfloat16_pays", lambda threads: False)


def two_blobs():
    """Return an image of an organ of value 1 and, far from it, something of 0.4."""
    voxels = np.full(SHAPE, 0.02)
    voxels[ORGAN], voxels[FAINT] = 1, 0.4
    return voxels


class Keen(Threshold):
    """A network that is `strength` sure of what has 0.4, too."""

    def __init__(self, spatial_dims: int, strength: float) -> None:
        super().__init__(spatial_dims, heads=3, blur=0)
        self.strength = strength

    def logits(self, value: torch.Tensor) -> torch.Tensor:
        is_faint = (value - 0.4).abs() < 0.1
        logits = torch.where(is_faint, torch.zeros_like(value), 6 * value - 3)
        logits = torch.where(is_faint, torch.full_like(value, self.strength), logits)
        return torch.cat([torch.zeros_like(logits), logits, torch.full_like(logits, -9.0)], 1)


@pytest.mark.parametrize("configuration", PATCHES)
@pytest.mark.parametrize("speed", WAYS)
def test_a_fold_keeps_what_it_alone_finds(speed, configuration):
    patch = PATCHES[configuration]
    networks = [Keen(len(patch), -6.0), Keen(len(patch), 3.0)]  # in the mean 0.4 is background
    folds = folds_of(networks, configuration=configuration, patch=patch, axes=(0, 1))
    image = image_of(folds, two_blobs())
    logits = predict_logits(folds, image, speed=speed, request=Request(per_fold=True))
    exact = predict_logits(folds, image, speed="exact", request=Request(per_fold=True))
    assert not export(folds, image, logits)[0][FAINT].any()
    first, second = (export(folds, image, logits, fold=fold)[0] for fold in range(2))
    assert first[ORGAN].all()
    assert not first[FAINT].any()
    assert second[ORGAN].all()
    assert second[FAINT].all()
    np.testing.assert_array_equal(second, export(folds, image, exact, fold=1)[0])
    assert logits.passes.forwards <= 1.1 * logits.passes.whole_image_forwards


@pytest.mark.parametrize("speed", WAYS)
def test_a_mean_of_nothing_leaves_the_folds_what_they_find(speed):
    folds = folds_of([Keen(3, -6.0), Keen(3, 3.0)], axes=(0, 1))
    voxels = two_blobs()
    voxels[ORGAN] = 0.02
    image = image_of(folds, voxels)
    logits = predict_logits(folds, image, speed=speed, request=Request(per_fold=True))
    assert logits.passes.fallback == "no foreground was found in the windows that were run"
    assert not export(folds, image, logits)[0].any()
    assert export(folds, image, logits, fold=1)[0][FAINT].all()


@pytest.mark.parametrize("strengths", [(3.0, -1.0), (-1.0, 3.0)], ids=["first", "second"])
@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1)], ids=str)
@pytest.mark.parametrize("speed", WAYS)
def test_what_one_model_of_an_ensemble_finds_is_looked_at_by_the_other(speed, transpose, strengths):
    """A 3D and a 2D model on other grids; probabilities of 0.95 and 0.27 have a mean of 0.61."""
    volumes = folds_of(
        [Keen(3, strengths[0])],
        transpose=transpose,
        spacing=[(2.5, 1.0, 1.0)[axis] for axis in transpose],
        axes=(1,),
    )
    slices = folds_of([Keen(2, strengths[1])], configuration="2d", patch=(24, 24), axes=(1,))
    members, exact = [], []
    for folds in (volumes, slices):
        image = image_of(folds, two_blobs())
        logits = predict_logits(folds, image, speed=speed, request=Request(whole_regions=True))
        members.append((folds, image, logits))
        whole = predict_logits(folds, image, speed="exact")
        exact.append(export(folds, image, whole, with_probabilities=True)[1])
    alone = mean_label_map(members, [logits for _, _, logits in members])
    assert not alone[FAINT].any()
    together = look_at_the_same(members)
    label_map = mean_label_map(members, together)
    assert label_map[ORGAN].mean() > 0.9  # on the coarser grid its edges are smooth
    assert label_map[FAINT].mean() > 0.6
    assert (label_map != np.mean(exact, 0).argmax(0)).sum() <= 0.03 * (label_map > 0).sum()
    for logits in together:
        assert logits.passes.forwards <= 1.1 * logits.passes.whole_image_forwards
    assert look_at_the_same(
        [(*member[:2], found) for member, found in zip(members, together, strict=True)]
    ) == (together)


def mean_label_map(members, found):
    probabilities = [
        export(folds, image, logits, with_probabilities=True)[1]
        for (folds, image, _), logits in zip(members, found, strict=True)
    ]
    return np.mean(probabilities, 0).argmax(0)

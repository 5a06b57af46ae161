"""The effect on nnU-Net's average of views in which stage 2 did not run."""

import itertools

import pytest
import torch
from contracts.small_cascade import compose


def view(organ, lesion, num_classes=3):
    """Return the log-probabilities of a voxel of one view; without a lesion's logit stage 2 did not run."""
    logits = torch.full((1, 1, 1, 1), organ)
    seen = None if lesion is None else torch.full_like(logits, lesion)
    roles = (1, num_classes - 1)
    return compose(logits, seen, num_classes=num_classes, roles=roles)[0, :, 0, 0]


@pytest.mark.parametrize("organ", [-30.0, -3.0, 0.0, 3.0, 30.0])
@pytest.mark.parametrize("blind", [-0.1, -3.0, -30.0])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_one_blind_view_of_eight_does_not_take_a_tumour_that_the_others_see(organ, blind, num_classes):
    """nnU-Net averages in half precision, with up to twice the weight in the middle of a patch."""
    lesion = torch.tensor(0.9).logit().item()
    views = torch.stack([*[view(organ, lesion, num_classes)] * 7, view(blind, None, num_classes)]).half()
    for weight in (1, 2):
        weights = torch.tensor([*[1] * 7, weight]).half()
        assert (weights[:, None] * views).sum(0).argmax() == num_classes - 1


def test_a_blind_view_makes_no_tumour_that_the_other_had_not():
    organs, lesions = (-30.0, -2.0, -0.1, 0.1, 30.0), (-30.0, -3.0, -0.5, None)
    views = [view(organ, lesion) for organ, lesion in itertools.product(organs, lesions)]
    views = [probabilities for probabilities in views if probabilities.argmax() != 2]
    assert len(views) >= 18
    blind = [view(organ, None) for organ in (-30.0, -2.0, -0.1)]
    for seeing, other in itertools.product(views, blind):
        for share in (0.1, 0.3, 0.5, 0.7, 0.9):
            assert (share * seeing + (1 - share) * other).argmax() != 2, (seeing, other, share)

import numpy as np
import pytest
import torch

from nnunet_pancext.losses import MapsLoss, StructureLoss, bce_iou_loss, edge_weights, one_versus_rest


def test_edge_weights_are_the_mean_over_31_voxels_along_each_axis():
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand(1, 1, 20, 40, generator=generator) > 0.7).double()
    padded = np.pad(mask[0, 0].numpy(), 15)
    expected = np.empty((20, 40))
    for y in range(20):
        for x in range(40):
            expected[y, x] = 1 + 5 * abs(padded[y : y + 31, x : x + 31].mean() - mask[0, 0, y, x].item())
    np.testing.assert_allclose(edge_weights(mask)[0, 0], expected, atol=1e-12)


def test_edge_weights_in_3d_do_not_depend_on_the_order_of_axes():
    mask = (torch.rand(1, 1, 8, 20, 24) > 0.5).double()
    turned = edge_weights(mask.permute(0, 1, 4, 2, 3)).permute(0, 1, 3, 4, 2)
    torch.testing.assert_close(turned, edge_weights(mask))


def test_bce_and_iou_by_hand():
    """Two voxels, p = 0.8 and 0.5, mask 1 and 0, weights 3 and 1."""
    logits = torch.tensor([[[0.8, 0.5]]], dtype=torch.float64).logit()[..., None]
    mask = torch.tensor([[[1.0, 0.0]]], dtype=torch.float64)[..., None]
    weights = torch.tensor([[[3.0, 1.0]]], dtype=torch.float64)[..., None]
    entropy = (3 * -np.log(0.8) + 1 * -np.log(0.5)) / 4
    iou = 1 - (3 * 0.8 + 1) / (3 * 1 + 1 * 0.5 + 1)
    assert bce_iou_loss(logits, mask, weights).item() == pytest.approx(entropy + iou, abs=1e-12)
    entropy = (-np.log(0.8) - np.log(0.5)) / 2
    iou = 1 - (0.8 + 1) / (1 + 0.5 + 1)
    assert bce_iou_loss(logits, mask).item() == pytest.approx(entropy + iou, abs=1e-12)


def test_each_voxel_has_its_own_weight():
    """With one mean of the entropy for all, the place of the error would not matter."""
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 24:40, 24:40] = 1
    right = 20 * (2 * mask - 1)
    near, far = right.clone(), right.clone()
    near[..., 23, 30] *= -1  # beside the mask, where the weight is high
    far[..., 0, 0] *= -1
    weights = edge_weights(mask)
    assert weights[0, 0, 23, 30] > 1.5 * weights[0, 0, 0, 0]
    found = [bce_iou_loss(logits, mask, weights).item() for logits in (near, far)]
    assert found[0] > 1.5 * found[1]


def test_one_versus_rest_is_the_logit_of_the_softmax():
    logits = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(one_versus_rest(logits).sigmoid(), logits.softmax(1))
    two = logits[:, :2]
    torch.testing.assert_close(one_versus_rest(two)[:, 1], two[:, 1] - two[:, 0], rtol=0, atol=1e-14)


def test_the_loss_is_the_mean_over_foreground_classes():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, generator=generator)
    target = torch.randint(3, (2, 1, 8, 8), generator=generator)
    expected = []
    for label in (1, 2):
        mask = (target == label).float()
        expected.append(bce_iou_loss(one_versus_rest(logits)[:, label : label + 1], mask, edge_weights(mask)))
    found = StructureLoss()(logits, target)
    torch.testing.assert_close(found, torch.stack(expected).mean())


def test_regions_have_a_sigmoid_each():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 8, 8, generator=generator)
    target = (torch.rand(2, 3, 8, 8, generator=generator) > 0.5).float()
    masks, ignored = target[:, :2], target[:, 2:]
    expected = bce_iou_loss(logits, masks, edge_weights(masks)).mean()
    torch.testing.assert_close(StructureLoss(regions=True)(logits, masks), expected)
    expected = bce_iou_loss(logits, masks, edge_weights(masks) * (1 - ignored)).mean()
    torch.testing.assert_close(StructureLoss(regions=True, ignore_label=3)(logits, target), expected)


def test_what_is_predicted_at_ignored_voxels_does_not_count():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, generator=generator)
    target = torch.randint(4, (2, 1, 8, 8), generator=generator)
    loss = StructureLoss(ignore_label=3)
    changed = torch.where(target == 3, 7.0, logits)
    torch.testing.assert_close(loss(changed, target), loss(logits, target))
    assert not torch.equal(loss(torch.where(target == 1, 7.0, logits), target), loss(logits, target))


def test_the_last_of_several_maps_has_no_edge_weights():
    generator = torch.Generator().manual_seed(3)
    maps = [torch.randn(2, 3, size, size, generator=generator) for size in (16, 8, 4)]
    targets = [torch.randint(0, 3, (2, 1, size, size), generator=generator) for size in (16, 8, 4)]
    expected = sum(
        weight * StructureLoss(edges=weight > 1)(one, target)
        for weight, one, target in zip((4, 2, 1), maps, targets, strict=True)
    )
    torch.testing.assert_close(MapsLoss((4, 2, 1))(maps, targets), expected)
    logits, mask = maps[2][:, :2], targets[2] == 1
    two = StructureLoss(edges=False)(logits, mask.long())
    torch.testing.assert_close(two, bce_iou_loss(one_versus_rest(logits)[:, 1:], mask.float()).mean())
    assert two != StructureLoss()(logits, mask.long())

import pytest
import torch

from nnunet_pancext.architectures.pancreas_tumor_cascade import CascadeOutput
from nnunet_pancext.architectures.windows import Windows
from nnunet_pancext.losses import CascadeLoss, ISBLoss, bce_iou_loss, dice_loss, edge_weights

WINDOWS = Windows(samples=(1,), starts=((2, 3),), size=(8, 8), shape=(16, 16))


def made(num_classes=3, maps=5, windows=WINDOWS):
    generator = torch.Generator().manual_seed(0)
    output = CascadeOutput(
        torch.randn(2, num_classes, 16, 16, generator=generator).log_softmax(1),
        torch.randn(2, 1, 16, 16, generator=generator),
        [torch.randn(1, 1, 8, 8, generator=generator) for _ in range(maps)] if windows else [],
        windows,
    )
    return output, torch.randint(num_classes, (2, 1, 16, 16), generator=generator)


def test_the_dice_loss_by_hand():
    logits = torch.tensor([0.9, 0.2]).logit().view(1, 1, 2, 1)
    mask = torch.tensor([1.0, 0.0]).view(1, 1, 2, 1)
    assert dice_loss(logits, mask).item() == pytest.approx(1 - 2 * 0.9 / (1.1 + 1), abs=1e-5)


def test_the_total_is_eq_17():
    output, target = made()
    lesion = (target == 2).float()
    window = lesion[1:, :, 2:10, 3:11]
    weights = edge_weights(window)
    *focusing, localization = output.lesion_logits
    stage_2 = bce_iou_loss(localization, window)
    for factor, logits in zip((4, 2, 1, 0.5), focusing, strict=True):
        stage_2 = stage_2 + factor * bce_iou_loss(logits, window, weights)
    stage_1 = dice_loss(output.organ_logits, (target > 0).float())
    isb = ISBLoss()(output.log_probabilities, target)
    loss = CascadeLoss(organ=1, lesion=2, isb=ISBLoss())
    expected = stage_1 + 0.9 * stage_2.squeeze() + 0.4 * isb
    torch.testing.assert_close(loss(output, target), expected)
    terms = {name: value.item() for name, value in loss.terms.items()}
    assert terms == pytest.approx({"stage 1": stage_1.item(), "stage 2": stage_2.item(), "ISB": isb.item()})


def test_roles_may_be_the_other_way_round():
    output, target = made()
    turned = torch.tensor([0, 2, 1])[target]
    isb = None
    one = CascadeLoss(organ=1, lesion=2, isb=isb)(output, target)
    other = CascadeLoss(organ=2, lesion=1, isb=isb)(output, turned)
    torch.testing.assert_close(one, other)


def test_one_map_has_plain_bce_and_iou():
    output, target = made(maps=1)
    loss = CascadeLoss(organ=1, lesion=2)
    loss(output, target)
    window = (target == 2).float()[1:, :, 2:10, 3:11]
    torch.testing.assert_close(loss.terms["stage 2"], bce_iou_loss(output.lesion_logits[0], window).squeeze())


def test_without_windows_there_is_no_second_term():
    output, target = made(windows=None)
    loss = CascadeLoss(organ=1, lesion=2)
    loss(output, target)
    assert loss.terms["stage 2"] == 0
    assert loss.windows is None


def test_two_classes_have_no_boundary_term():
    output, target = made(num_classes=2)
    loss = CascadeLoss(organ=1, lesion=1, isb=ISBLoss())
    loss(output, target)
    assert loss.terms["ISB"] == 0


def test_a_further_organ_counts_as_background_in_the_boundary_term():
    """The network has no channel for it, so its boundaries do not count."""
    target = torch.zeros(1, 1, 16, 16, dtype=torch.long)
    target[..., 2:8, 2:8] = 3
    target[..., 4:6, 4:6] = 1
    target[..., 8:14, 2:8] = 2  # another organ, touching
    target[..., 0] = 5
    seen = torch.tensor([0, 1, 0, 3, 0, 0])[target]
    perfect = torch.nn.functional.one_hot(seen[:, 0], 5).movedim(-1, 1).float().clamp_min(1e-9).log()
    output = CascadeOutput(perfect, torch.zeros(1, 1, 16, 16), [], None)
    loss = CascadeLoss(organ=3, lesion=1, isb=ISBLoss(ignore_label=5), ignore_label=5)
    loss(output, target)
    assert loss.terms["ISB"] < 1e-10
    wrong = CascadeOutput(perfect[:, [0, 3, 2, 1, 4]], *output[1:])
    loss(wrong, target)
    assert loss.terms["ISB"] > 1e-3


def test_ignored_voxels_do_not_count():
    output, target = made()
    generator = torch.Generator().manual_seed(1)
    ignored = torch.rand(target.shape, generator=generator) > 0.7
    target = torch.where(ignored, 3, target)
    loss = CascadeLoss(organ=1, lesion=2, isb=ISBLoss(ignore_label=3), ignore_label=3)
    window = WINDOWS.crop(ignored)
    changed = CascadeOutput(
        torch.where(ignored, -output.log_probabilities, output.log_probabilities),
        torch.where(ignored, 9.0, output.organ_logits),
        [torch.where(window, 9.0, logits) for logits in output.lesion_logits],
        WINDOWS,
    )
    torch.testing.assert_close(loss(changed, target), loss(output, target))

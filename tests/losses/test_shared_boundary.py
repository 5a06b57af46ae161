from itertools import pairwise, product

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from nnunet_pancext.losses import ISBLoss, shared_boundary_matrix

SHAPES = {2: (6, 7), 3: (4, 5, 6)}


def counted(labels, num_classes, spacing=None, ignore=None):
    """Eq. 14 by a loop over all pairs of voxels that share a face."""
    lengths = np.zeros((num_classes, num_classes))
    borders = np.zeros(num_classes)
    spacing = spacing or [1.0] * labels.ndim
    for axis in range(labels.ndim):
        area = np.prod(spacing) / spacing[axis]
        for line in np.moveaxis(labels, axis, -1).reshape(-1, labels.shape[axis]):
            for voxel, other in pairwise(line):
                if voxel != other and ignore not in (voxel, other):
                    borders[voxel] += area
                    borders[other] += area
                    lengths[voxel, other] += area
                    lengths[other, voxel] += area
    return np.divide(lengths, borders[:, None], out=np.zeros_like(lengths), where=borders[:, None] > 0)


def random_labels(dims, num_classes, seed=0):
    return np.random.default_rng(seed).integers(num_classes, size=(2, *SHAPES[dims]))


def encoded(labels, num_classes):
    return one_hot(torch.from_numpy(labels), num_classes).movedim(-1, 1).double()


@pytest.mark.parametrize("spacing", [None, (2.5, 0.8, 0.7)], ids=["voxels", "mm"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("num_classes", [3, 5])
def test_one_hot_maps_give_the_counted_boundary(dims, num_classes, spacing):
    labels = random_labels(dims, num_classes)
    spacing = spacing and spacing[-dims:]
    found = shared_boundary_matrix(encoded(labels, num_classes), spacing=spacing)
    for matrix, label in zip(found, labels, strict=True):
        np.testing.assert_allclose(matrix, counted(label, num_classes, spacing), atol=1e-6)


def test_a_worked_example():
    """Rows 0 0 1 / 0 2 1: class 2 touches class 0 twice (above, left) and class 1 once."""
    matrix = shared_boundary_matrix(encoded(np.array([[[0, 0, 1], [0, 2, 1]]]), 3))[0]
    expected = [[0, 1 / 3, 2 / 3], [1 / 2, 0, 1 / 2], [2 / 3, 1 / 3, 0]]
    torch.testing.assert_close(matrix, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("dims", [2, 3])
def test_voxels_to_ignore_take_their_pairs_with_them(dims):
    labels = random_labels(dims, 4)
    valid = torch.from_numpy(labels != 3)[:, None]
    found = shared_boundary_matrix(encoded(labels * (labels != 3), 3), valid=valid)
    for matrix, label in zip(found, labels, strict=True):
        np.testing.assert_allclose(matrix, counted(label, 4, ignore=3)[:3, :3], atol=1e-6)


def test_an_absent_class_has_a_row_of_zeros():
    labels = random_labels(2, 2)
    matrix = shared_boundary_matrix(encoded(labels, 3))
    assert not matrix[:, 2].any()
    assert not matrix[:, :, 2].any()


@pytest.mark.parametrize(("dims", "ignored"), list(product([2, 3], [False, True])))
def test_gradcheck(dims, ignored):
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, *(3,) * dims)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    valid = torch.rand((2, 1, *shape[2:]), generator=generator) > 0.2 if ignored else None
    spacing = (3.0, 1.0, 0.5)[-dims:]
    assert torch.autograd.gradcheck(
        lambda values: shared_boundary_matrix(values.softmax(1), spacing=spacing, valid=valid), logits
    )


@pytest.mark.parametrize("dims", [2, 3])
def test_the_loss_of_the_truth_is_nothing_and_of_another_map_is_eq_16(dims):
    truth, other = random_labels(dims, 3), random_labels(dims, 3, seed=1)
    target = torch.from_numpy(truth)[:, None].float()
    sure = 1e3 * encoded(other, 3)
    expected = np.mean([(counted(a, 3) - counted(b, 3)) ** 2 for a, b in zip(truth, other, strict=True)])
    for hard in (False, True):
        loss = ISBLoss(hard=hard)
        assert loss(1e3 * encoded(truth, 3), target) == pytest.approx(0, abs=1e-12)
        assert loss(sure, target) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("spacing", [None, (2.5, 0.8)])
@pytest.mark.parametrize("present", [(0,), (0, 1), (0, 2)], ids=str)
def test_an_absent_class_costs_nothing_where_the_prediction_is_right(present, spacing):
    """Ratios ignore how small lengths are: traces of an absent class must not count."""
    target = torch.zeros(2, 1, 64, 64, dtype=torch.long)
    for label in present[1:]:
        target[..., 20:40, 24:44] = label
    noise = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    logits = (10 * one_hot(target[:, 0], 3).movedim(-1, 1) + noise).requires_grad_()
    loss = ISBLoss(spacing=spacing)(logits, target)
    assert loss < 1e-4
    absent = [label for label in range(3) if label not in present]
    before = logits.softmax(1)[:, absent].max()
    optimizer = torch.optim.SGD([logits], lr=100.0)
    for _ in range(50):
        optimizer.zero_grad()
        ISBLoss(spacing=spacing)(logits, target).backward()
        optimizer.step()
    assert logits.softmax(1)[:, absent].max() <= before


def test_hard_counts_the_most_probable_classes():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 6, 6, generator=generator)
    target = torch.randint(3, (2, 1, 6, 6), generator=generator)
    expected = np.mean(
        [
            (counted(a, 3) - counted(b, 3)) ** 2
            for a, b in zip(logits.argmax(1).numpy(), target[:, 0].numpy(), strict=True)
        ]
    )
    assert ISBLoss(hard=True)(logits, target) == pytest.approx(expected, abs=1e-6)
    assert ISBLoss()(logits, target) != pytest.approx(expected, abs=1e-3)


def test_the_ignore_label_in_the_target():
    labels = random_labels(2, 4)
    target = torch.from_numpy(labels)[:, None]
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, *SHAPES[2], generator=generator, dtype=torch.float64, requires_grad=True)
    loss = ISBLoss(ignore_label=3)
    loss(logits, target).backward()
    # what is predicted where a voxel does not count changes nothing
    changed = torch.where(target == 3, -logits.detach(), logits.detach())
    assert loss(changed, target) == pytest.approx(loss(logits, target).item(), rel=1e-12)
    assert logits.grad.abs().sum() > 0
    assert not logits.grad[(target == 3).expand_as(logits)].any()


def test_descending_the_gradient_brings_the_boundary_nearer():
    target = torch.zeros(1, 1, 12, 12)
    target[..., 2:9, 2:9] = 1
    target[..., 5:8, 6:9] = 2
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 12, 12, generator=generator, requires_grad=True)
    loss, optimiser = ISBLoss(), torch.optim.SGD([logits], lr=50.0)
    first = loss(logits, target).item()
    for _ in range(100):
        optimiser.zero_grad()
        loss(logits, target).backward()
        optimiser.step()
    assert loss(logits, target).item() < 0.2 * first


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single(dtype):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 64, 64, 64, generator=generator).to(dtype)
    target = torch.randint(3, (1, 1, 64, 64, 64), generator=generator)
    with torch.autocast("cpu", dtype=dtype):
        found = ISBLoss()(logits, target)
    assert found.dtype == torch.float32
    assert found == pytest.approx(ISBLoss()(logits.float(), target).item(), rel=1e-6)


@pytest.mark.parametrize("num_classes", [1, 2])
def test_fewer_than_three_classes_are_refused(num_classes):
    with pytest.raises(ValueError, match=f"shared boundary of {num_classes} classes .* at least 3"):
        ISBLoss()(torch.zeros(1, num_classes, 4, 4), torch.zeros(1, 1, 4, 4))


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"not \(B, K, \*2 or 3 axes\)"):
        shared_boundary_matrix(torch.zeros(1, 3, 4))
    with pytest.raises(ValueError, match="the images have 2 axes"):
        shared_boundary_matrix(torch.zeros(1, 3, 4, 4), spacing=(1, 1, 1))
    with pytest.raises(ValueError, match="one channel and the same size"):
        shared_boundary_matrix(torch.zeros(1, 3, 4, 4), valid=torch.ones(1, 3, 4, 4, dtype=torch.bool))

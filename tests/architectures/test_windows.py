import pytest
import torch

from nnunet_pancext.architectures.windows import boxes, common_windows, widen

SHAPES = {2: (32, 48), 3: (16, 32, 48)}
DIVISORS = {2: (8, 16), 3: (4, 8, 16)}


def mask_of(shape, found):
    mask = torch.zeros(len(found), 1, *shape, dtype=torch.bool)
    for index, box in enumerate(found):
        if box is not None:
            mask[(index, 0, *(slice(start, stop) for start, stop in zip(*box, strict=True)))] = True
    return mask


def random_boxes(shape, count, generator):
    found = []
    for _ in range(count):
        corners = [sorted(torch.randint(length + 1, (2,), generator=generator).tolist()) for length in shape]
        empty = any(start == stop for start, stop in corners)
        found.append(None if empty else tuple(zip(*corners, strict=True)))
    return found


@pytest.mark.parametrize("dims", [2, 3])
def test_random_boxes_lie_in_windows_of_one_size(dims):
    shape, size_divisibility = SHAPES[dims], DIVISORS[dims]
    generator = torch.Generator().manual_seed(dims)
    for _ in range(100):
        given = random_boxes(shape, 3, generator)
        assert boxes(mask_of(shape, given)) == given
        margin = [3] * dims
        widened = [box and widen(box, margin, margin, shape) for box in given]
        windows = common_windows(
            widened, shape=shape, size_divisibility=size_divisibility, least=size_divisibility
        )
        if windows is None:
            assert given == [None] * 3
            continue
        assert windows.samples == tuple(index for index, box in enumerate(given) if box)
        assert all(
            size % step == 0 and size <= length
            for size, step, length in zip(windows.size, size_divisibility, shape, strict=True)
        )
        for start, sample in zip(windows.starts, windows.samples, strict=True):
            for axis in range(dims):
                first, last = (corner[axis] for corner in given[sample])
                stop = start[axis] + windows.size[axis]
                assert 0 <= start[axis] <= max(0, first - 3)
                assert min(shape[axis], last + 3) <= stop <= shape[axis]


@pytest.mark.parametrize("dims", [2, 3])
def test_pasting_back_is_exact(dims):
    shape = SHAPES[dims]
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(3, 2, *shape, generator=generator)
    box = ((1,) * dims, (5,) * dims)
    windows = common_windows(
        [box, None, box], shape=shape, size_divisibility=DIVISORS[dims], least=DIVISORS[dims]
    )
    assert torch.equal(windows.paste(windows.crop(batch), onto=batch), batch)
    onto = torch.zeros_like(batch)
    pasted = windows.paste(windows.crop(batch), onto=onto)
    assert not onto.any()
    assert not pasted[1].any()
    assert len(set(windows.starts)) == 1
    inside = (
        slice(None),
        *(slice(at, at + length) for at, length in zip(windows.starts[0], windows.size, strict=True)),
    )
    assert torch.equal(pasted[(0, *inside)], batch[(0, *inside)])
    assert pasted.ne(0).sum() == windows.crop(batch).numel()


def test_an_organ_at_the_border_shifts_the_window_inwards():
    box = widen(((30, 40), (32, 48)), (4, 4), (4, 4), (32, 48))
    assert box == ((26, 36), (32, 48))
    windows = common_windows([box], shape=(32, 48), size_divisibility=(8, 16), least=(8, 16))
    assert windows.size == (8, 16)
    assert windows.starts == ((24, 32),)


def test_an_organ_as_large_as_the_patch_takes_all_of_it():
    windows = common_windows([((0, 0), (32, 48))], shape=(32, 48), size_divisibility=(8, 16), least=(8, 16))
    assert (windows.starts, windows.size) == (((0, 0),), (32, 48))


def test_the_largest_box_sets_the_size_for_all():
    found = [((0, 0), (2, 20)), ((10, 10), (20, 12))]
    windows = common_windows(found, shape=(32, 48), size_divisibility=(8, 16), least=(8, 16))
    assert windows.size == (16, 32)


def test_a_small_organ_gets_a_window_of_the_least_size():
    windows = common_windows([((3, 3), (4, 4))], shape=(32, 48), size_divisibility=(8, 16), least=(16, 32))
    assert windows.size == (16, 32)


def test_no_organ_no_window():
    assert common_windows([None, None], shape=(32, 48), size_divisibility=(8, 16), least=(8, 16)) is None


def test_a_window_beyond_the_image_is_padded_with_zeros():
    windows = common_windows([((0, 0), (32, 48))], shape=(32, 48), size_divisibility=(8, 16), least=(8, 16))
    found = windows.crop(torch.ones(1, 1, 30, 48))
    assert found.shape == (1, 1, 32, 48)
    assert found.sum() == 30 * 48

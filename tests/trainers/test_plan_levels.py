import pytest

from nnunet_pancext.trainers.machinery.plan_levels import kernel_sizes_from_plan, strides_from_plan

MSD_PANCREAS = [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]]


@pytest.mark.parametrize(
    ("plan_strides", "patch_size", "num_downsamplings", "expected"),
    [
        (MSD_PANCREAS, [40, 224, 224], 3, [(1, 2, 2), (2, 2, 2), (2, 2, 2)]),
        (MSD_PANCREAS, [40, 224, 224], 5, [(1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2)]),
        ([[1, 1], [2, 2]], [32, 32], 3, [(2, 2), (2, 2), (2, 2)]),
        # what the plan lacks stays 1 where the map would fall below four voxels or not divide
        ([[1, 1, 1], [1, 2, 2]], [8, 32, 24], 3, [(1, 2, 2), (2, 2, 2), (1, 2, 1)]),
        ([[1, 1]], [12, 20], 3, [(2, 2), (1, 2), (1, 1)]),
    ],
)
def test_strides(plan_strides, patch_size, num_downsamplings, expected):
    found = strides_from_plan(
        plan_strides=plan_strides, patch_size=patch_size, num_downsamplings=num_downsamplings
    )
    assert found == expected


@pytest.mark.parametrize(
    ("num_levels", "expected"),
    [(2, [(1, 3, 3), (3, 3, 3)]), (4, [(1, 3, 3), (3, 3, 3), (3, 3, 1), (3, 3, 1)])],
)
def test_kernel_sizes(num_levels, expected):
    found = kernel_sizes_from_plan(
        plan_kernels=[[1, 3, 3], [3, 1, 1], [3, 3, 3], [3, 3, 1]],
        plan_strides=[[1, 1, 1], [1, 1, 1], [1, 2, 2], [2, 2, 2]],  # the second stage is no level of its own
        num_levels=num_levels,
    )
    assert found == expected

"""With a network whose attention is the image itself, misplaced maps differ from the image."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from contracts.made_preprocessed import made_dataset_json, made_plans, use_folders
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from scipy.ndimage import gaussian_filter
from torch import nn

from nnunet_pancext.attention.maps import read_non_local, read_patch_maps
from nnunet_pancext.attention.model import TrainedModel
from nnunet_pancext.trainers import nnUNetTrainerAttentionGates

MEAN, STD = 80.0, 75.0
SPACING = (3.0, 0.9, 0.7)  # slices, rows, columns; so far apart that slices are resampled by themselves
PLAN_SPACING = (1.5, 1.2, 0.55)
BODY = np.s_[2:18, 5:49, 3:41]
TOLERANCE = 0.01  # of values from 0 to 1: two interpolations of a smooth image


class Mirror(nn.Module):
    """Its gates and its first non-local block attend to the image, its second to the voxel only."""

    attention_names = ("image",)

    def __init__(self):
        super().__init__()
        self.anywhere = nn.Parameter(torch.zeros(1))

    def attention_maps(self, patch):
        return [((patch * STD + MEAN) / 256).clamp(0, 1)]

    def non_local_maps(self, patch, voxel):
        voxel_alone = torch.zeros(1, 1, *patch.shape[2:])
        voxel_alone[(0, 0, *voxel)] = 1
        return [*self.attention_maps(patch), voxel_alone]


@pytest.fixture(scope="module")
def brightness():
    """A smooth body without symmetry, within an empty border that nnU-Net crops away."""
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(16, 44, 38)), (2, 4, 4))
    values = np.zeros((20, 52, 47))
    values[BODY] = 0.1 + 0.8 * (noise - noise.min()) / np.ptp(noise)
    return values


@pytest.fixture
def image(brightness, tmp_path):
    volume = sitk.GetImageFromArray((256 * brightness).astype(np.float32))
    volume.SetSpacing(SPACING[::-1])
    path = tmp_path / "pancreas_001_0000.nii.gz"
    sitk.WriteImage(volume, str(path))
    return path


@pytest.fixture(params=["2d", "3d_fullres"])
def configuration(request):
    return request.param


@pytest.fixture(params=[(0, 1, 2), (1, 0, 2), (2, 0, 1)], ids=str)
def order(request):
    """The plan's `transpose_forward`."""
    return request.param


@pytest.fixture
def model(configuration, order, tmp_path, monkeypatch):
    use_folders(monkeypatch, tmp_path)
    plans = made_plans()
    plans["transpose_forward"], plans["transpose_backward"] = list(order), np.argsort(order).tolist()
    intensities = {"mean": MEAN, "std": STD, "percentile_00_5": 0.0, "percentile_99_5": 256.0}
    plans["foreground_intensity_properties_per_channel"] = {"0": intensities}
    spacing = [PLAN_SPACING[axis] for axis in order]
    planned = plans["configurations"][configuration]
    planned["spacing"] = spacing[-len(planned["patch_size"]) :]
    manager = PlansManager(plans)
    network = nnUNetTrainerAttentionGates.build_network_architecture(
        manager, manager.get_configuration(configuration), 1, 3, False
    )
    checkpoint = {
        "trainer_name": "nnUNetTrainerAttentionGates",
        "init_args": {"configuration": configuration},
        "network_weights": network.state_dict(),
    }
    folder = tmp_path / "model"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(made_dataset_json()), encoding="utf-8")
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    trained = TrainedModel(folder, fold="0", checkpoint="checkpoint_final.pth", device=torch.device("cpu"))
    trained.network = Mirror()
    return trained


def test_gates_are_aligned_with_the_image(model, image, brightness):
    attended = read_patch_maps(model, model.prepare([image]))["image"]
    assert attended.shape == brightness.shape
    np.testing.assert_allclose(attended[BODY], brightness[BODY], rtol=0, atol=TOLERANCE)
    assert not attended[brightness == 0].any()


@pytest.mark.parametrize("voxel", [(9, 28, 24), (3, 46, 6)], ids=["amid the body", "in a corner"])
def test_non_local_maps_are_centred_on_the_voxel(model, image, brightness, order, voxel):
    maps = read_non_local(model, model.prepare([image]), voxel)
    around, alone = maps["nonlocal_block1"], maps["nonlocal_block2"]
    peak = np.unravel_index(alone.argmax(), alone.shape)
    np.testing.assert_allclose(peak, voxel, rtol=0, atol=1)

    patch = patch_in_the_image(model.configuration.patch_size, order)
    seen = [np.ptp(indices) + 1 for indices in around.nonzero()]
    np.testing.assert_allclose(seen, np.minimum(patch, brightness[BODY].shape), rtol=0, atol=1.5)
    reach = np.maximum(patch // 2 - 2, 0).astype(int)  # within the patch even where it blends into 0
    box = tuple(
        slice(max(body.start, index - far), min(body.stop, index + far + 1))
        for body, index, far in zip(BODY, voxel, reach, strict=True)
    )
    np.testing.assert_allclose(around[box], brightness[box], rtol=0, atol=TOLERANCE)


def patch_in_the_image(patch_size, order):
    """Return how many of the image's slices, rows and columns a patch covers."""
    covered = np.ones(3)  # a 2D patch is one plane, which is not resampled across
    for axis, length in zip(order[-len(patch_size) :], patch_size, strict=True):
        covered[axis] = length * PLAN_SPACING[axis] / SPACING[axis]
    return covered

"""The benchmark of prediction builds its networks with small patches, and its made case is what it says."""

import importlib
from pathlib import Path

import pytest
from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("inference")


def test_the_reference_is_built_for_a_cpu(script):
    predictor = script.predictor_for(script.RESIDUAL, 2, "cpu")
    assert list(predictor.configuration_manager.patch_size) == [256, 256]
    assert predictor.network.decoder.deep_supervision is False


@pytest.mark.parametrize(("patch", "dims"), [([16, 96, 96], 3), ([256, 256], 2)])
def test_a_quarter_of_the_made_patches_hold_organ(script, patch, dims):
    image, organ = script.make_case(patch, dims)
    assert image.shape == organ.shape
    size = tuple(organ.shape[-dims:])  # in 2D nnU-Net's window goes through every slice
    starts, *in_plane = compute_steps_for_sliding_window(size, tuple(patch), 0.5)
    if dims == 2:
        starts, in_plane = range(organ.shape[1]), [starts, *in_plane]
    assert len(starts) == 8
    assert in_plane == [[0], [0]]
    assert sum(bool(organ[:, at : at + (patch[0] if dims == 3 else 1)].any()) for at in starts) == 2

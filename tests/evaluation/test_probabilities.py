"""Curves and rankings of probabilities equal scikit-learn's; files that are none are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.probabilities import (
    BINS,
    patient_ranking,
    precision_recall,
    read_probabilities,
    voxel_histogram,
)


@pytest.fixture
def voxels():
    """Probabilities in the middle of the bins, so that binning loses nothing, and a truth they hint at."""
    rng = np.random.default_rng(3)
    probability = (rng.integers(0, BINS, size=(7, 11, 13)) + 0.5) / BINS
    return probability.astype(np.float32), rng.random(probability.shape) < probability**2


def test_curve_equals_scikit_learn(voxels):
    probability, truth = voxels
    curve = precision_recall(voxel_histogram(probability, truth))
    precision, recall, _ = precision_recall_curve(truth.ravel(), probability.ravel())
    # scikit-learn goes from low to high thresholds and adds the end (recall 0, precision 1)
    np.testing.assert_allclose(curve.precision, precision[:-1][::-1])
    np.testing.assert_allclose(curve.recall, recall[:-1][::-1])
    assert curve.average_precision == pytest.approx(
        average_precision_score(truth.ravel(), probability.ravel())
    )


def test_histograms_of_cases_add_up(voxels):
    probability, truth = voxels
    whole = voxel_histogram(probability, truth)
    sum_of_parts = voxel_histogram(probability[:3], truth[:3]) + voxel_histogram(probability[3:], truth[3:])
    np.testing.assert_array_equal(whole.target, sum_of_parts.target)
    np.testing.assert_array_equal(whole.rest, sum_of_parts.rest)
    assert whole.highest == sum_of_parts.highest == pytest.approx(probability.max())


def test_without_a_target_voxel_precision_is_undefined(voxels):
    curve = precision_recall(voxel_histogram(voxels[0], np.zeros_like(voxels[1])))
    assert math.isnan(curve.average_precision)


def test_a_probability_of_one_is_counted():
    histogram = voxel_histogram(np.ones((1, 2, 2), dtype=np.float32), np.ones((1, 2, 2), dtype=bool))
    assert histogram.target[-1] == 4


def test_patients_are_told_apart():
    """Of the six pairs of a patient with and one without, five are ranked rightly."""
    auroc, average_precision = patient_ranking([0.9, 0.4, 0.8, 0.5, 0.1], [True, True, True, False, False])
    assert auroc == pytest.approx(5 / 6)
    assert average_precision == pytest.approx((1 + 1 + 3 / 4) / 3)


def test_patients_of_one_kind_cannot_be_told_apart():
    assert all(map(math.isnan, patient_ranking([0.9, 0.1], [True, True])))


def test_a_patient_without_a_voxel_is_not_ranked():
    expected = patient_ranking([0.9, 0.4, 0.5], [True, True, False])
    assert patient_ranking([0.9, math.nan, 0.4, 0.5], [True, False, True, False]) == expected
    assert all(map(math.isnan, patient_ranking([0.9, math.nan], [True, False])))


def test_a_case_without_a_voxel_adds_nothing(voxels):
    probability, truth = voxels
    whole, nothing = voxel_histogram(probability, truth), voxel_histogram(probability[:0], truth[:0])
    assert math.isnan(nothing.highest)
    for both in (whole + nothing, nothing + whole):
        assert both.highest == whole.highest
        np.testing.assert_array_equal(both.target, whole.target)


def write(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((3, 2, 2, 2), 0.3), r"the shape \(3, 2, 2, 2\), expected \(2, 2, 2, 2\)"),
        (np.full((2, 2, 2, 2), np.nan), "not finite"),
        (np.full((2, 2, 2, 2), 4.0), "not between 0 and 1"),
        (np.full((2, 2, 2, 2), -1.0), "not between 0 and 1"),
        (np.full((2, 2, 2, 2), "0.5"), "of the type <U3, not numbers"),
        (np.full((2, 2, 2, 2), 0.5 + 0j), "of the type complex128, not numbers"),
    ],
)
def test_refuses_what_is_no_probability(tmp_path, array, message):
    path = write(tmp_path / "a.npz", probabilities=array)
    with pytest.raises(PancextError, match=message):
        read_probabilities(path, channels=2, shape=(2, 2, 2))


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def name_otherwise(path):
    np.savez_compressed(path, softmax=np.zeros(2))


def write_npy(path):
    with path.open("wb") as stream:
        np.save(stream, np.zeros((2, 2, 2, 2)))


def change_header(path, *, at, value):
    """Change two bytes of the entry, in the header before it and in the directory at the end."""
    content = bytearray(path.read_bytes())
    for start, signature in ((at, b"PK\3\4"), (at + 2, b"PK\1\2")):
        place = content.index(signature) + start
        content[place : place + 2] = value.to_bytes(2, "little")
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        name_otherwise,
        write_npy,
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: change_header(path, at=6, value=1),  # encrypted
        lambda path: change_header(path, at=8, value=77),  # an unknown compression
    ],
    ids=["cut", "other name", "npy", "absent", "empty", "encrypted", "unknown compression"],
)
def test_refuses_unreadable_files(tmp_path, damage):
    path = write(tmp_path / "a.npz", probabilities=np.zeros((2, 2, 2, 2)))
    damage(path)
    with pytest.raises(PancextError, match=r"Cannot read the probabilities .*--save_probabilities"):
        read_probabilities(path, channels=2, shape=(2, 2, 2))

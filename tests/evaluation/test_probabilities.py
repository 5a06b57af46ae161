"""Curves and rankings of probabilities equal scikit-learn's; malformed files are refused."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.probabilities import (
    THRESHOLDS,
    _bins,
    patient_ranking,
    precision_recall,
    read_probabilities,
    voxel_histogram,
)


@pytest.fixture
def voxels():
    """Probabilities at the thresholds, so that binning is lossless, and a correlated ground truth."""
    rng = np.random.default_rng(3)
    probability = rng.choice(THRESHOLDS, size=(7, 11, 13)).astype(np.float32)
    return probability, rng.random(probability.shape) < probability**2


def test_curve_equals_scikit_learn(voxels):
    probability, truth = voxels
    curve = precision_recall(voxel_histogram(probability, truth))
    precision, recall, threshold = precision_recall_curve(truth.ravel(), probability.ravel())
    # scikit-learn goes from low to high thresholds and adds the end (recall 0, precision 1)
    np.testing.assert_allclose(curve.precision, precision[:-1][::-1])
    np.testing.assert_allclose(curve.recall, recall[:-1][::-1])
    np.testing.assert_array_equal(curve.threshold, threshold[::-1])
    assert curve.average_precision == pytest.approx(
        average_precision_score(truth.ravel(), probability.ravel())
    )


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(
    ("spread", "shift"),
    [(1, -3), (3, -9), (8, -4), (8, 4), (4, 8)],
    ids=["low", "low odds", "broad", "high", "top"],
)
def test_average_precision_of_saturated_probabilities_is_scikit_learns(spread, shift, dtype):
    rng = np.random.default_rng(5)
    truth = rng.random(100_000) < 0.1
    logits = (rng.normal(size=truth.shape) + 2 * truth) * spread + shift
    probability = sigmoid(logits).astype(np.float32).astype(dtype)
    measured = precision_recall(voxel_histogram(probability, truth)).average_precision
    expected = average_precision_score(truth, probability.astype(np.float64))
    assert measured == pytest.approx(expected, abs=1e-4 if spread > 3 else 5e-4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_threshold_separates_exactly_the_voxels_at_or_above_it(dtype):
    rng = np.random.default_rng(6)
    probability = sigmoid(rng.normal(scale=9, size=5000)).astype(np.float32).astype(dtype)
    truth = rng.random(5000) < 0.3
    curve = precision_recall(voxel_histogram(probability, truth))
    assert curve.threshold.max() == 1
    for row in rng.integers(len(curve.threshold), size=200):
        called = probability.astype(np.float64) >= curve.threshold[row]
        assert curve.recall[row] == np.count_nonzero(called & truth) / np.count_nonzero(truth)
        assert curve.precision[row] == np.count_nonzero(called & truth) / np.count_nonzero(called)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_bins_are_those_between_the_thresholds(dtype):
    ends = THRESHOLDS.astype(np.float32)
    beside = [np.nextafter(ends, np.float32(limit)) for limit in (0, 1)]
    drawn = sigmoid(np.random.default_rng(8).normal(scale=9, size=100_000))
    probability = np.concatenate([ends, *beside, drawn]).clip(0, 1).astype(dtype)
    single = probability.astype(np.float32)
    np.testing.assert_array_equal(_bins(probability), np.searchsorted(THRESHOLDS, single, side="right") - 1)


def test_bins_are_as_narrow_near_one_as_near_zero():
    assert THRESHOLDS[0] == 0
    assert THRESHOLDS[-1] == 1
    widths = np.diff(THRESHOLDS)
    assert (widths > 0).all()
    lesser = np.minimum(THRESHOLDS[1:], 1 - THRESHOLDS[:-1])
    assert (widths[1:-1] <= lesser[1:-1] / 256).all()
    assert widths.max() < 0.001


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
    """A sum of channels may lie above it by rounding."""
    probability = np.full((1, 2, 2), 1, dtype=np.float32)
    probability[0, 0, 0] = 1.0004
    histogram = voxel_histogram(probability, np.ones((1, 2, 2), dtype=bool))
    assert histogram.target[-1] == 4
    assert histogram.highest == 1


def test_patients_with_and_without_the_target_are_separated():
    """Of the six pairs of a patient with and one without, five are ranked correctly."""
    auroc, average_precision = patient_ranking([0.9, 0.4, 0.8, 0.5, 0.1], [True, True, True, False, False])
    assert auroc == pytest.approx(5 / 6)
    assert average_precision == pytest.approx((1 + 1 + 3 / 4) / 3)


def test_patients_of_one_kind_cannot_be_separated():
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
def test_refuses_values_that_are_not_probabilities(tmp_path, array, message):
    path = write(tmp_path / "a.npz", probabilities=array)
    with pytest.raises(PancextError, match=message):
        read_probabilities(path, channels=2, shape=(2, 2, 2))


def test_a_header_that_python_fails_to_parse_once_is_read_again(tmp_path, monkeypatch):
    path = write(tmp_path / "a.npz", probabilities=np.full((2, 2, 2, 2), 0.5))
    failures = [SystemError("AST constructor recursion depth mismatch (before=45, after=42)")] * 2
    load = np.load

    def unsteady(*arguments):
        if failures:
            raise failures.pop()
        return load(*arguments)

    monkeypatch.setattr(np, "load", unsteady)
    assert read_probabilities(path, channels=2, shape=(2, 2, 2)).max() == 0.5
    failures += [SystemError("AST constructor recursion depth mismatch (before=45, after=42)")] * 9
    with pytest.raises(PancextError, match="AST constructor recursion depth mismatch"):
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

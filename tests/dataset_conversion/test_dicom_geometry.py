"""Distances between slices: even, uneven within a tolerance, too uneven, or with slices missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnunet_pancext.raw_cases.dicom_geometry import check_spacing
from nnunet_pancext.raw_cases.dicom_slices import BadSeries, DicomSlice


def slice_at(position_mm, path):
    return DicomSlice(
        path=Path(path),
        size=(10, 8),
        spacing_mm=(0.8, 0.7),
        orientation=(1, 0, 0, 0, 1, 0),
        position_mm=(0, 0, position_mm),
        rescaling=(1, -1024),
        stored=(16, 1),
    )


def check(along_mm):
    slices = [slice_at(position, f"case/{number}.dcm") for number, position in enumerate(along_mm)]
    return check_spacing(slices, along_mm, root=Path())


def positions(gap, count=40, *, digits=6):
    return [round(gap * index, digits) for index in range(count)]


def shifted(index, by_mm, gap=3.0):
    along = positions(gap)
    along[index] += by_mm
    return along


@pytest.mark.parametrize(
    "along_mm",
    [
        positions(3),
        positions(0.625, digits=2),
        positions(2.5, 2),
        shifted(7, 0.015),
        shifted(7, 0.045, gap=5),
    ],
)
def test_even_slices_give_no_warning(along_mm):
    assert check(along_mm) == {}


@pytest.mark.parametrize(
    ("along_mm", "deviation", "spacing"),
    [
        (positions(0.75, 41, digits=1), 0.05, 0.75),
        (positions(1.25, 41, digits=1), 0.05, 1.25),
        (positions(0.625, 41, digits=1), 0.08, 0.625),
        (shifted(7, 0.04), 0.04, 3),
        (shifted(7, 0.24), 0.24, 3),  # within 0.1 mm + 5 %
        (shifted(7, 0.34, gap=5), 0.34, 5),
    ],
)
def test_slightly_uneven_slices_are_accepted_with_a_warning(along_mm, deviation, spacing):
    (message,) = check(along_mm).values()
    assert f"the largest deviation is {deviation:.2f} mm (tolerance {0.1 + 0.05 * spacing:.2f} mm)" in message
    assert f"They were placed evenly, {spacing:.4g} mm apart." in message


def two_parts(first, second, at=20):
    return np.cumsum([0.0, *[first] * at, *[second] * 20]).tolist()


@pytest.mark.parametrize(
    ("along_mm", "words"),
    [
        (
            two_parts(3, 5),
            r"5.00 mm apart, other slices 3.00 mm: .* is 2.00 mm .* 20 of 40 distances deviate",
        ),
        (two_parts(5, 3, at=25), r"25.dcm and 26.dcm are 3.00 mm apart, other slices 5.00 mm: .* 2.00 mm"),
        (two_parts(6, 3, at=25), r"3.00 mm apart, other slices 6.00 mm: .* is 3.00 mm"),
        (
            two_parts(3, 3.2),
            r"apart, other slices 3.10 mm: .* is 0.10 mm .* lie up to 2.00 mm off even positions",
        ),
        (shifted(7, 0.27), r"is 0.27 mm \(tolerance 0.25 mm\); .* 2 of 39 distances deviate"),
        (shifted(7, 1.0), r"case/6.dcm and 7.dcm are 4.00 mm apart, .* is 1.00 mm"),
        ([*positions(3), 119.0], r"39.dcm and 40.dcm are 2.00 mm apart, other slices 3.00 mm"),
        ([*positions(3), 121.5], r"39.dcm and 40.dcm are 4.50 mm apart, other slices 3.00 mm"),
    ],
)
def test_too_uneven_slices_are_refused_with_the_deviation(along_mm, words):
    with pytest.raises(BadSeries, match=f"{words}.* resample the series to an even one") as caught:
        check(along_mm)
    assert caught.value.kind == "uneven slices"


def without(along_mm, *indices):
    return [position for index, position in enumerate(along_mm) if index not in indices]


@pytest.mark.parametrize(
    ("along_mm", "words"),
    [
        (
            without(positions(3), 12),
            "case/11.dcm and 12.dcm are 6.00 mm apart, other slices 3.00 mm: 1 missing",
        ),
        (without(positions(3), 12, 13, 14), "are 12.00 mm apart, other slices 3.00 mm: 3 missing"),
        (
            without(positions(3), 5, 20, 21),
            "9.00 mm apart, other slices 3.00 mm, and there are 1 more such gaps: 3 missing",
        ),
        (without(positions(0.75, digits=1), 12), "other slices 0.75 mm: 1 missing"),
        (without(positions(0.75, digits=1), 12, 13, 14), "other slices 0.75 mm: 3 missing"),
        ([0.0, 3.0, 9.0], "1.dcm and 2.dcm are 6.00 mm apart, other slices 3.00 mm: 1 missing"),
    ],
)
def test_a_gap_of_a_multiple_is_a_missing_slice(along_mm, words):
    with pytest.raises(BadSeries, match=f"{words}. Download") as caught:
        check(along_mm)
    assert caught.value.kind == "slices missing"


def test_many_multiples_may_be_a_second_spacing():
    with pytest.raises(
        BadSeries, match=r"20 missing.*changes its spacing: keep the part of one spacing"
    ) as caught:
        check(two_parts(2, 4))
    assert caught.value.kind == "slices missing"


@pytest.mark.parametrize("by_mm", [3.0, 2.99])
def test_two_slices_at_one_position_are_refused(by_mm):
    with pytest.raises(
        BadSeries, match=r"case/7.dcm and 8.dcm are both at 24.00 mm. Remove the one"
    ) as caught:
        check(shifted(7, by_mm))
    assert caught.value.kind == "two slices at one position"


def test_slices_of_two_folders_are_both_named_with_it():
    slices = [slice_at(0, name) for name in ("first/1.dcm", "second/1.dcm")]
    with pytest.raises(BadSeries, match=r"first/1.dcm and second/1.dcm are both at 0.00 mm"):
        check_spacing(slices, [0.0, 0.0], root=Path())

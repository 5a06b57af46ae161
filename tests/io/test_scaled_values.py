"""The scan and the readers of label maps give the values that nnU-Net's readers give, bit by bit."""

import itertools
import math

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.label_maps import read_label_map
from nnunet_pancext.io.label_values import listed
from nnunet_pancext.io.nifti_scan import scan_nifti
from nnunet_pancext.io.unreadable import UnreadableImage
from nnunet_pancext.raw_cases.case_checks import check_values

TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "i8", "u8", "f4", "f8", ">i2", ">f8")
SLOPES = (0.0, 1.0, math.nan, math.inf, -2.0, 0.5, 1 / 255, 2 / 65535, 0.1, 1e-17, 1.0000001)
INTERCEPTS = (0.0, 5.0, -1024.0, 0.1, math.nan)


def write(path, stored, *, slope, intercept=0.0):
    """Write `stored` (z, y, x) as it is, with these numbers in the header."""
    dtype = np.dtype(stored.dtype)
    header = nib.Nifti1Header(endianness="<" if dtype.newbyteorder("<") == dtype else ">")
    header.set_data_dtype(dtype)
    header.set_data_shape(stored.shape[::-1])
    header.set_sform(np.diag([-1.0, -1.0, 1.0, 1.0]), code=1)
    header["scl_slope"], header["scl_inter"], header["vox_offset"] = slope, intercept, 352
    header["magic"] = b"n+1"
    path.write_bytes(header.binaryblock + bytes(4) + stored.tobytes())
    return path


def stored_of(name):
    dtype = np.dtype(name)
    if dtype.kind == "f":
        numbers = np.array([0, 1, 2, 255, 0.1, 0.99999999, 16777217, -3.75], dtype)
    else:
        limits = np.iinfo(dtype)
        numbers = np.array([0, 1, 2, 100, limits.max, limits.max - 1, limits.min, limits.min // 3], dtype)
    return numbers.reshape(1, 2, 4)


@pytest.mark.parametrize("name", TYPES)
def test_scanned_values_are_those_of_simpleitk(tmp_path, name):
    path, stored = tmp_path / "a.nii", stored_of(name)
    for slope, intercept in itertools.product(SLOPES, INTERCEPTS):
        write(path, stored, slope=slope, intercept=intercept)
        expected = np.unique(SimpleITKIO().read_seg(str(path))[0]).tolist()
        assert list(scan_nifti(path, collect_values=True).values) == expected, (slope, intercept)


@pytest.mark.parametrize("name", TYPES)
def test_scanned_values_are_those_of_nibabel(tmp_path, name):
    path, stored = tmp_path / "a.nii", stored_of(name)
    for slope, intercept in itertools.product(SLOPES, INTERCEPTS[:-1]):
        write(path, stored, slope=slope, intercept=intercept)
        expected = np.unique(NibabelIO().read_seg(str(path))[0]).tolist()
        assert list(scan_nifti(path, collect_values=True, by_nibabel=True).values) == expected, (
            slope,
            intercept,
        )


def test_an_intercept_that_nibabel_refuses_is_named(tmp_path):
    path = write(tmp_path / "a.nii", stored_of("i2"), slope=2.0, intercept=math.nan)
    with pytest.raises(UnreadableImage, match=r"intercept \(scl_inter\) nan in its header"):
        scan_nifti(path, collect_values=True, by_nibabel=True)
    assert scan_nifti(path, collect_values=True).values[-1] == 65534


def test_the_range_is_that_of_simpleitk(tmp_path):
    path = write(tmp_path / "a.nii", stored_of("i2"), slope=-0.5, intercept=7.0)
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    scan = scan_nifti(path, collect_values=False)
    assert (scan.lowest, scan.highest) == (image.min(), image.max())


def test_equal_images_have_one_hash_however_they_are_stored(tmp_path):
    stored = np.arange(60, dtype="u2").reshape(3, 4, 5)
    scaled = write(tmp_path / "a.nii", stored, slope=1 / 51)
    plain = write(tmp_path / "b.nii", sitk.GetArrayFromImage(sitk.ReadImage(str(scaled))), slope=1.0)
    hashes = [scan_nifti(path, collect_values=False).voxel_hash for path in (plain, scaled)]
    assert hashes[0] == hashes[1] is not None


@pytest.mark.parametrize(
    ("stored", "slope", "labels"),
    [
        (np.array([[[0, 255]]], "u1"), 1 / 255, [0, 1]),
        (np.array([[[0, 127, 254]]], "u1"), 1 / 127, [0, 1, 2]),
        (np.array([[[0.0, 0.99999999, 2.0]]], "f8"), 1.0, [0, 1, 2]),
    ],
)
def test_labels_that_nnunet_reads_as_whole_are_whole_everywhere(tmp_path, stored, slope, labels):
    path = write(tmp_path / "a.nii", stored, slope=slope)
    scan = scan_nifti(path, collect_values=True)
    assert check_values(scan, label_name="a.nii", declared_values=[0, 1, 2]) == {}
    assert np.unique(sitk.GetArrayFromImage(read_label_map(path))).tolist() == labels


def test_a_value_that_is_not_whole_is_shown_with_its_digits(tmp_path):
    path = write(tmp_path / "a.nii", np.array([[[0, 65535]]], "u2"), slope=0.99999994 / 65535)
    value = "0.9999999"
    assert np.unique(SimpleITKIO().read_seg(str(path))[0])[1] == np.float32(value) != 1
    problems = check_values(scan_nifti(path, collect_values=True), label_name="a.nii", declared_values=[0, 1])
    assert f"a.nii holds {value}. Resample labels" in problems["label value not an integer"]
    with pytest.raises(PancextError, match=f"not whole numbers: {value}. Give label values"):
        read_label_map(path)


def test_numbers_in_messages():
    assert listed([0, 1.0, 0.5]) == "0, 1, 0.5"
    assert listed([float(np.float32(0.99999994)), 16777216.0]) == "0.99999994, 16777216"
    assert listed(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7 and 4 more"
    assert listed([10**400, math.inf]) == "100000000000… (401 digits), inf"


def test_nifti_2_is_read_as_nibabel_does(tmp_path):
    path = tmp_path / "a.nii.gz"
    image = nib.Nifti2Image(stored_of("i2").T, np.eye(4))
    image.header.set_slope_inter(0.5, 3)
    nib.save(image, path)
    expected = np.unique(NibabelIO().read_seg(str(path))[0]).tolist()
    assert list(scan_nifti(path, collect_values=True, by_nibabel=True).values) == expected
    with pytest.raises(UnreadableImage, match="is a NIfTI-2 image, which SimpleITK does not read"):
        scan_nifti(path, collect_values=True)  # SimpleITK does not read it
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UnreadableImage, match="cut short"):
        scan_nifti(path, collect_values=True, by_nibabel=True)


def test_a_file_that_is_not_compressed_is_read_where_simpleitk_does(tmp_path):
    plain = write(tmp_path / "a.nii", stored_of("i2"), slope=1.0)
    path = plain.rename(tmp_path / "a.nii.gz")
    expected = np.unique(SimpleITKIO().read_seg(str(path))[0]).tolist()
    assert list(scan_nifti(path, collect_values=True, needs_gzip=False).values) == expected
    for by_nibabel in (False, True):
        with pytest.raises(UnreadableImage, match="is not compressed, although its name ends"):
            scan_nifti(path, collect_values=True, by_nibabel=by_nibabel)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UnreadableImage, match="cut short: 3 bytes of voxels are missing"):
        scan_nifti(path, collect_values=True, needs_gzip=False)

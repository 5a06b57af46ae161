"""The made DICOM series are what they claim to be, by a reader that is not ours."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from contracts.dicom_series import READABLE, SERIES, make_series, organ_at, points_of

SINGLE = [name for name in READABLE if not SERIES[name].multi_frame]


@pytest.mark.parametrize("kind", SINGLE)
def test_simpleitk_finds_the_organ_where_it_was_put(tmp_path, kind):
    made = make_series(tmp_path, kind)
    volume = sitk.ReadImage([str(path) for path in made.files])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume), made.hu)
    if SERIES[kind].has_organ and not SERIES[kind].uneven_mm:
        first, last = made.organ.nonzero(), np.subtract(made.organ.shape, 1)
        voxel = [int(axis[0]) for axis in first]
        assert organ_at(np.array(volume.TransformIndexToPhysicalPoint(voxel[::-1])))
        np.testing.assert_allclose(
            volume.TransformIndexToPhysicalPoint([int(n) for n in last[::-1]]),
            points_of(made.affine, made.organ.shape)[tuple(last)],
            atol=1e-3,
        )


@pytest.mark.parametrize("kind", ["RLE", "JPEG 2000", "JPEG-LS", "big endian", "implicit"])
def test_pydicom_decodes_each_transfer_syntax(tmp_path, kind):
    made = make_series(tmp_path, kind)
    data = pydicom.dcmread(made.files[3])
    assert data.file_meta.TransferSyntaxUID == SERIES[kind].syntax
    np.testing.assert_array_equal(data.pixel_array - 1024, made.hu[3])


def test_frames_of_a_multi_frame_image_are_out_of_order_and_carry_their_position(tmp_path):
    made = make_series(tmp_path, "multi-frame")
    data = pydicom.dcmread(made.files[0])
    positions = [
        group.PlanePositionSequence[0].ImagePositionPatient[2]
        for group in data.PerFrameFunctionalGroupsSequence
    ]
    assert positions != sorted(positions)
    np.testing.assert_array_equal(data.pixel_array[np.argsort(positions)] - 1024, made.hu)


def test_organ_has_no_symmetry(tmp_path):
    organ = make_series(tmp_path).organ
    for axis in range(3):
        overlap = (organ & np.flip(organ, axis)).sum()
        assert 2 * overlap / (2 * organ.sum()) < 0.9

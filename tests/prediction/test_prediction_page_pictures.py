"""Pictures of a prediction: what they are centred on, how much they show, and the colours of contours."""

import numpy as np
import pytest
import SimpleITK as sitk
from made_records import ORGAN, SHAPE, SPACING, WITH_TUMOUR, write_case
from matplotlib.image import imread

from nnunet_pancext.errors import PancextError
from nnunet_pancext.prediction.report.pictures import field_around, largest_structure, read_case, write_planes

LABELS = {"pancreas": (1,), "tumour": (2,)}
GREEN, CYAN = (43, 220, 90), (53, 208, 255)
STEP_MM = SPACING[::-1]


@pytest.fixture
def read(tmp_path):
    def case(array, *, stored="LPI"):
        """Read a case of an array in the orientation of the display, from files in another one."""
        files = write_case(tmp_path / stored, "one", array)
        for file in files:
            image = sitk.ReadImage(str(file))
            image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1))  # LPI
            sitk.WriteImage(sitk.DICOMOrient(image, stored), str(file))
        return read_case(*files, is_ct=True)

    return case


def pixels(path, colour):
    picture = (imread(path)[..., :3] * 255).round()
    return np.abs(picture - colour).max(axis=-1) < 40


def thirds(mask):
    return [bool(part.any()) for part in np.array_split(mask, 3, axis=1)]


@pytest.mark.parametrize("stored", ["LPI", "LPS", "RAS", "SAL"])
def test_a_stored_voxel_is_found_where_it_is_displayed(read, stored):
    array = np.zeros(SHAPE, dtype=np.uint8)
    array[3, 10, 30] = 2
    case = read(array, stored=stored)
    in_file = tuple(np.argwhere(sitk.GetArrayFromImage(case.stored))[0])
    assert case.displayed(in_file) == (3, 10, 30)
    assert case.label_map[3, 10, 30] == 2


def test_the_largest_structure_is_that_with_most_voxels(read):
    array = np.zeros(SHAPE, dtype=np.uint8)
    array[2:5, 2:5, 2:5] = 2
    array[10:12, 20, 20] = 1
    assert largest_structure(read(array), LABELS) == ("tumour", (3, 3, 3))
    assert largest_structure(read(np.zeros_like(array)), LABELS) == ("", (12, 20, 20))


def test_the_field_of_a_small_lesion_is_80_mm_wide(read):
    array = np.zeros(SHAPE, dtype=np.uint8)
    array[12, 20, 20] = 2
    # centre at 12.5 * 4 = 50 mm and 20.5 * 2 = 41 mm; the image has 96, 80 and 80 mm
    assert field_around(read(array), (12, 20, 20), (2,)) == ((10, 90), (0, 80), (0, 80))


def test_the_field_of_a_large_lesion_has_a_margin_and_stays_in_the_image(read):
    array = np.zeros(SHAPE, dtype=np.uint8)
    array[1:19, 20:22, 20:22] = 2  # 72 mm and twice 15 mm
    array[22, 20, 20] = 2  # another lesion
    assert field_around(read(array), (10, 20, 20), (2,)) == ((0, 96), (0, 80), (0, 80))
    small = np.zeros((40, *SHAPE[1:]), dtype=np.uint8)
    small[0, 20, 20] = 2
    assert field_around(read(small), (0, 20, 20), (2,))[0] == (0, 80)


def test_the_contours_of_both_labels_are_in_all_planes(read, tmp_path):
    case = read(WITH_TUMOUR)
    target = tmp_path / "planes.png"
    write_planes(target, case, voxel=(9, 16, 19), field=case.whole, labels=LABELS)
    assert thirds(pixels(target, GREEN)) == [True] * 3
    assert thirds(pixels(target, CYAN)) == [True] * 3


def test_all_planes_have_one_scale(read, tmp_path):
    array = np.zeros(SHAPE, dtype=np.uint8)
    array[8:14, 10:22, 10:22] = 1  # a cube of 24 mm
    case = read(array)
    target = tmp_path / "planes.png"
    write_planes(target, case, voxel=(11, 16, 16), field=case.whole, labels=LABELS)
    sizes = [
        np.ptp(np.flatnonzero(part.any(axis=axis)))
        for part in np.array_split(pixels(target, GREEN), 3, axis=1)
        for axis in (0, 1)
    ]
    assert max(sizes) - min(sizes) <= 0.06 * max(sizes)


def test_an_empty_prediction_is_drawn_without_contours(read, tmp_path):
    case = read(np.zeros_like(ORGAN))
    target = tmp_path / "planes.png"
    write_planes(target, case, voxel=(12, 20, 20), field=case.whole, labels=LABELS)
    assert not pixels(target, GREEN).any()


def test_a_label_map_of_another_grid_is_refused(tmp_path):
    image, _ = write_case(tmp_path / "data", "image", ORGAN)
    _, label_map = write_case(tmp_path / "data", "other", ORGAN[1:])
    with pytest.raises(PancextError, match=r"The label map .* and the image differ in geometry: size"):
        read_case(image, label_map, is_ct=True)

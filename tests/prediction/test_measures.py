"""Volumes and lesions of label maps whose measures were worked out by hand."""

import math
from itertools import combinations, product

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.targets import read_targets
from nnunet_pancext.prediction.lesion_names import lesion_labels_of
from nnunet_pancext.prediction.measures import measure
from nnunet_pancext.raw_cases.geometry import Geometry, geometry_of

TARGETS = read_targets({"background": 0, "pancreas": 1, "tumour": 2})
SPACING = (0.5, 1.0, 3.0)  # x, y, z
IDENTITY = (1.0, 0, 0, 0, 1, 0, 0, 0, 1)
# Axes of the array's x, y, z: x runs to the head, y to the left, z to the back.
SAGITTAL_FILE = (0.0, 1, 0, 0, 0, 1, 1, 0, 0)


def geometry(shape, *, spacing=SPACING, origin=(10.0, 20, 30), direction=IDENTITY):
    return Geometry(size=shape[::-1], spacing_mm=spacing, origin_mm=origin, direction=direction)


def boxes(*parts, value=2, shape=(8, 12, 16)):
    label_map = np.zeros(shape, dtype=np.uint8)
    for part in parts:
        label_map[part] = value
    return label_map


def lesions_of(label_map, **options):
    options = {"geometry": geometry(label_map.shape), "targets": TARGETS, **options}
    return measure(label_map, lesion_labels=["tumour"], **options).lesions


def test_a_box_in_anisotropic_voxels():
    label_map = boxes(np.s_[1:3, 2:6, 4:10])
    label_map[1:3, 6:8, 4:10] = 1
    measures = measure(
        label_map, geometry=geometry(label_map.shape), targets=TARGETS, lesion_labels=["tumour"]
    )
    (lesion,) = measures.lesions
    # 2 x 4 x 6 voxels of 3 x 1 x 0.5 mm, and half as many of the pancreas
    assert measures.volumes_ml == pytest.approx({"pancreas": 0.036, "tumour": 0.072})
    assert (lesion.label, lesion.voxels) == ("tumour", 48)
    assert lesion.volume_ml == pytest.approx(0.072)
    assert lesion.longest_axial_diameter_mm == pytest.approx(5)  # 4 mm by 6 * 0.5 mm
    # x: 10 + 6.5 * 0.5, y: 20 + 3.5, z: 30 + 1.5 * 3
    assert lesion.centre_mm == pytest.approx((13.25, 23.5, 34.5))
    assert label_map[lesion.voxel] == 2
    assert (lesion.peak_probability, lesion.mean_probability, lesion.mean_entropy) == (None, None, None)


def test_one_voxel_has_its_diagonal_in_the_axial_plane():
    (lesion,) = lesions_of(boxes(np.s_[7, 0, 15]))
    assert lesion.longest_axial_diameter_mm == pytest.approx(math.hypot(0.5, 1))
    assert lesion.voxel == (7, 0, 15)
    assert lesion.centre_mm == pytest.approx((17.5, 20, 51))


@pytest.mark.parametrize(
    ("line", "diameter_mm"),
    [
        (np.s_[3, 4, 2:14], math.hypot(6, 1)),  # 12 voxels of 0.5 mm across
        (np.s_[3, 2:12, 4], math.hypot(0.5, 10)),
        (np.s_[0:8, 4, 4], math.hypot(0.5, 1)),  # from slice to slice: one voxel in each
    ],
)
def test_a_line_of_voxels(line, diameter_mm):
    (lesion,) = lesions_of(boxes(line))
    assert lesion.longest_axial_diameter_mm == pytest.approx(diameter_mm)


def test_a_diagonal_of_voxels_is_one_lesion():
    label_map = boxes()
    label_map[2, range(10), range(10)] = 2
    (lesion,) = lesions_of(label_map)
    assert lesion.longest_axial_diameter_mm == pytest.approx(math.hypot(10, 5))


def test_boxes_that_touch_by_a_corner_are_one_lesion_and_others_are_two():
    touching = boxes(np.s_[0:2, 0:2, 0:2], np.s_[2:4, 2:4, 2:4])
    assert [lesion.voxels for lesion in lesions_of(touching)] == [16]
    apart = boxes(np.s_[0:2, 0:2, 0:2], np.s_[3:6, 2:4, 2:4])
    assert [lesion.voxels for lesion in lesions_of(apart)] == [12, 8]  # the larger first


def test_the_axial_plane_is_that_of_the_patient():
    label_map = boxes(np.s_[1:5, 2:5, 3:13])  # 4, 3 and 10 voxels
    place = geometry(label_map.shape, direction=SAGITTAL_FILE, spacing=(2.0, 1.0, 1.0))
    (lesion,) = lesions_of(label_map, geometry=place)
    # the columns, 10 voxels of 2 mm, are along the patient
    assert lesion.longest_axial_diameter_mm == pytest.approx(5)
    # mean voxel: slice 2.5, row 3, column 7.5; to the left 3 * 1, to the back 2.5 * 1, to the head 7.5 * 2
    assert lesion.centre_mm == pytest.approx((13, 22.5, 45))


def test_an_oblique_grid_gives_lengths_as_before_and_places_as_simpleitk_does():
    angle = math.radians(20)
    oblique = (math.cos(angle), -math.sin(angle), 0, math.sin(angle), math.cos(angle), 0, 0, 0, 1)
    label_map = boxes(np.s_[1:3, 2:6, 4:10])
    image = sitk.GetImageFromArray(label_map)
    image.SetSpacing(SPACING)
    image.SetOrigin((-3, 4, 5))
    image.SetDirection(oblique)
    (lesion,) = lesions_of(label_map, geometry=geometry_of(image))
    assert lesion.longest_axial_diameter_mm == pytest.approx(5)
    assert lesion.volume_ml == pytest.approx(0.072)
    assert lesion.centre_mm == pytest.approx(image.TransformContinuousIndexToPhysicalPoint((6.5, 3.5, 1.5)))


def test_diameters_of_random_shapes_are_the_longest_of_all_pairs_of_corners():
    rng = np.random.default_rng(0)
    label_map = (rng.random((3, 12, 14)) < 0.7).astype(np.uint8) * 2
    lesion, *_ = lesions_of(label_map)
    longest = 0.0
    for number in range(3):
        corners = {
            ((row + down) * 1.0, (column + across) * 0.5)
            for row, column in np.argwhere(label_map[number])
            for down, across in product((0, 1), repeat=2)
        }
        longest = max(longest, *(math.dist(*pair) for pair in combinations(corners, 2)))
    assert lesion.voxels == np.count_nonzero(label_map)  # all in one
    assert lesion.longest_axial_diameter_mm == pytest.approx(longest)


def test_the_voxel_of_a_curved_lesion_lies_in_it():
    ring = boxes(np.s_[4, 1:10, 1:10])
    ring[4, 2:9, 2:9] = 0
    ring[4, 5, 9] = 0
    (lesion,) = lesions_of(ring, geometry=geometry(ring.shape, spacing=(1.0, 1, 1)))
    assert ring[lesion.voxel] == 2
    centre = np.argwhere(ring).mean(axis=0)
    nearest = min(math.dist(voxel, centre) for voxel in np.argwhere(ring))
    assert math.dist(lesion.voxel, centre) == pytest.approx(nearest)


def test_nearness_is_in_millimetres():
    # The centre is (2, 4, 4), a hole: two slices of 3 mm to either side, or three columns of 0.5 mm.
    label_map = boxes(np.s_[0, 4, 1:8], np.s_[4, 4, 1:8], np.s_[0:5, 4, 1], np.s_[0:5, 4, 7])
    (lesion,) = lesions_of(label_map)
    assert lesion.voxel in ((2, 4, 1), (2, 4, 7))


def test_probabilities_are_of_the_lesions_label():
    label_map = boxes(np.s_[1, 2, 3:5], np.s_[6, 2, 3])
    probabilities = np.zeros((3, *label_map.shape))
    probabilities[0], probabilities[1] = 0.1, 0.9  # of other labels
    probabilities[2, 1, 2, 3:5] = 0.5, 0.75
    probabilities[2, 6, 2, 3] = 0.25
    entropy = np.zeros(label_map.shape, dtype=np.float32)
    entropy[1, 2, 3:5] = 0.5, 0.25
    first, second = lesions_of(
        label_map,
        probabilities_at=lambda voxels: probabilities[(slice(None), *voxels.T)].T,
        entropy=entropy,
    )
    assert (first.peak_probability, first.mean_probability, first.mean_entropy) == (0.75, 0.625, 0.375)
    assert (second.peak_probability, second.mean_probability, second.mean_entropy) == (0.25, 0.25, 0)


def test_regions_are_measured_with_their_own_head():
    targets = read_targets({"background": 0, "whole": [1, 2], "lesion": [2]})
    label_map = boxes(np.s_[2:4, 2:4, 2:4], value=1)
    label_map[2, 2, 2] = 2
    heads = np.array([[0.25, 0.5]])  # whole, lesion; no background
    measures = measure(
        label_map,
        geometry=geometry(label_map.shape),
        targets=targets,
        lesion_labels=["lesion"],
        probabilities_at=lambda voxels: heads.repeat(len(voxels), axis=0),
    )
    assert measures.volumes_ml == pytest.approx({"whole": 0.012, "lesion": 0.0015})
    assert [lesion.peak_probability for lesion in measures.lesions] == [0.5]


def test_a_healthy_case_has_no_lesion():
    measures = measure(
        boxes(), geometry=geometry((8, 12, 16)), targets=TARGETS, lesion_labels=["pancreas", "tumour"]
    )
    assert measures.document() == {
        "volumes_ml": {"pancreas": 0, "tumour": 0},
        "lesions": [],
        "lesions_left_out": 0,
    }


def test_thousands_of_lesions_are_counted_and_the_largest_listed():
    label_map = np.zeros((40, 80, 80), dtype=np.uint8)
    label_map[::2, ::2, ::2] = 2  # 20 * 40 * 40 of one voxel
    label_map[0, 0:3, 0] = 2  # joins two of them
    measures = measure(
        label_map,
        geometry=geometry(label_map.shape),
        targets=TARGETS,
        lesion_labels=["tumour"],
        most_lesions=5,
    )
    assert [lesion.voxels for lesion in measures.lesions] == [3, 1, 1, 1, 1]
    assert measures.lesions_left_out == 32_000 - 1 - 5


def test_lesions_of_several_labels_are_listed_together():
    targets = read_targets({"background": 0, "cyst": 1, "tumour": 2})
    label_map = boxes(np.s_[0, 0, 0:4])
    label_map[2, 2, 0:5] = label_map[4, 4, 0:2] = 1
    measures = measure(
        label_map,
        geometry=geometry(label_map.shape),
        targets=targets,
        lesion_labels=["cyst", "tumour"],
        most_lesions=2,
    )
    assert [(lesion.label, lesion.voxels) for lesion in measures.lesions] == [("cyst", 5), ("tumour", 4)]
    assert measures.lesions_left_out == 1


def test_a_slice_without_thickness_has_no_volume():
    flat = Geometry(size=(16, 12), spacing_mm=(0.5, 2), origin_mm=(1, 2), direction=(1, 0, 0, 1))
    label_map = boxes(np.s_[0, 2:4, 4:10], shape=(1, 12, 16))
    measures = measure(label_map, geometry=flat, targets=TARGETS, lesion_labels=["tumour"])
    (lesion,) = measures.lesions
    assert measures.volumes_ml == {"pancreas": None, "tumour": None}
    assert (lesion.volume_ml, lesion.voxels) == (None, 12)
    assert lesion.longest_axial_diameter_mm == pytest.approx(5)  # 2 rows of 2 mm, 6 columns of 0.5 mm
    assert lesion.centre_mm == pytest.approx((1 + 6.5 * 0.5, 2 + 2.5 * 2))


def test_without_a_spacing_only_voxels_are_counted():
    bare = Geometry(
        size=(16, 12), spacing_mm=(1, 1), origin_mm=(0, 0), direction=(1, 0, 0, 1), has_spacing=False
    )
    label_map = boxes(np.s_[0, 2:4, 4:10], shape=(1, 12, 16))
    (lesion,) = measure(label_map, geometry=bare, targets=TARGETS, lesion_labels=["tumour"]).lesions
    assert (lesion.voxels, lesion.longest_axial_diameter_mm, lesion.centre_mm) == (12, None, None)


@pytest.mark.parametrize(
    ("name", "is_lesion"),
    [
        *((name, True) for name in ("cancer", "tumour", "Tumor", "pancreas_tumour", "PancreasTumor", "PDAC")),
        *((name, True) for name in ("pNET", "lesions", "liver metastases", "cysts", "masses", "PDAC lesion")),
        *((name, True) for name in ("cyst and tumour", "non-enhancing tumor core")),
        *(
            (name, False)
            for name in ("pancreas", "whole pancreas", "pancreatic duct", "network", "peritumoral")
        ),
        *((name, False) for name in ("pancreas and tumour", "pancreas+tumour", "pancreas without tumour")),
        *((name, False) for name in ("no tumour", "cystic duct", "massive", "spleen", "left ventricle")),
    ],
)
def test_labels_that_mean_lesions_are_found_by_name(name, is_lesion):
    targets = read_targets({"background": 0, "organ": 1, name: 2})
    assert lesion_labels_of(targets) == ((name,) if is_lesion else ())


def test_lesion_labels_can_be_named():
    assert lesion_labels_of(TARGETS, ["pancreas"]) == ("pancreas",)
    assert lesion_labels_of(TARGETS, []) == ()
    with pytest.raises(
        PancextError, match=r"There is no label 'cancer'; the model has 'pancreas', 'tumour'\."
    ):
        lesion_labels_of(TARGETS, ["tumour", "cancer"])

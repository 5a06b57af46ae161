"""A phantom case looks like an abdominal CT and keeps the numbers its difficulty promises."""

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion
from scipy.stats import median_abs_deviation

from nnunet_pancext.errors import PancextError
from nnunet_pancext.phantom import DEFAULT_SIZE, DIFFICULTIES, make_phantom_case
from nnunet_pancext.phantom.anatomy import has_tumour, sample_anatomy
from nnunet_pancext.phantom.case import voxel_grid
from nnunet_pancext.phantom.render import paint

FINE_SIZE = (48, 112, 112)
# Case 13 of this series has a tumour near the upper end of the range at both difficulties.
SEED, INDEX = 1, 13


@pytest.fixture(scope="module", params=["easy", "hard"])
def fine(request):
    return request.param, make_phantom_case(seed=SEED, index=INDEX, size=FINE_SIZE, difficulty=request.param)


@pytest.fixture(scope="module")
def default_cases():
    return [make_phantom_case(seed=0, index=i, size=DEFAULT_SIZE, difficulty="easy") for i in (1, 2, 3)]


@cache
def patients(difficulty):
    """The first 25 anatomies of a series, by index."""
    numbers = DIFFICULTIES[difficulty]
    return {index: sample_anatomy(seed=0, index=index, difficulty=numbers) for index in range(1, 26)}


def depth_inside(difficulty, organ):
    """Distance in mm below the surface of `organ`, negative outside, at every voxel of the fine case."""
    anatomy = sample_anatomy(seed=SEED, index=INDEX, difficulty=DIFFICULTIES[difficulty])
    grid = voxel_grid(anatomy, size=FINE_SIZE)
    z, y, x = (grid.axis_mm(axis) for axis in range(3))
    depths = [
        -layer.shape.distance(x[None, None, :], y[None, :, None], z[:, None, None])
        for layer in anatomy.layers
        if layer.name == organ
    ]
    return np.broadcast_to(np.max(np.broadcast_arrays(*depths), axis=0), FINE_SIZE)


def test_arrays_have_the_promised_types_and_values(default_cases):
    for case in default_cases:
        assert case.image.shape == case.label.shape == DEFAULT_SIZE
        assert case.image.dtype == np.int16
        assert case.label.dtype == np.uint8
        assert -1024 <= case.image.min() <= -1000
        assert 300 < case.image.max() < 1500
        assert set(np.unique(case.label)) <= {0, 1, 2}


def test_case_is_the_same_every_time(default_cases):
    again = make_phantom_case(seed=0, index=2, size=DEFAULT_SIZE, difficulty="easy")
    np.testing.assert_array_equal(again.image, default_cases[1].image)
    np.testing.assert_array_equal(again.label, default_cases[1].label)
    assert again.spacing_mm == default_cases[1].spacing_mm


def test_cases_differ_in_anatomy_and_spacing(default_cases):
    assert len({case.spacing_mm for case in default_cases}) == 3
    assert len({case.origin_mm for case in default_cases}) == 3
    first, second = default_cases[0].label > 0, default_cases[1].label > 0
    assert (first & second).sum() < 0.9 * min(first.sum(), second.sum())


def test_default_size_leaves_enough_voxels_to_learn_from(default_cases):
    for case in default_cases:
        assert (case.label > 0).sum() >= 300
        if case.lesion_diameter_mm:
            assert (case.label == 2).sum() >= 30


def test_spacing_is_square_in_the_slice_coarser_along_z_and_covers_the_body(default_cases):
    for case in default_cases:
        z, y, x = case.spacing_mm
        assert y == x < z
        assert 200 <= z * DEFAULT_SIZE[0] <= 260
        assert 290 <= x * DEFAULT_SIZE[2] <= 400


def test_larger_size_shows_the_same_anatomy(default_cases):
    fine = make_phantom_case(seed=0, index=1, size=(60, 120, 120), difficulty="easy")
    coarse = default_cases[0]
    volumes, centres = [], []
    for case in (coarse, fine):
        voxels = np.argwhere(case.label > 0)
        volumes.append(len(voxels) * np.prod(case.spacing_mm))
        centres.append(voxels.mean(axis=0) * case.spacing_mm + np.array(case.origin_mm)[::-1])
    assert volumes[1] == pytest.approx(volumes[0], rel=0.1)
    np.testing.assert_allclose(centres[0], centres[1], atol=1.5)


@pytest.mark.parametrize(
    ("organ", "lowest_hu", "highest_hu"),
    [
        ("liver", 90, 140),
        ("spleen", 95, 150),
        ("kidney medulla", 120, 200),
        ("aorta", 120, 220),
        ("gallbladder", -10, 30),
        ("back muscle", 40, 75),
        ("subcutaneous fat", -130, -85),
        ("cancellous bone", 110, 320),
    ],
)
def test_organs_have_their_hounsfield_values(fine, organ, lowest_hu, highest_hu):
    difficulty, case = fine
    depth = depth_inside(difficulty, organ)
    if organ == "subcutaneous fat":
        depth = np.minimum(depth, -depth_inside(difficulty, "muscle wall"))
    core = depth > 4.5
    assert core.sum() >= 10
    assert lowest_hu <= np.median(case.image[core]) <= highest_hu


def test_stomach_and_bowel_hold_gas(fine):
    difficulty, case = fine
    assert (case.image[depth_inside(difficulty, "skin") > 35] < -800).sum() > 50


def test_tumour_contrast_and_noise_are_the_promised_ones(fine):
    difficulty, case = fine
    promised = DIFFICULTIES[difficulty]
    anatomy = sample_anatomy(seed=SEED, index=INDEX, difficulty=promised)
    clean, label = paint(anatomy.layers, voxel_grid(anatomy, size=FINE_SIZE))
    gland, tumour = label > 0, label == 2
    parenchyma_hu = np.median(clean[binary_erosion(gland) & ~binary_dilation(tumour, iterations=2)])
    contrast = parenchyma_hu - np.median(clean[binary_erosion(tumour)])
    # The upper liver, where only vessels run through it; the median passes over those.
    liver = depth_inside(difficulty, "liver")[33:] > 8
    noise = median_abs_deviation(case.image[33:][liver], scale="normal")
    assert 90 <= parenchyma_hu <= 110
    assert contrast == pytest.approx(promised.tumour_contrast_hu, abs=2)
    assert noise == pytest.approx(promised.noise_sd_hu, rel=0.15)
    assert (contrast > 3 * noise) if difficulty == "easy" else (contrast <= noise)


def test_tumour_is_darker_in_the_noisy_image(fine):
    _, case = fine
    tumour = case.label == 2
    core = binary_erosion(tumour)
    parenchyma = binary_erosion(case.label > 0) & ~binary_dilation(tumour, iterations=2)
    assert case.image[core].mean() < case.image[parenchyma].mean()


def test_noise_has_grain_in_the_slice(fine):
    difficulty, case = fine
    depth = depth_inside(difficulty, "liver")
    pairs = (depth[:, :, 1:] > 8) & (depth[:, :, :-1] > 8)
    neighbours = np.corrcoef(case.image[:, :, 1:][pairs], case.image[:, :, :-1][pairs])[0, 1]
    assert 0.2 < neighbours < 0.9


def test_tumour_is_inside_the_pancreas(fine):
    _, case = fine
    tumour = case.label == 2
    rim = binary_dilation(tumour) & ~tumour
    assert (case.label[rim] == 1).mean() > 0.7
    assert case.label[case.lesion_centre_voxel] == 2


def test_labelled_tumour_volume_fits_its_diameter(fine):
    _, case = fine
    labelled = (case.label == 2).sum() * np.prod(case.spacing_mm)
    assert labelled == pytest.approx(np.pi / 6 * case.lesion_diameter_mm**3, rel=0.25)


def test_tumour_below_voxel_size_keeps_a_voxel():
    lesions = {index: patient.lesion for index, patient in patients("hard").items() if patient.lesion}
    smallest = min(lesions, key=lambda index: lesions[index].diameter_mm)
    case = make_phantom_case(seed=0, index=smallest, size=(16, 32, 32), difficulty="hard")
    assert case.lesion_diameter_mm == lesions[smallest].diameter_mm < min(case.spacing_mm)
    assert (case.label == 2).sum() >= 1


@pytest.mark.parametrize(("difficulty", "least", "most"), [("easy", 20, 36), ("hard", 3, 26)])
def test_lesion_diameters_span_the_promised_range(difficulty, least, most):
    lesions = [patient.lesion for patient in patients(difficulty).values()]
    diameters = [lesion.diameter_mm for lesion in lesions if lesion]
    assert least <= min(diameters) < least + 0.2 * (most - least)
    assert most - 0.2 * (most - least) < max(diameters) <= most


def test_field_of_view_varies_by_about_a_tenth():
    widths = np.array([patient.scan.field_of_view_mm for patient in patients("easy").values()])
    assert 1.1 < widths.max() / widths.min() < 1.45
    assert widths.min() > 300
    assert widths.max() < 400


@pytest.mark.parametrize("seed", range(10))
def test_four_of_every_five_cases_have_a_tumour_and_the_first_always(seed):
    tumours = np.array([has_tumour(seed=seed, index=index) for index in range(1, 101)]).reshape(20, 5)
    assert (tumours.sum(axis=1) == 4).all()
    assert tumours[:, 0].all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"difficulty": "medium"}, r"unknown phantom difficulty 'medium': choose one of easy, hard"),
        ({"size": (8, 80, 80)}, r"size 8 80 80 is too small .* at least 16 32 32 voxels"),
        ({"seed": -1}, r"seed -1 is negative: give 0 or a positive"),
        ({"index": 0}, r"case index 0 does not exist: count from 1"),
    ],
)
def test_impossible_request_says_what_to_do(change, message):
    request = {"seed": 0, "index": 1, "size": DEFAULT_SIZE, "difficulty": "easy"} | change
    with pytest.raises(PancextError, match=message):
        make_phantom_case(**request)

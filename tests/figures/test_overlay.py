from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_shapes import CUBE, CYAN, EMPTY, GREEN, ORANGE, RED, SHAPE, SPACING, box
from matplotlib.image import imread

from nnunet_pancext.errors import PancextError
from nnunet_pancext.figures import layout
from nnunet_pancext.figures.overlay import write_overlay


@pytest.fixture
def draw(
    tmp_path: Path, labels: dict[str, int], write_volume: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., np.ndarray]:
    """Write arrays in LPS orientation as files, draw them, and give the picture (row, column, rgb)."""
    monkeypatch.setattr(layout, "PIXELS_PER_INCH", 130)

    def picture(
        *, ct: np.ndarray, truth: np.ndarray | None, prediction: np.ndarray, stored: str = "LPS"
    ) -> np.ndarray:
        target = tmp_path / f"{stored}.png"
        write_overlay(
            target,
            image=write_volume(tmp_path / "ct.nii.gz", ct, spacing=SPACING, stored=stored),
            truth=None
            if truth is None
            else write_volume(tmp_path / "truth.nii.gz", truth, spacing=SPACING, stored=stored),
            prediction=write_volume(
                tmp_path / "prediction.nii.gz", prediction, spacing=SPACING, stored=stored
            ),
            labels=labels,
            title="case with $ and _",
        )
        return (imread(target)[..., :3] * 255).round().astype(int)

    return picture


def ct(value: int = -160) -> np.ndarray:
    return np.full(SHAPE, value, dtype=np.int16)


def pixels(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Mask of the pixels above the legend that have nearly `colour`."""
    mask = np.abs(picture - np.array(colour)).max(axis=-1) < 30
    mask[-int(0.12 * len(mask)) :] = False
    return mask


def quarters(mask: np.ndarray) -> list[bool]:
    """Whether the mask holds anything in the axial, enlarged, coronal and sagittal panel."""
    row, column = len(mask) // 2, mask.shape[1] // 2
    return [
        bool(part.any()) for half in (mask[:row], mask[row:]) for part in (half[:, :column], half[:, column:])
    ]


def test_truth_is_red_and_prediction_green_in_every_panel(draw: Callable[..., np.ndarray]) -> None:
    picture = draw(ct=ct(), truth=CUBE, prediction=np.roll(CUBE, 6, axis=2))
    assert quarters(pixels(picture, RED)) == [True] * 4
    assert quarters(pixels(picture, GREEN)) == [True] * 4


def test_prediction_to_the_patients_left_is_drawn_to_the_right(draw: Callable[..., np.ndarray]) -> None:
    picture = draw(ct=ct(), truth=CUBE, prediction=np.roll(CUBE, 6, axis=2))
    half = picture.shape[1] // 2
    red, green = (np.flatnonzero(pixels(picture, colour)[:, :half].any(axis=0)) for colour in (RED, GREEN))
    assert red.min() < green.min()
    assert red.max() < green.max()


def test_contours_keep_the_physical_proportions(draw: Callable[..., np.ndarray]) -> None:
    picture = draw(ct=ct(), truth=CUBE, prediction=EMPTY)
    red = pixels(picture, RED)
    # 30 mm wide, deep and high: 20 voxels of 1.5 mm, 10 slices of 3 mm
    half_row, half_column = len(red) // 2, red.shape[1] // 2
    for panel in (red[:half_row, :half_column], red[half_row:, :half_column], red[half_row:, half_column:]):
        height, width = (np.ptp(np.flatnonzero(panel.any(axis=axis))) for axis in (1, 0))
        assert height == pytest.approx(width, rel=0.05)


def test_the_second_label_has_its_own_shades(draw: Callable[..., np.ndarray]) -> None:
    lesion = CUBE + box(slice(19, 23), slice(26, 34), slice(36, 44))
    picture = draw(ct=ct(), truth=lesion, prediction=lesion)
    assert quarters(pixels(picture, ORANGE)) == [True] * 4
    assert quarters(pixels(picture, CYAN)) == [True] * 4


def test_slices_go_through_the_lesion(draw: Callable[..., np.ndarray]) -> None:
    lesion_at_the_edge = CUBE + box(slice(16, 18), slice(20, 24), slice(30, 34))
    picture = draw(ct=ct(), truth=lesion_at_the_edge, prediction=CUBE)
    assert quarters(pixels(picture, ORANGE)) == [True] * 4


def test_without_truth_only_the_prediction_is_drawn(draw: Callable[..., np.ndarray]) -> None:
    picture = draw(ct=ct(), truth=None, prediction=CUBE)
    assert not pixels(picture, RED).any()
    assert quarters(pixels(picture, GREEN)) == [True] * 4


def test_slices_go_through_the_prediction_where_the_truth_is_empty(draw: Callable[..., np.ndarray]) -> None:
    at_the_edge = box(slice(0, 3), slice(0, 6), slice(0, 6))
    picture = draw(ct=ct(), truth=EMPTY, prediction=at_the_edge)
    assert quarters(pixels(picture, GREEN)) == [True] * 4


def test_two_empty_label_maps_are_drawn_without_contours(draw: Callable[..., np.ndarray]) -> None:
    picture = draw(ct=ct(), truth=EMPTY, prediction=EMPTY)
    assert not pixels(picture, RED).any()
    assert not pixels(picture, GREEN).any()


@pytest.mark.parametrize("stored", ["LPS", "RAS", "SAL"])
def test_any_stored_orientation_is_shown_in_the_radiological_convention(
    draw: Callable[..., np.ndarray], stored: str
) -> None:
    image = ct()
    # In LPS, low columns are right, low rows front, low slices feet.
    image[2:16, 4:18, 4:22] = 240
    shape = box(slice(12, 16), slice(14, 18), slice(18, 22))
    picture = draw(ct=image, truth=shape, prediction=shape, stored=stored)
    white = (picture > 250).all(axis=-1)
    row, column = len(white) // 2, white.shape[1] // 2

    def centre(part: np.ndarray) -> tuple[float, float]:
        height, width = part.shape
        rows, columns = np.nonzero(part)
        return rows.mean() / height, columns.mean() / width

    axial_row, axial_column = centre(white[:row, :column])
    coronal_row, coronal_column = centre(white[row:, :column])
    _, sagittal_column = centre(white[row:, column:])
    assert axial_column < 0.5
    assert axial_row < 0.5
    assert coronal_column < 0.5
    assert coronal_row > 0.5
    assert sagittal_column < 0.5


def test_the_stored_orientation_does_not_change_the_picture(draw: Callable[..., np.ndarray]) -> None:
    slices, rows, columns = np.indices(SHAPE)
    image = (-160 + slices + 2 * rows + 3 * columns).astype(np.int16)
    lps, ras = (draw(ct=image, truth=CUBE, prediction=CUBE, stored=stored) for stored in ("LPS", "RAS"))
    np.testing.assert_array_equal(lps, ras)


def test_refuses_label_maps_on_another_grid(
    tmp_path: Path, labels: dict[str, int], write_volume: Callable[..., Path]
) -> None:
    image = write_volume(tmp_path / "ct.nii.gz", ct(), spacing=SPACING)
    prediction = write_volume(tmp_path / "prediction.nii.gz", CUBE, spacing=(1.0, 1.0, 1.0))
    target = tmp_path / "overlay.png"
    with pytest.raises(
        PancextError, match=r"The prediction .*prediction\.nii\.gz and the image differ in geometry"
    ):
        write_overlay(target, image=image, truth=None, prediction=prediction, labels=labels, title="")
    assert not target.exists()


def test_refuses_a_missing_image(tmp_path: Path, labels: dict[str, int]) -> None:
    absent = tmp_path / "absent.nii.gz"
    with pytest.raises(PancextError, match=r"There is no image at .*absent\.nii\.gz\. Check the folder"):
        write_overlay(
            tmp_path / "overlay.png", image=absent, truth=None, prediction=absent, labels=labels, title=""
        )

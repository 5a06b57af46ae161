"""A case in three planes, a row for each prediction: what is drawn in which colours, and where."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_shapes import CUBE, CYAN, EMPTY, GREEN, ORANGE, RED, SHAPE, SPACING, box
from matplotlib.image import imread

from nnunet_pancext.comparison.output.side_by_side import write_side_by_side

LESION = CUBE + box(slice(19, 23), slice(26, 34), slice(36, 44))


@pytest.fixture
def draw(
    tmp_path: Path, labels: dict[str, int], write_volume: Callable[..., Path]
) -> Callable[..., np.ndarray]:
    """Draw a truth and predictions, and give the picture (row, column, rgb) without its legend."""

    def volume(name: str, array: np.ndarray) -> Path:
        return write_volume(tmp_path / f"{name}.nii.gz", array, spacing=SPACING)

    def picture(truth: np.ndarray, *predictions: np.ndarray) -> np.ndarray:
        write_side_by_side(
            tmp_path / "case.png",
            image=volume("ct", np.full(SHAPE, -160, np.int16)),
            truth=volume("truth", truth),
            predictions={
                f"{index} $_$": volume(f"p{index}", prediction)
                for index, prediction in enumerate(predictions)
            },
            labels=labels,
        )
        return (imread(tmp_path / "case.png")[:-90, :, :3] * 255).round().astype(int)

    return picture


def drawn(picture: np.ndarray, colour: tuple[int, int, int], *, rows: int) -> list[list[bool]]:
    """Whether a colour is in each third (plane) of each row (prediction)."""
    mask = np.abs(picture - np.array(colour)).max(axis=-1) < 30
    return [
        [bool(part.any()) for part in np.array_split(row, 3, axis=1)] for row in np.array_split(mask, rows)
    ]


def test_truth_and_predictions_have_their_own_colours_in_every_plane(draw):
    picture = draw(LESION, np.roll(LESION, 6, axis=2), EMPTY)
    assert drawn(picture, RED, rows=2) == [[True] * 3] * 2
    assert drawn(picture, ORANGE, rows=2) == [[True] * 3] * 2
    assert drawn(picture, GREEN, rows=2) == [[True] * 3, [False] * 3]


def test_an_empty_truth_is_drawn_in_no_colour(draw):
    picture = draw(EMPTY, LESION)
    for colour, there in ((RED, False), (ORANGE, False), (GREEN, True), (CYAN, True)):
        assert drawn(picture, colour, rows=1) == [[there] * 3]


def test_slices_go_through_the_lesion(draw):
    at_the_edge = CUBE + box(slice(16, 18), slice(20, 24), slice(30, 34))
    assert drawn(draw(at_the_edge, CUBE), ORANGE, rows=1) == [[True] * 3]


def test_a_prediction_to_the_left_and_above_is_drawn_there(draw):
    # In LPS columns run to the patient's left, slices to the head.
    picture = draw(CUBE, np.roll(CUBE, (4, 8), axis=(0, 2)))
    axial, coronal, _ = np.array_split(picture, 3, axis=1)
    for part in (axial, coronal):
        red, green = (
            np.argwhere(np.abs(part - np.array(colour)).max(axis=-1) < 30).mean(axis=0)
            for colour in (RED, GREEN)
        )
        assert green[1] > red[1] + 10
    assert green[0] < red[0] - 10


def test_all_planes_have_one_scale(draw):
    # 30 mm wide, deep and high: 20 voxels of 1.5 mm, 10 slices of 3 mm
    mask = np.abs(draw(CUBE, EMPTY) - np.array(RED)).max(axis=-1) < 30
    for part in np.array_split(mask, 3, axis=1):
        sides = [np.ptp(np.flatnonzero(part.any(axis=axis))) for axis in (0, 1)]
        assert sides == pytest.approx([sides[0]] * 2, rel=0.06)

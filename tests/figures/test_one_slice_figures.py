"""Figures of a single slice: drawn once and as stored, not in three planes."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from made_shapes import GREEN, RED
from matplotlib.image import imread

from nnunet_pancext.attention.heatmap import write_heatmap
from nnunet_pancext.comparison.output.side_by_side import write_side_by_side
from nnunet_pancext.figures import layout
from nnunet_pancext.figures.overlay import write_overlay
from nnunet_pancext.figures.panel import CORONAL, PLANES, SLICE, display_array, planes_of
from nnunet_pancext.io.label_maps import on_grid_of, read_volume

LABELS = {"background": 0, "organ": 1}


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    monkeypatch.setattr(layout, "PIXELS_PER_INCH", 80)


def corner() -> np.ndarray:
    """A square in the upper left corner of 40 rows and 60 columns."""
    array = np.zeros((40, 60), np.uint8)
    array[4:14, 6:16] = 1
    return array


def write(path: Path, array: np.ndarray, direction: tuple[float, ...] = ()) -> Path:
    image = sitk.GetImageFromArray(array, isVector=array.ndim == 3 and array.shape[-1] == 3)
    if direction:
        image.SetDirection(direction)
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture(params=[(".png", ()), (".nii.gz", (-1.0, 0.0, 0.0, -1.0)), (".mha", (0.0, 1.0, 1.0, 0.0))])
def files(request, tmp_path):
    """Image, ground truth and prediction (moved to the right) in a format, with its direction."""
    ending, direction = request.param
    arrays = {"image": 100 * corner() + 20, "truth": corner(), "prediction": np.roll(corner(), 5, axis=1)}
    return {name: write(tmp_path / f"{name}{ending}", array, direction) for name, array in arrays.items()}


def centre_of(picture: np.ndarray, colour: tuple[int, int, int]) -> tuple[float, float]:
    """Return the centre of a colour in the left half above the legend, as parts of height and width."""
    upper = picture[: int(0.8 * len(picture)), : picture.shape[1] // 2]
    rows, columns = np.nonzero(np.abs(upper[..., :3] * 255 - colour).max(axis=-1) < 40)
    assert len(rows)
    return rows.mean() / len(picture), columns.mean() / picture.shape[1]


def test_an_overlay_has_the_slice_and_its_enlargement_as_stored(files, tmp_path):
    target = tmp_path / "figure.png"
    write_overlay(target, labels=LABELS, title="case", is_ct=False, **files)
    picture = imread(target)
    assert picture.shape[1] > 1.5 * picture.shape[0]  # one row of two panels
    (row, column), (_, moved) = (centre_of(picture, colour) for colour in (RED, GREEN))
    assert row < 0.45  # the square is in the upper left, whatever the direction in the header
    assert column < 0.2
    assert moved > column


def test_predictions_have_a_row_of_one_panel_each(files, tmp_path):
    prediction = files.pop("prediction")
    predictions = {"A": prediction, "B": prediction}
    write_side_by_side(tmp_path / "figure.png", labels=LABELS, is_ct=False, predictions=predictions, **files)
    picture = imread(tmp_path / "figure.png")[..., :3]
    bright = (picture.max(axis=-1) > 0.3).any(axis=0)
    columns = np.flatnonzero(bright)
    assert columns.min() > 0.15 * len(bright)  # a panel in the middle, not three across
    green = np.abs(picture * 255 - GREEN).max(axis=-1) < 40
    half = len(picture) // 2
    assert green[:half].any()
    assert green[half:].any()


def test_a_map_is_drawn_beside_the_image_alone(files, tmp_path):
    image = read_volume(files["image"])
    values = on_grid_of(image, 0.5 * corner()[None].astype(np.float32))
    target = tmp_path / "map.png"
    for centre in (None, (10, 8, 0)):
        write_heatmap(target, image=image, values=values, title="case", centre=centre, is_ct=False)
        picture = imread(target)
        assert picture.shape[1] > 1.5 * picture.shape[0]
        left, right = np.split(picture[: int(0.7 * len(picture)), :, :3], 2, axis=1)
        coloured = [np.ptp(half, axis=-1).max() for half in (left, right)]
        assert coloured[0] > 0.3 > coloured[1]


def test_planes_depend_on_what_the_file_stores(tmp_path):
    def planes(path: Path):
        volume = read_volume(path)
        return planes_of(volume, display_array(volume)[0].shape)

    assert planes(write(tmp_path / "a.png", corner())) == (SLICE,)
    assert planes(write(tmp_path / "a.nii.gz", np.stack([corner()] * 2))) == PLANES
    assert planes(write(tmp_path / "b.nii.gz", corner()[:, None])) == (CORONAL,)
    pages = planes(write(tmp_path / "a.tif", np.stack([corner()] * 4)))
    assert [plane.name for plane in pages] == [plane.name for plane in PLANES]
    assert {plane.edges for plane in pages} == {""}  # a TIFF has no directions


def test_a_picture_in_colour_is_drawn_in_grey(tmp_path):
    colours = np.stack([corner() * 30, corner() * 60, corner() * 90], axis=-1)
    volume = read_volume(write(tmp_path / "a.png", colours))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume), 60 * corner()[None])

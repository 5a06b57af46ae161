"""A map over an image: its colours, and the bar that says what they mean."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from nnunet_pancext.attention.heatmap import draw_colour_bar, write_heatmap


def bar_labels(low: float, high: float, *, constant: bool = False) -> list:
    """Return the texts that stand at the bar's ticks, drawn."""
    figure = Figure(figsize=(8, 8), dpi=100)
    canvas = FigureCanvasAgg(figure)
    bar = draw_colour_bar(figure, Normalize(low, high), constant=constant)
    canvas.draw()
    return [label for label in bar.get_xticklabels() if low <= label.get_position()[0] <= high]


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0, 1.54e-4), (0, 1.83e-5), (0.31, 0.32), (-3, 5000), (1e-9, 3e-9)]
)
def test_the_bars_numbers_stand_apart_and_are_the_ticks_values(low, high):
    labels = bar_labels(low, high)
    assert len(labels) >= 3
    places = [label.get_window_extent() for label in labels]
    assert all(after.x0 - before.x1 > 5 for before, after in pairwise(places))
    for label in labels:
        value = float(label.get_text())
        assert value == pytest.approx(label.get_position()[0], abs=(high - low) / 1000)


def test_a_constant_maps_bar_has_its_one_value():
    assert [label.get_text() for label in bar_labels(0.25, 1.25, constant=True)] == ["0.25"]


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_constant_map_leaves_the_image_without_colour(tmp_path: Path, value):
    image = sitk.GetImageFromArray(np.full((8, 16, 16), 60, np.int16))
    values = np.full((8, 16, 16), value, np.float32)
    assert not coloured(tmp_path / "constant.png", image, values)
    values[4, 8, 8] = value + 1e-4
    assert coloured(tmp_path / "spot.png", image, values)


def coloured(target: Path, image: sitk.Image, values: np.ndarray) -> bool:
    """Write the picture; return whether anything above its bar has a colour."""
    volume = sitk.GetImageFromArray(values)
    volume.CopyInformation(image)
    write_heatmap(target, image=image, values=volume, title="map", centre=None)
    pixels = np.asarray(Image.open(target).convert("RGB")).astype(int)
    panels = pixels[: int(0.85 * len(pixels))]
    return bool((np.ptp(panels, axis=2) > 60).any())

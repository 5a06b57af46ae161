"""One picture of a case with the contours of several predictions, each on a panel of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nnunet_pancext.evaluation.label_maps import foreground_labels, read_volume
from nnunet_pancext.files import atomic_path
from nnunet_pancext.reports.layout import BACKGROUND, PIXELS_PER_INCH
from nnunet_pancext.reports.overlay import (
    PREDICTION_COLOURS,
    PREDICTION_WIDTH,
    TRUTH_COLOURS,
    TRUTH_WIDTH,
    ZOOM_LEAST_MM,
    ZOOM_MARGIN_MM,
    highest_label,
    legend_lines,
    line_style,
    read_on_grid,
)
from nnunet_pancext.reports.panel import (
    ABDOMEN_HU,
    INK,
    brightness_range,
    draw_contour,
    draw_picture,
    draw_scale_bar,
    zoom_box,
)
from nnunet_pancext.reports.slices import AXIAL, central_voxel, display_array

PANEL_IN, LEGEND_IN, MOST_COLUMNS = 3.2, 0.55, 3


def write_side_by_side(
    target: Path,
    *,
    image: Path,
    truth: Path,
    predictions: Mapping[str, Path],
    labels: Mapping[str, int],
    is_ct: bool = True,
) -> None:
    """Write a PNG of the axial slice through the true label of highest value, a panel for each prediction.

    Every panel shows the same part, around the truth and all predictions. The colours are `write_overlay`'s.

    Raises:
        PancextError: a file is missing or unreadable, or is not on the image's grid.
    """
    foreground = foreground_labels(dict(labels))
    values = tuple(foreground.values())
    volume = read_volume(image)
    grey, spacing_mm = display_array(volume)
    true = read_on_grid(truth, volume, role="truth")
    predicted = {name: read_on_grid(path, volume, role="prediction") for name, path in predictions.items()}
    shown = next((one for one in (true, *predicted.values()) if np.isin(one, values).any()), true)
    centre = central_voxel(highest_label(shown, values))
    maps = [AXIAL.cut(one, centre) for one in (true, *predicted.values())]
    pixel_mm = AXIAL.pixel_mm(spacing_mm)
    anywhere = np.isin(np.stack(maps), values).max(axis=0)
    box = zoom_box(
        anywhere,
        pixel_mm=pixel_mm,
        margin_mm=ZOOM_MARGIN_MM,
        least_mm=ZOOM_LEAST_MM,
    )
    columns = min(MOST_COLUMNS, len(predicted))
    rows = -(-len(predicted) // columns)
    figure = Figure(
        figsize=(columns * PANEL_IN, rows * PANEL_IN + LEGEND_IN),
        dpi=PIXELS_PER_INCH,
        facecolor=BACKGROUND,
        layout="constrained",
    )
    window = ABDOMEN_HU if is_ct else brightness_range(grey)
    for place, (name, prediction) in enumerate(zip(predicted, maps[1:], strict=True), start=1):
        axes = figure.add_subplot(rows, columns, place)
        draw_picture(
            axes, AXIAL.cut(grey, centre), pixel_mm=pixel_mm, title="", edges=AXIAL.edges, window=window
        )
        axes.set_title(name, color=INK, fontsize=8, loc="left", pad=4, parse_math=False)
        for picture, colours, width in (
            (maps[0], TRUTH_COLOURS, TRUTH_WIDTH),
            (prediction, PREDICTION_COLOURS, PREDICTION_WIDTH),
        ):
            for index, value in enumerate(values):
                draw_contour(
                    axes,
                    picture == value,
                    pixel_mm=pixel_mm,
                    colour=colours[index % len(colours)],
                    linestyle=line_style(index),
                    linewidth=width,
                )
        axes.set_xlim(box[0], box[1])
        axes.set_ylim(box[3], box[2])
        draw_scale_bar(axes)
    legend = figure.legend(
        handles=legend_lines(foreground, truth=true, prediction=np.stack(list(predicted.values()))),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        labelcolor=INK,
        fontsize=7,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    with atomic_path(target) as partial:
        FigureCanvasAgg(figure).print_png(partial)

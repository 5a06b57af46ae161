"""Attention maps as files: each as NIfTI in the image's geometry, and as a figure over the image."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy.typing import NDArray

from nnunet_pancext.errors import PancextError
from nnunet_pancext.figures.layout import sheet_of_panels, write_figure
from nnunet_pancext.figures.panel import (
    ABDOMEN_HU,
    INK,
    brightness_range,
    central_voxel,
    display_array,
    draw_scale_bar,
    planes_of,
)
from nnunet_pancext.io.files import atomic_path
from nnunet_pancext.io.images import write_compressed
from nnunet_pancext.io.label_maps import is_flat, on_grid_of

COLOURS = "inferno"
OPACITY = 0.55
BAR_HEIGHT_IN, BAR_BOTTOM_IN = 0.09, 0.28
NUM_STEPS = 5  # of the bar


def write_maps(
    maps: dict[str, NDArray[np.float32]],
    *,
    reference: sitk.Image,
    folder: Path,
    case: str,
    voxel: tuple[int, int, int] | None,
    is_ct: bool = True,
) -> list[Path]:
    """Write each map (slice, row, column) as `folder`/`case`_NAME.nii.gz and .png; return the NIfTI files."""
    targets = {name: folder / f"{case}_{name}.nii.gz" for name in maps}
    centre = None if voxel is None else (voxel[2], voxel[1], voxel[0])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, target in targets.items():
            values = on_grid_of(reference, maps[name].astype(np.float32))
            stored = sitk.Extract(values, (*values.GetSize()[:2], 0)) if is_flat(reference) else values
            with atomic_path(target) as partial:
                write_compressed(stored, partial)
            title, figure = f"{case}   {name.replace('_', ' ')}", folder / f"{case}_{name}.png"
            write_heatmap(figure, image=reference, values=values, title=title, is_ct=is_ct, centre=centre)
    except (OSError, RuntimeError) as error:  # ITK raises the second
        raise PancextError(
            f"Cannot write the maps to {folder}: {error}. Give another folder with -o, or free some space."
        ) from error
    return list(targets.values())


def write_heatmap(
    target: Path,
    *,
    image: sitk.Image,
    values: sitk.Image,
    title: str,
    centre: tuple[int, int, int] | None,
    is_ct: bool = True,
) -> None:
    """Write a PNG of four panels, atomically: axial, the same without the map, coronal and sagittal.

    Of a single slice there are only the first two.

    The window is 40 / 400 HU for CT, else the 1st to the 99th percentile. The slices pass through `centre`
    (column, row, slice of the files), or through the map's maximum where the image is not black. Colours
    range from the map's minimum to its maximum, as the bar shows; a constant map has no colour.
    """
    grey, spacing_mm = display_array(image)
    window = ABDOMEN_HU if is_ct else brightness_range(grey)
    shown, _ = display_array(values)
    if centre is None:
        middle = highest_voxel(shown, np.asarray(grey, np.float64) > window[0])
    else:  # the index of the voxel as displayed
        marker = np.zeros(values.GetSize()[::-1], np.uint8)
        marker[centre[::-1]] = 1
        middle = central_voxel(display_array(on_grid_of(values, marker))[0] == 1)
    figure, panels = sheet_of_panels(
        grey,
        spacing_mm,
        middle,
        planes=planes_of(image, grey.shape),
        second="image alone",
        title=title,
        window=window,
        legend_rows=2,
    )
    low, high = float(shown.min()), float(shown.max())
    colours = Normalize(low, high if high > low else low + 1)
    for number, (axes, plane) in enumerate(panels):
        draw_scale_bar(axes, image)
        if number == 1:
            continue
        values_shown = np.asarray(plane.cut(shown, middle), dtype=np.float64)
        opacity = OPACITY * colours(values_shown).data  # what is low must not darken the image
        drawn = axes.imshow(values_shown, COLOURS, norm=colours, alpha=opacity, interpolation="bilinear")
        drawn.set_extent(axes.images[0].get_extent())
    draw_colour_bar(figure, colours, constant=high <= low)
    write_figure(target, figure)


def draw_colour_bar(figure: Figure, colours: Normalize, *, constant: bool) -> Axes:
    """Draw the colour bar below the panels; the single value of a constant map is at its low end."""
    height_in = figure.get_figheight()
    bar = figure.add_axes((0.3, BAR_BOTTOM_IN / height_in, 0.4, BAR_HEIGHT_IN / height_in))
    figure.colorbar(
        ScalarMappable(colours, COLOURS),
        cax=bar,
        orientation="horizontal",
        ticks=FixedLocator([float(colours.vmin or 0)]) if constant else MaxNLocator(NUM_STEPS),
        format=lambda value, _: f"{value:.4g}",
    )
    bar.tick_params(colors=INK, labelsize=8)
    return bar


def highest_voxel(values: NDArray[np.generic], body: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return the voxel of the highest value in `body` (anywhere if empty), the central one of ties."""
    inside = body if body.any() else np.ones_like(body)
    return central_voxel(inside & (values == values[inside].max()))

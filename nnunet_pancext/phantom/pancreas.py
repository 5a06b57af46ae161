"""The pancreas along its curved course, the tumour inside it and the vessels beside it."""

from dataclasses import dataclass

import numpy as np

from nnunet_pancext.phantom.difficulty import Difficulty
from nnunet_pancext.phantom.frame import Wall
from nnunet_pancext.phantom.placer import Placer, smooth_tube
from nnunet_pancext.phantom.shapes import Ellipsoid, Layer, Shape, Union, fat_around

AORTA_HU, VEIN_HU, CAVA_HU = 165.0, 175.0, 140.0
PANCREAS_LABEL, TUMOUR_LABEL = 1, 2
HEAD_SHARE = 0.65
# Head, neck, body and tail in mm from the body's centre (right, anterior, superior), with the gland's radius.
COURSE = (
    ((36, 10, -30), 12.0),
    ((31, 15, -14), 15.0),
    ((12, 27, -1), 9.5),
    ((-14, 31, 10), 10.0),
    ((-40, 18, 20), 11.0),
    ((-66, -8, 32), 9.0),
)
UNCINATE_COURSE = (((34, 10, -28), 11.0), ((16, 7, -34), 7.0))


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """A tumour: its mean diameter in mm, its centre (x, y, z) in mm and its outline."""

    diameter_mm: float
    centre_mm: np.ndarray
    shape: Shape


@dataclass(frozen=True, kw_only=True)
class Gland:
    """The pancreas of one patient, its tumour if any, and the vessels that groove it."""

    shape: Shape
    lesion: Lesion | None
    vessels: tuple[Layer, ...]


def place_gland(placer: Placer, difficulty: Difficulty, *, with_tumour: bool) -> Gland:
    """Draw the pancreas, its vessels and, `with_tumour`, a tumour around which the gland swells."""
    points = [placer.at(*point, jitter_mm=5.0) for point, _ in COURSE]
    plumpness = difficulty.pancreas_scale * placer.around(1.0, 0.1)
    tube = smooth_tube(points, [radius * plumpness for _, radius in COURSE], pieces=24)
    uncinate = smooth_tube(
        [points[0] + np.subtract(point, COURSE[0][0]) for point, _ in UNCINATE_COURSE],
        [radius * plumpness for _, radius in UNCINATE_COURSE],
        pieces=2,
    )
    parts: tuple[Shape, ...] = (tube, uncinate)
    lesion = place_lesion(placer, difficulty, course_mm=tube.points_mm)
    if with_tumour:
        # Stretched parenchyma round the tumour, 2 to 7 mm thick and uneven.
        radius = 0.5 * lesion.diameter_mm + 4.5
        parts = (*parts, Ellipsoid(lesion.centre_mm + placer.rng.uniform(-2, 2, 3), (radius, radius, radius)))
    lobulated = placer.wavy(Union(parts, 8.0), amplitude_mm=1.6, wavelength_mm=16.0)
    return Gland(
        shape=lobulated,
        lesion=lesion if with_tumour else None,
        vessels=tuple(vessel_layers(placer, body=tube.points_mm[10:])),
    )


def place_lesion(placer: Placer, difficulty: Difficulty, *, course_mm: np.ndarray) -> Lesion:
    """Draw a slightly flattened, uneven tumour on the course (N, 3) of the gland, more often in the head."""
    smallest, largest = difficulty.lesion_diameter_mm
    diameter = float(placer.rng.uniform(smallest, largest))
    in_head = placer.rng.random() < HEAD_SHARE
    share = placer.around(0.17, 0.1) if in_head else placer.around(0.68, 0.22)
    centre = course_mm[round(share * (len(course_mm) - 1))] + placer.rng.uniform(-2, 2, 3)
    stretch = placer.rng.uniform(0.88, 1.12, 3)
    radii = 0.5 * diameter * stretch / np.prod(stretch) ** (1 / 3)
    ellipsoid = Ellipsoid(centre, (float(radii[0]), float(radii[1]), float(radii[2])))
    outline = placer.wavy(ellipsoid, amplitude_mm=0.05 * diameter, wavelength_mm=0.8 * diameter)
    return Lesion(diameter_mm=diameter, centre_mm=centre, shape=outline)


def vessel_layers(placer: Placer, *, body: np.ndarray) -> list[Layer]:
    """Return the vessels; the splenic vein follows `body` (N, 3), the gland's course from neck to tail."""
    confluence = body[0] + np.array([4.0, -13.0, -2.0])
    behind = np.column_stack([np.zeros(3), np.full(3, -12.5), np.full(3, -1.0)])
    splenic = [confluence, *(body[[4, 9, 14]] + behind), placer.at(-84, -26, 44)]
    portal = [confluence, placer.at(30, 18, 20), placer.at(48, 16, 44)]
    mesenteric_vein = [placer.at(8, 22, -140), placer.at(12, 18, -60), confluence]
    aorta = [placer.at(-9, -10, z, jitter_mm=2.0) for z in (150, 50, -50, -150)]
    cava = [placer.at(22, y, z, jitter_mm=2.0) for y, z in ((4, 150), (-4, 60), (-10, -40), (-12, -150))]
    root = aorta[1] + np.array([0.0, 8.0, -48.0])
    mesenteric_artery = [
        root,
        root + np.array([2.0, 12.0, -16.0]),
        placer.at(-6, 20, -60),
        placer.at(-4, 24, -140),
    ]
    tubes = (
        ("vena cava", cava, 11.0, CAVA_HU),
        ("aorta", aorta, 10.0, AORTA_HU),
        ("splenic vein", splenic, 4.0, VEIN_HU),
        ("portal vein", portal, 6.5, VEIN_HU),
        ("superior mesenteric vein", mesenteric_vein, 5.5, VEIN_HU),
        ("superior mesenteric artery", mesenteric_artery, 3.8, AORTA_HU),
    )
    return [
        Layer(name, smooth_tube(course, [radius] * len(course)), hu, label=0)
        for name, course, radius, hu in tubes
    ]


def gland_layers(gland: Gland, wall: Wall, difficulty: Difficulty) -> list[Layer]:
    """Return the fat plane, the parenchyma, the vessels that take their place in it and the tumour."""
    edge = difficulty.boundary_blur_mm
    layers = []
    if difficulty.fat_gap_mm > 0:
        layers.append(fat_around(gland.shape, thickness_mm=difficulty.fat_gap_mm, cavity=wall.cavity))
    layers.append(Layer("pancreas", gland.shape, difficulty.pancreas_hu, edge_mm=edge, label=PANCREAS_LABEL))
    layers += gland.vessels
    if gland.lesion is not None:
        hu = difficulty.pancreas_hu - difficulty.tumour_contrast_hu
        layers.append(Layer("tumour", gland.lesion.shape, hu, edge_mm=edge, label=TUMOUR_LABEL))
    return layers

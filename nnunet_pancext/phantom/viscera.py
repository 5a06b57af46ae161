"""The organs around the pancreas: liver, gallbladder, spleen, kidneys, stomach, bowel."""

import numpy as np

from nnunet_pancext.phantom.difficulty import Difficulty
from nnunet_pancext.phantom.frame import Wall
from nnunet_pancext.phantom.placer import Placer, smooth_tube
from nnunet_pancext.phantom.shapes import (
    FAT_HU,
    Ellipsoid,
    Grown,
    HalfSpace,
    Intersection,
    Layer,
    Outside,
    Shape,
    Union,
    fat_around,
)

GAS_HU, FLUID_HU, BILE_HU = -940.0, 20.0, 8.0
KIDNEY_CORTEX_HU, KIDNEY_MEDULLA_HU = 185.0, 150.0
WALL_MM = 2.5


def liver_layers(placer: Placer, wall: Wall, difficulty: Difficulty) -> list[Layer]:
    """Return the liver, on the patient's right and reaching over the midline, and the gallbladder."""
    right_lobe = Ellipsoid(placer.at(72, 2, 52), placer.radii(66, 78, 82), tilt=(-0.15, 0.0))
    left_lobe = Ellipsoid(placer.at(8, 50, 66), placer.radii(72, 34, 36), tilt=(0.1, 0.2))
    lobes = placer.wavy(Union((right_lobe, left_lobe), 18.0), amplitude_mm=4.0, wavelength_mm=75.0)
    # The visceral surface is hollow where stomach, kidney and pancreas lie.
    hollow = Ellipsoid(placer.at(2, 0, -10), placer.radii(52, 46, 76))
    liver = Intersection((lobes, Grown(wall.cavity, -1.5), Outside(hollow)))
    gallbladder = Ellipsoid(placer.at(55, 48, 8), placer.radii(14, 17, 26, spread=0.2), tilt=(0.1, -0.3))
    return [
        Layer("liver", liver, difficulty.pancreas_hu + difficulty.neighbour_contrast_hu),
        Layer("gallbladder wall", gallbladder, 70.0),
        Layer("gallbladder", Grown(gallbladder, -1.5), BILE_HU),
    ]


def spleen_layers(placer: Placer, wall: Wall, difficulty: Difficulty) -> list[Layer]:
    """Return the spleen, on the patient's left under the ribs."""
    spleen = Ellipsoid(placer.at(-96, -32, 58), placer.radii(30, 45, 48), tilt=(0.15, 0.1))
    uneven = placer.wavy(spleen, amplitude_mm=3.0, wavelength_mm=60.0)
    hu = difficulty.pancreas_hu + 1.5 * difficulty.neighbour_contrast_hu
    return [Layer("spleen", Intersection((uneven, Grown(wall.cavity, -1.5))), hu)]


def kidney_layers(placer: Placer, wall: Wall) -> list[Layer]:
    """Return both kidneys in their fat, the right one lower; the sinus looks towards the spine."""
    layers = []
    for side, superior in ((1.0, -22.0), (-1.0, -8.0)):
        centre = placer.at(side * 61, -42, superior, jitter_mm=5.0)
        lean = (-0.22 * side, 0.12)
        kidney = Ellipsoid(centre, placer.radii(27, 26, 52), tilt=lean)
        sinus = Ellipsoid(centre + np.array([-side * 16, 7, 0]), placer.radii(16, 9, 24), tilt=lean)
        medulla = placer.wavy(Grown(kidney, -7.0), amplitude_mm=3.0, wavelength_mm=22.0)
        layers += [
            fat_around(kidney, thickness_mm=6.0, cavity=wall.cavity),
            Layer("kidney cortex", kidney, KIDNEY_CORTEX_HU),
            Layer("kidney medulla", medulla, KIDNEY_MEDULLA_HU),
            Layer("renal sinus", sinus, FAT_HU + 25),
        ]
    return layers


def bowel(
    *, lumen: Shape, wall_hu: float, content_hu: float, gas_above_mm: float | None = None
) -> list[Layer]:
    """Return a hollow organ: wall, content and, where y exceeds `gas_above_mm` in the supine patient, gas."""
    layers = [Layer("bowel wall", Grown(lumen, WALL_MM), wall_hu), Layer("bowel content", lumen, content_hu)]
    if gas_above_mm is not None:
        gas = Intersection((lumen, HalfSpace(1, gas_above_mm)))
        layers.append(Layer("gas", gas, GAS_HU))
    return layers


def stomach_layers(placer: Placer, wall: Wall, difficulty: Difficulty) -> list[Layer]:
    """Return the stomach from the left dome to the pylorus, with fluid and an air bubble above it."""
    course = ((-48, -5, 96), (-62, 18, 58), (-50, 46, 24), (-14, 58, 6), (24, 50, 4), (38, 40, 6))
    fill = placer.around(1.0, 0.2)
    tube = smooth_tube(
        [placer.at(*point, jitter_mm=5.0) for point in course],
        [radius * fill for radius in (24, 28, 22, 15, 11, 7)],
    )
    lumen = Intersection((tube, Grown(wall.cavity, -WALL_MM - 1)))
    gas_level = placer.around(48.0, 10.0) * placer.scale[1]
    return bowel(lumen=lumen, wall_hu=difficulty.bowel_wall_hu, content_hu=FLUID_HU, gas_above_mm=gas_level)


def duodenum_layers(placer: Placer, difficulty: Difficulty) -> list[Layer]:
    """Return the duodenum, a C round the pancreatic head, collapsed enough to look much like it."""
    course = ((38, 38, 4), (54, 20, -4), (58, 8, -26), (48, 2, -50), (14, 2, -58), (-18, 4, -46))
    lumen = smooth_tube(
        [placer.at(*point, jitter_mm=3.0) for point in course],
        [7.0 * placer.around(1.0, 0.25) for _ in course],
    )
    wall_hu = difficulty.bowel_wall_hu
    return bowel(lumen=lumen, wall_hu=wall_hu, content_hu=wall_hu - 35)


def gut_layers(placer: Placer, wall: Wall, difficulty: Difficulty) -> list[Layer]:
    """Return the colon along both flanks and across, and loops of small bowel in the lower abdomen."""
    wall_hu = difficulty.bowel_wall_hu
    inside = Grown(wall.cavity, -WALL_MM - 1)
    layers = []
    regions = ((13, (0, 65), (32, 34), (-92, 36), -46), (5, (-56, 24), (38, 20), (-30, 24), 2))
    for count, right, anterior, superior, ceiling in regions:
        for _ in range(count):
            start = placer.at(placer.around(*right), placer.around(*anterior), placer.around(*superior))
            points = [start, *(start + placer.rng.normal(0, (22, 16, 13), (4, 3)).cumsum(axis=0))]
            points = [np.array([x, max(y, -5), min(z, ceiling)]) for x, y, z in points]
            loop = smooth_tube(points, [placer.around(9, 2)] * 5, pieces=10)
            layers += bowel(
                lumen=Intersection((loop, inside)),
                wall_hu=wall_hu,
                content_hu=placer.around(35, 15),
                gas_above_mm=placer.around(70, 25) if placer.rng.random() < 0.4 else None,
            )
    flanks = (
        ((96, -12, -150), (98, -8, -70), (90, 20, -42), (60, 58, -44), (0, 72, -52), (-50, 66, -30)),
        ((-50, 66, -30), (-92, 34, 4), (-104, -12, 2), (-106, -26, -50), (-102, -22, -150)),
    )
    for course in flanks:
        colon = smooth_tube(
            [placer.at(*point) for point in course], [placer.around(15, 4) for _ in course], pieces=16
        )
        uneven = placer.wavy(Intersection((colon, inside)), amplitude_mm=3.0, wavelength_mm=40.0)
        layers += bowel(
            lumen=uneven,
            wall_hu=wall_hu,
            content_hu=placer.around(30, 20),
            gas_above_mm=placer.around(30, 45),
        )
    return layers

"""The abdominal wall and the skeleton: skin, fat, muscle, spine, ribs, lung bases."""

from dataclasses import dataclass

import numpy as np

from nnunet_pancext.phantom.placer import Placer, smooth_tube
from nnunet_pancext.phantom.shapes import (
    FAT_HU,
    Column,
    Ellipsoid,
    Grown,
    HalfSpace,
    Intersection,
    Layer,
    Shape,
    Union,
)

SKIN_HU, MUSCLE_HU, LUNG_HU = 10.0, 58.0, -830.0
CORTICAL_BONE_HU, CANCELLOUS_BONE_HU, DISC_HU, CANAL_HU = 480.0, 190.0, 85.0, 25.0
VERTEBRA_PITCH_MM, DISC_HEIGHT_MM = 36.0, 8.0
Z_REACH_MM = 150.0


@dataclass(frozen=True, kw_only=True)
class Wall:
    """The outlines around the organs: the skin's, the muscle wall's and the cavity's inside it."""

    skin: Shape
    muscle: Shape
    cavity: Shape
    rib_course_mm: tuple[float, float]


def place_wall(placer: Placer) -> Wall:
    """Draw the body's outline; the subcutaneous fat is 10 to 24 mm thick and the muscle 9 to 13 mm."""
    half_width, half_depth = 150.0 * placer.scale[0], 108.0 * placer.scale[1]
    fat, muscle = placer.around(17.0, 7.0), placer.around(11.0, 2.0)
    exponent = placer.around(2.3, 0.15)

    def outline(inset: float, *, shift: float) -> Shape:
        column = Column((0.0, shift), (half_width - inset, half_depth - inset), exponent=exponent)
        return placer.wavy(column, amplitude_mm=3.0, wavelength_mm=230.0)

    return Wall(
        skin=outline(0.0, shift=0.0),
        muscle=outline(fat, shift=placer.around(0.0, 3.0)),
        cavity=outline(fat + muscle, shift=placer.around(1.0, 2.0)),
        rib_course_mm=(half_width - fat - 0.5 * muscle, half_depth - fat - 0.5 * muscle),
    )


def wall_layers(wall: Wall) -> list[Layer]:
    """Return skin, subcutaneous fat, the muscle wall and the fat that fills the cavity."""
    return [
        Layer("skin", wall.skin, SKIN_HU),
        Layer("subcutaneous fat", Grown(wall.skin, -2.5), FAT_HU),
        Layer("muscle wall", wall.muscle, MUSCLE_HU),
        Layer("visceral fat", wall.cavity, FAT_HU),
    ]


def back_muscle_layers(placer: Placer) -> list[Layer]:
    """Return the muscles beside the spine and the psoas, which thickens downwards."""
    layers = []
    for side in (1.0, -1.0):
        centre = placer.at(side * 33, -72, 0, jitter_mm=2.0)
        erector = Column((centre[0], centre[1]), (30.0, 19.0), exponent=2.4)
        quadratus = Column((side * 62 * placer.scale[0], centre[1] + 12), (17.0, 9.0))
        psoas = smooth_tube(
            [
                placer.at(side * across, back, up, jitter_mm=2.0)
                for across, back, up in ((26, -42, 20), (34, -40, -30), (44, -34, -Z_REACH_MM))
            ],
            [5.0, 13.0, 20.0],
            pieces=8,
        )
        layers += [
            Layer("back muscle", erector, MUSCLE_HU),
            Layer("back muscle", quadratus, MUSCLE_HU),
            Layer("psoas", psoas, MUSCLE_HU),
        ]
    return layers


def spine_layers(placer: Placer) -> list[Layer]:
    """Return the vertebrae with their discs, the spinal canal and the processes behind it."""
    x, y, _ = placer.at(0, -44, 0, jitter_mm=2.0)
    body = Column((x, y), (23.0 * placer.scale[0], 18.0 * placer.scale[1]), exponent=2.3)
    first = placer.around(0.0, VERTEBRA_PITCH_MM / 2)
    steps = np.arange(np.floor(-Z_REACH_MM / VERTEBRA_PITCH_MM), Z_REACH_MM / VERTEBRA_PITCH_MM + 1)
    layers = []
    for level in first + steps * VERTEBRA_PITCH_MM:
        height = (
            HalfSpace(2, level - VERTEBRA_PITCH_MM / 2),
            HalfSpace(2, level + VERTEBRA_PITCH_MM / 2 - DISC_HEIGHT_MM, below=True),
        )
        spinous = Ellipsoid(np.array([x, y - 42, level - 6]), (4.0, 15.0, 12.0), tilt=(0.0, 0.4))
        transverse = Ellipsoid(np.array([x, y - 27, level]), (38.0, 5.0, 7.0))
        arch = Ellipsoid(np.array([x, y - 24, level]), (16.0, 14.0, 15.0))
        vertebra = Intersection((body, *height))
        layers += [
            Layer("vertebral arch", Union((spinous, transverse, arch), 4.0), CORTICAL_BONE_HU - 150),
            Layer("cortical bone", vertebra, CORTICAL_BONE_HU),
            Layer("cancellous bone", Grown(vertebra, -2.0), CANCELLOUS_BONE_HU),
        ]
    canal = Column((x, y - 24), (10.0, 8.0))
    disc = Layer("disc", Grown(body, -1.0), DISC_HU)
    return [disc, *layers, Layer("spinal canal", canal, CANAL_HU)]


def rib_layers(placer: Placer, wall: Wall) -> list[Layer]:
    """Return the lower ribs, which run round the wall and downwards from the spine to the side."""
    half_width, half_depth = wall.rib_course_mm
    bend = np.linspace(np.radians(25), np.radians(120), 9)
    layers = []
    for side in (1.0, -1.0):
        for rib in range(5):
            top = 20.0 + 30.0 * rib + placer.around(0.0, 3.0)
            points = [
                np.array([side * half_width * np.sin(a), -half_depth * np.cos(a), top - 45 * (a - bend[0])])
                for a in bend
            ]
            tube = smooth_tube(points, [5.0] * len(points), pieces=8)
            layers += [
                Layer("rib", tube, CORTICAL_BONE_HU),
                Layer("rib marrow", Grown(tube, -2.0), CANCELLOUS_BONE_HU),
            ]
    return layers


def lung_layers(placer: Placer, wall: Wall) -> list[Layer]:
    """Return the lung bases, which reach down behind the liver and the spleen."""
    lungs = [Ellipsoid(placer.at(side * 70, -25, 150), placer.radii(62, 72, 72)) for side in (1.0, -1.0)]
    return [Layer("lung", Intersection((lung, wall.cavity)), LUNG_HU) for lung in lungs]

"""One synthetic patient: everything drawn at random about the body and the scan, before any voxel exists."""

from dataclasses import dataclass, replace

import numpy as np

from nnunet_pancext.phantom import frame, viscera
from nnunet_pancext.phantom.difficulty import Difficulty
from nnunet_pancext.phantom.pancreas import Lesion, gland_layers, place_gland
from nnunet_pancext.phantom.placer import Placer
from nnunet_pancext.phantom.shapes import Layer

BODY_WIDTH_MM = 300.0
ENHANCEMENT_SPREAD_HU = 8.0
TUMOUR_BLOCK = 5
ANATOMY_STREAM, TUMOUR_STREAM, NOISE_STREAM = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The scanner settings; both centres are (x right, y anterior, z superior)."""

    field_of_view_mm: float  # width of the square slice, 1.1 to 1.2 times the body's
    coverage_mm: float  # length scanned along z
    centre_mm: np.ndarray  # of the image in the body
    isocentre_mm: np.ndarray  # of the image in the scanner


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """A patient as layers in painting order, the tumour if any, and the scan."""

    layers: tuple[Layer, ...]
    lesion: Lesion | None
    scan: Scan


def random_stream(*, seed: int, index: int, stream: int) -> np.random.Generator:
    """Return the generator of one purpose (`stream`) in case `index`, independent of all other cases."""
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(index, stream)))


def has_tumour(*, seed: int, index: int) -> bool:
    """Return whether case `index` has a tumour: four of every five (1 to 5, ...), always the first."""
    block, place = divmod(index - 1, TUMOUR_BLOCK)
    rng = random_stream(seed=seed, index=block + 1, stream=TUMOUR_STREAM)
    return place != rng.integers(1, TUMOUR_BLOCK)


def sample_anatomy(*, seed: int, index: int, difficulty: Difficulty) -> Anatomy:
    """Draw patient `index`; the same seed and index give the same body at every difficulty."""
    rng = random_stream(seed=seed, index=index, stream=ANATOMY_STREAM)
    placer = Placer(rng=rng, scale=rng.uniform(0.93, 1.07) * rng.uniform(0.97, 1.03, 3))
    scan = Scan(
        field_of_view_mm=BODY_WIDTH_MM * placer.scale[0] * placer.around(1.15, 0.05),
        coverage_mm=placer.around(235.0, 15.0),
        centre_mm=rng.uniform(-8, 8, 3),
        isocentre_mm=np.array([0.0, placer.around(20.0, 15.0), placer.around(-350.0, 250.0)]),
    )
    shift_hu = placer.around(0.0, ENHANCEMENT_SPREAD_HU)
    difficulty = replace(difficulty, pancreas_hu=difficulty.pancreas_hu + shift_hu)
    wall = frame.place_wall(placer)
    gland = place_gland(placer, difficulty, with_tumour=has_tumour(seed=seed, index=index))
    layers = [
        *frame.wall_layers(wall),
        *frame.back_muscle_layers(placer),
        *frame.rib_layers(placer, wall),
        *frame.lung_layers(placer, wall),
        *viscera.gut_layers(placer, wall, difficulty),
        *viscera.stomach_layers(placer, wall, difficulty),
        *viscera.spleen_layers(placer, wall, difficulty),
        *viscera.liver_layers(placer, wall, difficulty),
        *viscera.kidney_layers(placer, wall),
        *frame.spine_layers(placer),
        *viscera.duodenum_layers(placer, difficulty),
        *gland_layers(gland, wall, difficulty),
    ]
    return Anatomy(layers=tuple(layers), lesion=gland.lesion, scan=scan)

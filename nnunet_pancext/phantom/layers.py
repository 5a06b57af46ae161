"""What the painter paints, one after another: a shape filled with one HU value."""

from dataclasses import dataclass

from nnunet_pancext.phantom.shapes import Grown, Intersection, Shape

FAT_HU = -105.0


@dataclass(frozen=True)
class Layer:
    """A shape painted over the layers before it.

    `edge_mm` is the width of the fade at its surface. `label` is the class of its inside in the label map;
    None keeps the class of the layers before it.
    """

    name: str
    shape: Shape
    hu: float
    edge_mm: float = 1.0
    label: int | None = None


def fat_around(shape: Shape, *, thickness_mm: float, cavity: Shape) -> Layer:
    """Return the fat between `shape` and its neighbours, inside the abdominal cavity only."""
    return Layer("fat plane", Intersection((Grown(shape, thickness_mm), cavity)), FAT_HU)

"""Implicit shapes in mm, and layers of them: a signed distance, negative inside, on an open coordinate grid.

Coordinates are the patient's: x to the right, y to anterior, z to superior. `distance` takes three arrays
that broadcast against each other, usually (1, 1, X), (1, Y, 1) and (Z, 1, 1), and returns their broadcast
shape or one that broadcasts to it. Distances are exact for tubes and first-order elsewhere.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import numpy as np

Bounds = tuple[np.ndarray, np.ndarray]
EVERYWHERE = (np.full(3, -np.inf), np.full(3, np.inf))
TINY = np.float32(1e-6)
FAT_HU = -105.0


class Shape(Protocol):
    """A signed distance in mm and the bounding box (lowest, highest x y z)."""

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray: ...

    def bounds(self) -> Bounds: ...


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid with axes along the patient's, `tilt` leaning it: dx and dy in mm per mm of z."""

    centre_mm: np.ndarray
    radii_mm: tuple[float, float, float]
    tilt: tuple[float, float] = (0.0, 0.0)

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        cx, cy, cz = (np.float32(value) for value in self.centre_mm)
        rx, ry, rz = (np.float32(value) for value in self.radii_mm)
        up = z - cz
        u = (x - cx - np.float32(self.tilt[0]) * up) / rx
        v = (y - cy - np.float32(self.tilt[1]) * up) / ry
        w = up / rz
        level = np.sqrt(u * u + v * v + w * w)
        slope = np.sqrt((u / rx) ** 2 + (v / ry) ** 2 + (w / rz) ** 2)
        # The small terms make it -max(radii) at the very centre, where both are zero.
        return (level - 1) * (level + TINY) / (slope + TINY / max(rx, ry, rz))

    def bounds(self) -> Bounds:
        lean = np.array([*np.abs(self.tilt), 0.0]) * self.radii_mm[2]
        reach = np.array(self.radii_mm) + lean
        return self.centre_mm - reach, self.centre_mm + reach


@dataclass(frozen=True)
class Column:
    """An endless column along z whose cross-section is a superellipse; an exponent above 2 squares it."""

    centre_mm: tuple[float, float]
    radii_mm: tuple[float, float]
    exponent: float = 2.0

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        power = np.float32(self.exponent)
        rx, ry = (np.float32(value) for value in self.radii_mm)
        u = np.abs(x - np.float32(self.centre_mm[0])) / rx
        v = np.abs(y - np.float32(self.centre_mm[1])) / ry
        level = (u**power + v**power) ** (1 / power) + TINY
        slope = np.hypot((u / level) ** (power - 1) / rx, (v / level) ** (power - 1) / ry)
        return (level - 1) / np.maximum(slope, 1 / max(rx, ry))

    def bounds(self) -> Bounds:
        low, high = (array.copy() for array in EVERYWHERE)
        low[:2] = np.subtract(self.centre_mm, self.radii_mm)
        high[:2] = np.add(self.centre_mm, self.radii_mm)
        return low, high


@dataclass(frozen=True)
class Tube:
    """A tube of varying radius with round ends: points_mm (N, 3) along its course, radii_mm (N,)."""

    points_mm: np.ndarray
    radii_mm: np.ndarray

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        points, radii = self.points_mm.astype(np.float32), self.radii_mm.astype(np.float32)

        def piece(k: int) -> np.ndarray:
            start, along = points[k], points[k + 1] - points[k]
            length = along @ along + TINY
            dx, dy, dz = x - start[0], y - start[1], z - start[2]
            ahead = dx * along[0] + dy * along[1] + dz * along[2]
            share = np.minimum(np.maximum(ahead / length, 0), 1)
            # |d - share * along|^2, multiplied out: most of it stays on the open grid and costs little.
            square = dx * dx + dy * dy + dz * dz - share * (2 * ahead - share * length)
            return np.sqrt(np.maximum(square, 0)) - (radii[k] + share * (radii[k + 1] - radii[k]))

        return reduce(np.minimum, map(piece, range(len(points) - 1)))

    def bounds(self) -> Bounds:
        reach = self.radii_mm[:, None]
        return (self.points_mm - reach).min(axis=0), (self.points_mm + reach).max(axis=0)


@dataclass(frozen=True)
class HalfSpace:
    """Everything beyond `level_mm` along `axis` (0 = x, 1 = y, 2 = z); before it when `below` is set."""

    axis: int
    level_mm: float
    below: bool = False

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        beyond = (x, y, z)[self.axis] - np.float32(self.level_mm)
        return beyond if self.below else -beyond

    def bounds(self) -> Bounds:
        low, high = (array.copy() for array in EVERYWHERE)
        (high if self.below else low)[self.axis] = self.level_mm
        return low, high


@dataclass(frozen=True)
class Union:
    """Everything inside any of the parts, the joints rounded over about `blend_mm`."""

    parts: tuple[Shape, ...]
    blend_mm: float = 0.0

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return reduce(self._join, (part.distance(x, y, z) for part in self.parts))

    def _join(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        nearest = np.minimum(one, other)
        if self.blend_mm == 0:
            return nearest
        overlap = np.maximum(np.float32(self.blend_mm) - np.abs(one - other), 0)
        return nearest - overlap * overlap / np.float32(4 * self.blend_mm)

    def bounds(self) -> Bounds:
        lows, highs = zip(*(part.bounds() for part in self.parts), strict=True)
        return np.min(lows, axis=0) - self.blend_mm, np.max(highs, axis=0) + self.blend_mm


@dataclass(frozen=True)
class Intersection:
    """Everything inside all of the parts."""

    parts: tuple[Shape, ...]

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return reduce(np.maximum, (part.distance(x, y, z) for part in self.parts))

    def bounds(self) -> Bounds:
        lows, highs = zip(*(part.bounds() for part in self.parts), strict=True)
        return np.max(lows, axis=0), np.min(highs, axis=0)


@dataclass(frozen=True)
class Grown:
    """`shape` with its surface moved outwards by `by_mm`; a negative value shrinks it."""

    shape: Shape
    by_mm: float

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return self.shape.distance(x, y, z) - np.float32(self.by_mm)

    def bounds(self) -> Bounds:
        low, high = self.shape.bounds()
        return low - max(self.by_mm, 0), high + max(self.by_mm, 0)


@dataclass(frozen=True)
class Wavy:
    """`shape` with hills and valleys of up to `amplitude_mm` on its surface, `wavelength_mm` apart."""

    shape: Shape
    amplitude_mm: float
    wavelength_mm: float
    phases: np.ndarray

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        rate = np.float32(2 * np.pi / self.wavelength_mm)
        a, b, c = (np.float32(phase) for phase in self.phases)
        waves = np.sin(rate * x + a) * np.sin(rate * y + b) * np.sin(rate * z + c)
        return self.shape.distance(x, y, z) + np.float32(self.amplitude_mm) * waves

    def bounds(self) -> Bounds:
        return Grown(self.shape, self.amplitude_mm).bounds()


@dataclass(frozen=True)
class Outside:
    """Everything that is not inside `shape`."""

    shape: Shape

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return -self.shape.distance(x, y, z)

    def bounds(self) -> Bounds:
        return EVERYWHERE


@dataclass(frozen=True)
class Layer:
    """A shape painted over the layers before it."""

    name: str
    shape: Shape
    hu: float
    edge_mm: float = 1.0  # width of the fade at the surface
    label: int | None = None  # of the inside in the label map; None keeps that of the layers before


def fat_around(shape: Shape, *, thickness_mm: float, cavity: Shape) -> Layer:
    """Return the fat between `shape` and its neighbours, inside the abdominal cavity only."""
    return Layer("fat plane", Intersection((Grown(shape, thickness_mm), cavity)), FAT_HU)

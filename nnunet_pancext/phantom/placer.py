"""Random draws of one patient: places scaled to the body, lengths and HU values around a mean."""

from dataclasses import dataclass

import numpy as np

from nnunet_pancext.phantom.shapes import Shape, Tube, Wavy


@dataclass(frozen=True, kw_only=True)
class Placer:
    """Turns textbook positions and sizes into one patient's: `scale` (3,) times as large, and varied."""

    rng: np.random.Generator
    scale: np.ndarray

    def at(self, right: float, anterior: float, superior: float, *, jitter_mm: float = 4.0) -> np.ndarray:
        """Return a point near the textbook position in mm from the body's centre; negative right is left."""
        return np.array([right, anterior, superior]) * self.scale + self.rng.uniform(-jitter_mm, jitter_mm, 3)

    def radii(self, rx: float, ry: float, rz: float, *, spread: float = 0.08) -> tuple[float, float, float]:
        """Return three radii in mm, scaled to the body, each varied by up to the fraction `spread`."""
        varied = np.array([rx, ry, rz]) * self.scale * self.rng.uniform(1 - spread, 1 + spread, 3)
        return float(varied[0]), float(varied[1]), float(varied[2])

    def around(self, mean: float, spread: float) -> float:
        """Return a value between mean - spread and mean + spread."""
        return float(self.rng.uniform(mean - spread, mean + spread))

    def wavy(self, shape: Shape, *, amplitude_mm: float, wavelength_mm: float) -> Wavy:
        """Return `shape` with an individual uneven surface."""
        phases = self.rng.uniform(0, 2 * np.pi, 3)
        return Wavy(shape, amplitude_mm=amplitude_mm, wavelength_mm=wavelength_mm, phases=phases)


def smooth_tube(points_mm: list[np.ndarray], radii_mm: list[float], *, pieces: int = 12) -> Tube:
    """Return a tube of `pieces` straight pieces along a smooth curve through all the points."""
    from scipy.interpolate import CubicSpline  # takes a second to import, and `pancext` has other commands

    knots = np.linspace(0, 1, len(points_mm))
    course = np.column_stack([np.array(points_mm), np.array(radii_mm)])
    fine = CubicSpline(knots, course, bc_type="natural")(np.linspace(0, 1, pieces + 1))
    return Tube(fine[:, :3], np.clip(fine[:, 3], min(radii_mm), max(radii_mm)))

"""Volumes of the labels of a label map, and size, place and probability of its lesions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nnunet_pancext.evaluation.targets import Targets
from nnunet_pancext.prediction.axial_diameter import longest_axial_diameter
from nnunet_pancext.raw_cases.geometry import Geometry

MM3_PER_ML = 1000
MOST_LESIONS = 1000

Voxel = tuple[int, int, int]
ProbabilitiesAt = Callable[[NDArray[np.intp]], NDArray[np.floating]]
"""From voxels (N, 3), each slice, row, column, to the probabilities (N, heads) of the network's heads."""


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """A component of a lesion label: voxels that touch by face, edge or corner.

    Attributes:
        voxels: their number.
        volume_ml: None if the image has no thickness or no spacing.
        longest_axial_diameter_mm: longest distance between two points of the outline of its voxels in one
            axial slice; of a single voxel, the diagonal. None without a spacing.
        centre_mm: mean of its voxels' centres, to the patient's left, back and head (two numbers in a 2D
            image). None without a spacing. May be outside of a curved lesion.
        voxel: that of the lesion nearest to the centre: slice, row and column of the file's array.
        peak_probability: highest probability of its label in the lesion, and the mean. None if unknown.
        mean_entropy: mean entropy of the probabilities. None if not asked for.
    """

    label: str
    voxels: int
    volume_ml: float | None
    longest_axial_diameter_mm: float | None
    centre_mm: tuple[float, ...] | None
    voxel: Voxel
    peak_probability: float | None = None
    mean_probability: float | None = None
    mean_entropy: float | None = None


@dataclass(frozen=True, kw_only=True)
class Measures:
    """Volumes by declared label or region, and the lesions, largest first.

    A volume is None if the image has no thickness or no spacing. `lesions_left_out` were smaller than those
    listed.
    """

    volumes_ml: dict[str, float | None]
    lesions: tuple[Lesion, ...]
    lesions_left_out: int = 0

    def document(self) -> dict[str, Any]:
        """Return the part of CASE.json; volumes to 1e-6 mL, lengths to 0.01 mm, others to 1e-4."""
        return {
            "volumes_ml": {name: _rounded(volume, 6) for name, volume in self.volumes_ml.items()},
            "lesions": [_lesion_document(lesion) for lesion in self.lesions],
            "lesions_left_out": self.lesions_left_out,
        }


def measure(
    label_map: NDArray[np.integer],
    *,
    geometry: Geometry,
    targets: Targets,
    lesion_labels: Sequence[str],
    probabilities_at: ProbabilitiesAt | None = None,
    entropy: NDArray[np.floating] | None = None,
    stored: Geometry | None = None,
    most_lesions: int = MOST_LESIONS,
) -> Measures:
    """Measure a label map (slice, row, column) with the `geometry` of its image.

    `lesion_labels` are names of `targets`. At most `most_lesions` lesions are measured, the largest, and the
    others counted. `entropy` is a map of the label map's shape. `stored` is the geometry of the file, where
    its axes run in another way than those of the label map.
    """
    space = _Space.of(geometry)
    voxels_of = count_values(label_map, highest=max(targets.values))
    volumes_ml = {
        name: space.volume_ml(sum(int(voxels_of[value]) for value in targets.regions[name]))
        for name in targets.declared
    }
    lesions: list[Lesion] = []
    found = 0
    for label in lesion_labels:
        components, count = _components(label_map, targets.regions[label], most=most_lesions)
        found += count
        channels = targets.channels(label)
        for voxels in components:
            lesions.append(_measure_lesion(label, voxels, space, channels, probabilities_at, entropy))
    lesions.sort(key=lambda lesion: -lesion.voxels)  # stable: equal ones in the order of their labels
    kept = tuple(lesions[:most_lesions])
    if stored is not None:
        file = _Space.of(stored)
        kept = tuple(replace(lesion, voxel=file.voxel_at(space.place_mm(lesion.voxel))) for lesion in kept)
    return Measures(volumes_ml=volumes_ml, lesions=kept, lesions_left_out=found - len(kept))


def count_values(label_map: NDArray[np.generic], *, highest: int) -> NDArray[np.intp]:
    """Return how many voxels have each value from 0 to `highest`, slice by slice to save memory."""
    counts = np.zeros(highest + 1, dtype=np.intp)
    for part in label_map:
        counts += np.bincount(part.ravel().astype(np.intp, copy=False), minlength=highest + 1)[: highest + 1]
    return counts


@dataclass(frozen=True, kw_only=True)
class _Space:
    """The patient's coordinates of voxels (slice, row, column): `steps_mm` @ voxel + `origin_mm`.

    What the file does not store, a spacing or a thickness, is not measured.
    """

    steps_mm: NDArray[np.float64]  # (axes of the patient, 3)
    origin_mm: NDArray[np.float64]
    slice_axis: int
    has_spacing: bool
    has_thickness: bool

    @classmethod
    def of(cls, geometry: Geometry) -> "_Space":
        axes = len(geometry.size)
        steps_mm = np.reshape(geometry.direction, (axes, axes)) * geometry.spacing_mm
        along_array = np.zeros((axes, 3))
        along_array[:, 3 - axes :] = steps_mm[:, ::-1]
        return cls(
            steps_mm=along_array,
            origin_mm=np.array(geometry.origin_mm, dtype=np.float64),
            slice_axis=geometry.slice_axis,
            has_spacing=geometry.has_spacing,
            has_thickness=axes == 3,
        )

    def place_mm(self, voxel: Sequence[float] | NDArray[np.floating]) -> NDArray[np.float64]:
        return self.steps_mm @ np.asarray(voxel) + self.origin_mm

    def voxel_at(self, place_mm: NDArray[np.float64]) -> Voxel:
        voxel = np.linalg.solve(self.steps_mm, place_mm - self.origin_mm)
        first, second, third = np.rint(voxel).astype(int).tolist()
        return first, second, third

    def volume_ml(self, voxels: int) -> float | None:
        if not (self.has_spacing and self.has_thickness):
            return None
        return voxels * float(abs(np.linalg.det(self.steps_mm))) / MM3_PER_ML


def _components(
    label_map: NDArray[np.integer], values: Sequence[int], *, most: int
) -> tuple[list[NDArray[np.intp]], int]:
    """Return the voxels (N, 3) of each of the `most` largest components, and the number of all."""
    mask = np.zeros(label_map.shape, dtype=bool)
    for value in values:
        mask |= label_map == value
    box = ndimage.find_objects(mask.view(np.uint8), max_label=1)[0]
    if box is None:
        return [], 0
    labelled, count = ndimage.label(mask[box], structure=np.ones((3, 3, 3), dtype=int))
    sizes = np.bincount(labelled.ravel(), minlength=count + 1)[1:]
    corner = np.array([part.start for part in box])
    boxes = ndimage.find_objects(labelled)
    components = []
    for index in np.argsort(-sizes, kind="stable")[:most].tolist():
        inside = boxes[index]
        voxels = np.argwhere(labelled[inside] == index + 1)
        components.append(voxels + corner + [part.start for part in inside])
    return components, count


def _measure_lesion(
    label: str,
    voxels: NDArray[np.intp],
    space: _Space,
    channels: Sequence[int],
    probabilities_at: ProbabilitiesAt | None,
    entropy: NDArray[np.floating] | None,
) -> Lesion:
    centre = voxels.mean(axis=0)
    distances_mm2 = np.square((voxels - centre) @ space.steps_mm.T).sum(axis=1)
    first, second, third = voxels[int(distances_mm2.argmin())].tolist()
    centre_mm = diameter_mm = peak = mean = None
    if space.has_spacing:
        centre_mm = tuple(space.place_mm(centre).tolist())
        diameter_mm = longest_axial_diameter(voxels, steps_mm=space.steps_mm, slice_axis=space.slice_axis)
    if probabilities_at is not None:
        probability = probabilities_at(voxels)[:, list(channels)].sum(axis=1, dtype=np.float64)
        peak, mean = float(probability.max()), float(probability.mean())
    return Lesion(
        label=label,
        voxels=len(voxels),
        volume_ml=space.volume_ml(len(voxels)),
        longest_axial_diameter_mm=diameter_mm,
        centre_mm=centre_mm,
        voxel=(first, second, third),
        peak_probability=peak,
        mean_probability=mean,
        mean_entropy=None if entropy is None else float(entropy[tuple(voxels.T)].mean(dtype=np.float64)),
    )


def _lesion_document(lesion: Lesion) -> dict[str, Any]:
    return {
        "label": lesion.label,
        "voxels": lesion.voxels,
        "volume_ml": _rounded(lesion.volume_ml, 6),
        "longest_axial_diameter_mm": _rounded(lesion.longest_axial_diameter_mm, 2),
        "centre_mm": None if lesion.centre_mm is None else [_rounded(place, 2) for place in lesion.centre_mm],
        "voxel": list(lesion.voxel),
        "peak_probability": _rounded(lesion.peak_probability, 4),
        "mean_probability": _rounded(lesion.mean_probability, 4),
        "mean_entropy": _rounded(lesion.mean_entropy, 4),
    }


def _rounded(number: float | None, digits: int) -> float | None:
    return None if number is None else round(number, digits)

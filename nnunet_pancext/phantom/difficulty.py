"""How hard the phantom's pancreas and tumour are to see, in HU and mm."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Difficulty:
    """The contrasts, noise and lesion sizes of a phantom; everything else is the same at every difficulty."""

    # Mean of the parenchyma (portal venous phase). Patients differ by up to 8 HU, and so do liver, spleen and
    # bowel wall.
    pancreas_hu: float
    tumour_contrast_hu: float  # how much darker than the parenchyma the tumour is
    # How much brighter than the pancreas the liver is; the spleen is 1.5 times that brighter.
    neighbour_contrast_hu: float
    noise_sd_hu: float
    lesion_diameter_mm: tuple[float, float]  # smallest and largest mean diameter, uniformly distributed
    pancreas_scale: float  # factor on the radius of the gland (head 15 mm, neck 9 mm, body 11 mm, tail 9 mm)
    fat_gap_mm: float  # between the pancreas and its neighbours; 0 lets them touch
    boundary_blur_mm: float  # width over which pancreas and tumour fade into what surrounds them

    @property
    def bowel_wall_hu(self) -> float:
        """As much darker than the pancreas as the liver is brighter."""
        return self.pancreas_hu - self.neighbour_contrast_hu


DIFFICULTIES = {
    "easy": Difficulty(
        pancreas_hu=100.0,
        tumour_contrast_hu=55.0,
        neighbour_contrast_hu=30.0,
        noise_sd_hu=8.0,
        lesion_diameter_mm=(20.0, 36.0),
        pancreas_scale=1.2,
        fat_gap_mm=3.0,
        boundary_blur_mm=1.5,
    ),
    "hard": Difficulty(
        pancreas_hu=100.0,
        tumour_contrast_hu=15.0,
        neighbour_contrast_hu=6.0,
        noise_sd_hu=18.0,
        lesion_diameter_mm=(3.0, 26.0),
        pancreas_scale=0.95,
        fat_gap_mm=0.0,
        boundary_blur_mm=3.0,
    ),
}

"""Small made folders of slices as pictures, with masks."""

import numpy as np
import SimpleITK as sitk


def write(path, pixels):
    """Write a grey picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(pixels.astype(np.uint8)), str(path))


def mask(number):
    """Return the mask of a slice, empty in the first."""
    pixels = np.zeros((16, 20))
    if number:
        pixels[4:9, 3 + number : 12] = 1
    return pixels


def make(folder, *, value=255, label="label", patients=6, slices=3, pattern="pancreas_{:03d}_{:d}"):
    """Write images and masks of so many patients; return the folder."""
    for patient in range(1, patients + 1):
        for number in range(slices):
            stem = pattern.format(patient, number)
            pixels = np.random.default_rng(100 * patient + number).integers(0, 256, (16, 20))
            write(folder / "image" / f"{stem}.png", pixels)
            write(folder / label / f"{stem}.png", value * mask(number))
    return folder

"""Writing attention maps: each as a NIfTI file in the image's geometry and as a figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nnunet_pancext.attention.heatmap import write_heatmap
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import atomic_path
from nnunet_pancext.io.images import write_compressed


def write_maps(
    maps: dict[str, NDArray[np.float32]],
    *,
    reference: sitk.Image,
    folder: Path,
    case: str,
    voxel: tuple[int, int, int] | None,
    is_ct: bool = True,
) -> list[Path]:
    """Write each map (slice, row, column) as `folder`/`case`_NAME.nii.gz and .png; return the NIfTI files.

    Raises:
        PancextError: the folder cannot be written to, or the disk is full.
    """
    targets = {name: folder / f"{case}_{name}.nii.gz" for name in maps}
    centre = None if voxel is None else (voxel[2], voxel[1], voxel[0])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, target in targets.items():
            values = sitk.GetImageFromArray(np.ascontiguousarray(maps[name], dtype=np.float32))
            values.CopyInformation(reference)
            with atomic_path(target) as partial:
                write_compressed(values, partial)
            title, figure = f"{case}   {name.replace('_', ' ')}", folder / f"{case}_{name}.png"
            write_heatmap(figure, image=reference, values=values, title=title, is_ct=is_ct, centre=centre)
    except (OSError, RuntimeError) as error:  # ITK raises the second
        raise PancextError(
            f"Cannot write the maps to {folder}: {error}. Give another folder with -o, or free some space."
        ) from error
    return list(targets.values())

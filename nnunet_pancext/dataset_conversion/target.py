"""Writing the images and labels of an nnU-Net raw dataset."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.io.disk import write_errors_as_pancext
from nnunet_pancext.io.files import atomic_path, link_or_copy
from nnunet_pancext.io.image_writing import with_geometry, write_image
from nnunet_pancext.io.images import compress_file, read_image
from nnunet_pancext.io.label_values import in_single_precision


def case_files(case_id: str, *, subset: str, ending: str) -> tuple[str, str]:
    """Return the relative paths of a case's image and label; `subset` is 'Tr' or 'Ts'."""
    return f"images{subset}/{case_id}_0000{ending}", f"labels{subset}/{case_id}{ending}"


def place(source: Path, target: Path, *, may_link: bool = True) -> str:
    """Hard-link or copy a file unless it is there, creating its folder; return 'linked' or 'copied'."""
    if target.exists():
        return "linked" if target.samefile(source) else "copied"
    size = source.stat().st_size if source.exists() else None
    with write_errors_as_pancext(target, source=source, needed_bytes=size):
        target.parent.mkdir(parents=True, exist_ok=True)
        return link_or_copy(source, target, may_link=may_link)


def compress(source: Path, target: Path) -> None:
    """Write the compressed content of a .nii file to the .nii.gz `target` unless it is there."""
    if target.exists():
        return
    with write_errors_as_pancext(target, source=source):
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as partial:
            compress_file(source, partial)


def remap_label(source: Path, target: Path, *, mapping: Mapping[int, int]) -> None:
    """Write the label with mapped values as uint8, in the same geometry."""
    image = read_image(source)
    values = in_single_precision(sitk.GetArrayFromImage(image))
    mapped = np.zeros(values.shape, np.uint8)
    for old, new in mapping.items():
        mapped[values == old] = new
    write_image(with_geometry(mapped, image), target)

"""Whether the affine of a NIfTI file is finite: ITK prints a matrix with NaN before it fails."""

from pathlib import Path

import numpy as np
from isal import igzip, isal_zlib
from nibabel.nifti1 import Nifti1Header
from nibabel.wrapstruct import WrapStructError

HEADER_BYTES = 348  # of NIfTI-1
QFORM = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
GZIP_MAGIC = b"\x1f\x8b"
# Its stub declares the class as an instance.
INFLATE_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]


def has_finite_affine(header: Nifti1Header) -> bool:
    """Whether the affines that the header gives, as sform and qform, are finite."""
    rows = np.concatenate([header[name] for name in ("srow_x", "srow_y", "srow_z")])
    offsets = [header[name] for name in QFORM]
    return all(
        not header[code] > 0 or bool(np.isfinite(values).all())
        for code, values in (("sform_code", rows), ("qform_code", offsets))
    )


def first_header(path: Path) -> Nifti1Header | None:
    """Return the header of a .nii.gz or .nii file; None if the file is damaged."""
    try:
        with path.open("rb") as file:
            is_compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            file.seek(0)
            with igzip.open(file) if is_compressed else file as content:
                return Nifti1Header(content.read(HEADER_BYTES), check=False)
    except (OSError, EOFError, INFLATE_ERROR, WrapStructError):
        return None

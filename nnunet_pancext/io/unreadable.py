"""Why a file is not an image that can be used, and what to do about it.

A damaged file is worth another download. A whole file of another kind would come back the same, so each kind
has a remedy of its own.
"""

import os
import shlex
from contextlib import suppress
from pathlib import Path

from nnunet_pancext.io.images import itk_reason
from nnunet_pancext.io.nifti_affine import GZIP_MAGIC, HEADER_BYTES

NIFTI = (".nii", ".nii.gz")
NIFTI2_HEADER_BYTES = 540

CONVERT = "Convert it to the format that its name states, for example with SimpleITK or 3D Slicer."
UNPACK = "Unpack it and use the image inside."
RECOMPRESS = "Unpack it and compress the image with gzip."
# Where a kind of file has which bytes, what it is, and what to do.
SIGNATURES = (
    (0, b"PK\x03\x04", "is a zip archive", UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "is a 7z archive", UNPACK),
    (0, b"Rar!", "is a RAR archive", UNPACK),
    (257, b"ustar", "is a tar archive", UNPACK),
    (0, b"BZh", "is compressed with bzip2", RECOMPRESS),
    (0, b"\xfd7zXZ", "is compressed with xz", RECOMPRESS),
    (0, b"\x28\xb5\x2f\xfd", "is compressed with zstd", RECOMPRESS),
    (128, b"DICM", "is a DICOM file", "Convert its series to NIfTI, for example with dcm2niix."),
    (0, b"\x00\x00\x00\x01\x00\x00", "is an MGH image", "Convert it to NIfTI, for example with mri_convert."),
    (0, b"NRRD", "is an NRRD image (.nrrd)", CONVERT),
    (0, b"ObjectType", "is a MetaImage (.mha, .mhd)", CONVERT),
    (0, b"NDims", "is a MetaImage (.mha, .mhd)", CONVERT),
    (0, b"CDF", "is a NetCDF file, such as MINC", CONVERT),
    (0, b"\x89HDF", "is an HDF5 file, such as MINC or MATLAB's", CONVERT),
    (0, b"MATLAB", "is a MATLAB file", CONVERT),
    (0, b"\x93NUMPY", "is a NumPy array", CONVERT),
    (0, b"II*\x00", "is a TIFF image (.tif, .tiff)", CONVERT),
    (0, b"MM\x00*", "is a TIFF image (.tif, .tiff)", CONVERT),
    (0, b"\x89PNG", "is a PNG image (.png)", CONVERT),
    (0, b"\xff\xd8\xff", "is a JPEG image (.jpg, .jpeg)", CONVERT),
    (0, b"%PDF", "is a PDF document", "Download the image instead."),
    (
        0,
        b"version https://git-lfs",
        "is a Git LFS pointer, not the file",
        "Fetch the file: git lfs pull.",
    ),
    (0, b"/annex/objects/", "is a git-annex pointer, not the file", "Fetch the file: git annex get."),
    (0, b"\x00\x05\x16\x07", "holds macOS attributes (AppleDouble), not the file", "Use the file without ._"),
)
LOOK_INSIDE = "Open it in a text editor to see why, and download the file again, logged in if need be."
TEXTS = (  # ignoring case and blanks at the start
    (b"<!doctype html", "is a web page, such as a login page or an error message", LOOK_INSIDE),
    (b"<html", "is a web page, such as a login page or an error message", LOOK_INSIDE),
    (b"<", "is an XML or HTML text, such as an error message of the server", LOOK_INSIDE),
    (b'{"', "is a JSON text, such as an error message of the server", LOOK_INSIDE),
)
VOXEL_TYPES = {
    1: ("bits", "Save it as uint8."),
    32: ("complex numbers", "Save their magnitude or real part as float32."),
    128: ("colours", "Save it in grey values, a label map with one number per class."),
    1536: ("128-bit floating point", "Save it as float32."),
    1792: ("complex numbers", "Save their magnitude or real part as float32."),
    2048: ("complex numbers", "Save their magnitude or real part as float32."),
    2304: ("colours", "Save it in grey values, a label map with one number per class."),
}
AXES = (
    "If only the header (sform, qform) is wrong, correct it, in nibabel with image.set_sform(None, 0) and "
    "image.set_qform(AFFINE, 1); otherwise resample the image onto a grid with right angles. In a raw "
    'dataset, "overwrite_image_reader_writer": "NibabelIO" in dataset.json lets nnU-Net read it, as if '
    "without shear."
)
WRITE_ANEW = "Write it anew with the program that made it, or correct its header."


class UnreadableImage(Exception):
    """The file is not an image that can be used; the text says why.

    `remedy` says what to do; it is empty for a damaged file, which only its origin has whole.
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


def missing_file(path: Path) -> UnreadableImage:
    """Return why there is no file at `path`."""
    if path.is_dir():
        return UnreadableImage("is a folder, not a file", "Move the file out of it, if it is inside.")
    if path.is_symlink():
        target = os.readlink(path)
        remedy = "Restore what it links to; in a DataLad or git-annex dataset: git annex get."
        return UnreadableImage(f"is a link to {target}, which is not there", remedy)
    return UnreadableImage("is not there")


def as_unreadable(error: UnreadableImage | RuntimeError, path: Path) -> UnreadableImage:
    """Return why a file cannot be read: the error itself, or what is behind SimpleITK's RuntimeError.

    The voxels of a NIfTI file are known to be whole.
    """
    if isinstance(error, UnreadableImage):
        return error
    with suppress(OSError), path.open("rb") as file:
        try:
            refuse_other_kinds(file.read(HEADER_BYTES), ending=path.suffix)
        except UnreadableImage as kind:
            return kind
    reason = itk_reason(error)
    if "orthonormal" in reason:
        return UnreadableImage("has axes that SimpleITK does not read: sheared, or not finite", AXES)
    if path.name.lower().endswith(NIFTI):
        return UnreadableImage(f"cannot be read by SimpleITK ({reason})", WRITE_ANEW)
    return UnreadableImage(f"is not a whole {path.suffix} file")


def refuse_other_kinds(content: bytes, *, ending: str) -> None:
    """Raise UnreadableImage if these first bytes are of a known kind of file other than `ending`."""
    for offset, magic, kind, remedy in SIGNATURES:
        if content[offset:].startswith(magic) and ending.lower() not in kind:
            raise UnreadableImage(kind, remedy)
    text = content.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for start, kind, remedy in TEXTS:
        if text.startswith(start):
            raise UnreadableImage(kind, remedy)


def require_gzip(content: bytes, *, name: str) -> None:
    """Raise UnreadableImage unless the content of the file `name` begins as a gzip file."""
    if content.startswith(GZIP_MAGIC):
        return
    refuse_other_kinds(content, ending=NIFTI[0])
    if size_of_header(content) in (HEADER_BYTES, NIFTI2_HEADER_BYTES):
        packed, plain = (shlex.quote(text) for text in (name, name[: -len(".gz")]))
        raise UnreadableImage(
            "is not compressed, although its name ends in .gz",
            f"Compress it: mv {packed} {plain} && gzip {plain}",
        )
    raise UnreadableImage("is not a gzip file")


def require_nifti1(content: bytes, *, name: str) -> None:
    """Raise UnreadableImage unless the decompressed content of the file `name` begins as NIfTI-1."""
    if content.startswith(GZIP_MAGIC):
        if name.lower().endswith(".gz"):
            packed, plain = (shlex.quote(text) for text in (name, name[: -len(".gz")]))
            raise UnreadableImage(
                "is compressed twice", f"Unpack it once: gunzip {packed} && mv {plain} {packed}"
            )
        plain, packed = (shlex.quote(text) for text in (name, f"{name}.gz"))
        raise UnreadableImage(
            "is compressed, although its name does not end in .gz",
            f"Unpack it: mv {plain} {packed} && gunzip {packed}",
        )
    refuse_other_kinds(content, ending=NIFTI[0])
    if len(content) < HEADER_BYTES:
        raise UnreadableImage(f"holds {len(content)} bytes, a NIfTI header alone has {HEADER_BYTES}")
    magic = content[344:347]
    if size_of_header(content) == NIFTI2_HEADER_BYTES:
        raise UnreadableImage(
            "is a NIfTI-2 image, which SimpleITK does not read",
            "Save it as NIfTI-1: nibabel.save(nibabel.Nifti1Image.from_image(nibabel.load(FILE)), NEW_FILE)",
        )
    if size_of_header(content) != HEADER_BYTES:
        raise UnreadableImage("is not a single-file NIfTI-1 image")
    if magic != b"n+1":
        kind = "of NIfTI" if magic == b"ni1" else "Analyze 7.5, without orientation"
        check = "" if magic == b"ni1" else ", and check the orientation in a viewer"
        raise UnreadableImage(
            f"has the header of two files, .hdr and .img ({kind})",
            f"Save both as one file: nibabel.save(nibabel.load('NAME.hdr'), 'NAME.nii.gz'){check}",
        )


def size_of_header(content: bytes) -> int:
    """Return the size that a NIfTI or Analyze header states, in either byte order."""
    little, big = (int.from_bytes(content[:4], order) for order in ("little", "big"))
    return min(little, big)

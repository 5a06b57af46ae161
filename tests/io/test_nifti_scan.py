"""The scan of a .nii.gz against headers written by hand."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from nnunet_pancext.io.nifti_scan import count_non_finite, scan_nifti
from nnunet_pancext.io.unreadable import UnreadableImage


def write_nifti(
    path: Path,
    voxels: np.ndarray,
    *,
    code: int,
    order: str = "<",
    size: tuple[int, ...] | None = None,
    scaling: tuple[float, float] = (0.0, 0.0),
    offset: int = 352,
    spacing_mm: float = 1.0,
) -> Path:
    """Write a NIfTI-1 file field by field; `voxels` lie x fastest."""
    size = size or voxels.shape[::-1]
    header = bytearray(offset)
    struct.pack_into(f"{order}i", header, 0, 348)
    struct.pack_into(f"{order}{1 + len(size)}h", header, 40, len(size), *size)
    struct.pack_into(f"{order}2h", header, 70, code, 8 * voxels.itemsize)
    struct.pack_into(f"{order}4f", header, 76, 1.0, spacing_mm, spacing_mm, spacing_mm)
    struct.pack_into(f"{order}3f", header, 108, offset, *scaling)
    header[344:348] = b"n+1\0"
    path.write_bytes(gzip.compress(bytes(header) + voxels.astype(voxels.dtype.newbyteorder(order)).tobytes()))
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("code", "dtype"), [(2, "u1"), (4, "i2"), (16, "f4"), (64, "f8"), (512, "u2")])
def test_values_in_any_type_and_byte_order(tmp_path: Path, order: str, code: int, dtype: str) -> None:
    voxels = np.array([[[0, 2, 2], [7, 0, 2]]], dtype)
    scan = scan_nifti(write_nifti(tmp_path / "a.nii.gz", voxels, code=code, order=order), collect_values=True)
    assert scan.size == (3, 2, 1)
    assert scan.values == (0.0, 2.0, 7.0)


def test_values_are_scaled_as_the_header_says(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", np.array([[[0, 1, 3]]], "u1"), code=2, scaling=(0.5, -1.0))
    assert scan_nifti(path, collect_values=True).values == (-1.0, -0.5, 0.5)


def test_trailing_dimensions_of_one_do_not_count(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", np.zeros((2, 2, 3), "u1"), code=2, size=(3, 2, 2, 1))
    assert scan_nifti(path, collect_values=False).size == (3, 2, 2)


def test_nan_and_infinity_are_counted(tmp_path: Path) -> None:
    voxels = np.array([[[0, np.nan, np.inf, -np.inf]]], "f4")
    path = write_nifti(tmp_path / "a.nii.gz", voxels, code=16)
    assert scan_nifti(path, collect_values=True).non_finite_voxels == count_non_finite(path) == 3


def test_whole_numbers_are_finite(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", np.array([[[0, 1, 3]]], "u1"), code=2)
    assert count_non_finite(path) == 0


def test_a_file_that_is_not_compressed(tmp_path: Path) -> None:
    compressed = write_nifti(tmp_path / "a.nii.gz", np.array([[[0, np.nan, 3]]], "f4"), code=16)
    path = tmp_path / "a.nii"
    path.write_bytes(gzip.decompress(compressed.read_bytes()))
    assert count_non_finite(path) == 1
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnreadableImage, match="bytes of voxels are missing"):
        count_non_finite(path)


def test_the_hash_is_of_voxels_not_of_geometry_or_extensions(tmp_path: Path) -> None:
    voxels = np.arange(12, dtype="i2").reshape(2, 2, 3)
    hashes = {
        scan_nifti(write_nifti(tmp_path / "a.nii.gz", v, code=4, **kwargs), collect_values=False).voxel_hash
        for v, kwargs in ((voxels, {}), (voxels, {"spacing_mm": 3.0}), (voxels, {"offset": 400}))
    }
    assert len(hashes) == 1
    other = write_nifti(tmp_path / "b.nii.gz", voxels + 1, code=4)
    assert scan_nifti(other, collect_values=False).voxel_hash not in hashes


def hash_of(path: Path, voxels: np.ndarray, **fields) -> str | None:
    return scan_nifti(write_nifti(path, voxels, **fields), collect_values=False).voxel_hash


def test_the_hash_is_of_values_and_not_of_how_they_are_stored(tmp_path: Path) -> None:
    values = np.array([[[0, 2, -7], [300, 40, 5]]])
    alike = [
        hash_of(tmp_path / "a.nii.gz", values.astype(dtype), code=code, order=order)
        for code, dtype in ((4, "i2"), (8, "i4"), (16, "f4"), (64, "f8"), (1024, "i8"))
        for order in "<>"
    ]
    alike.append(hash_of(tmp_path / "a.nii.gz", (2 * (values + 7)).astype("u2"), code=512, scaling=(0.5, -7)))
    assert alike[0] is not None
    assert set(alike) == {alike[0]}


@pytest.mark.parametrize(
    ("code", "one", "other"),
    [
        (512, np.array([[[0, 40000]]], "u2"), np.array([[[0, 40001]]], "u2")),
        (16, np.array([[[0, 0.5]]], "f4"), np.array([[[0, 0.25]]], "f4")),
        (64, np.array([[[0, 0.1]]], "f8"), np.array([[[0, np.float32(0.1)]]], "f8")),
        (1024, np.array([[[0, 2**53]]], "i8"), np.array([[[0, 2**53 + 1]]], "i8")),
        (16, np.array([[[0, np.nan]]], "f4"), np.array([[[0, 1]]], "f4")),
    ],
)
def test_other_values_have_another_hash(tmp_path: Path, code: int, one, other) -> None:
    hashes = [hash_of(tmp_path / "a.nii.gz", voxels, code=code) for voxels in (one, other)]
    assert hashes[0] != hashes[1]


def test_numbers_that_would_wrap_are_not_taken_for_others(tmp_path: Path) -> None:
    large = hash_of(tmp_path / "a.nii.gz", np.array([[[0, 40000]]], "u2"), code=512)
    assert large != hash_of(tmp_path / "a.nii.gz", np.array([[[0, 40000 - 2**16]]], "i2"), code=4)
    assert large == hash_of(tmp_path / "a.nii.gz", np.array([[[0, 40000]]], "f4"), code=16)


@pytest.mark.parametrize("value", [0, -1024])
def test_an_image_of_one_value_has_no_hash(tmp_path: Path, value: int) -> None:
    assert hash_of(tmp_path / "a.nii.gz", np.full((2, 2, 3), value, "i2"), code=4) is None


def test_a_file_that_is_not_compressed_scans_alike(tmp_path: Path) -> None:
    packed = write_nifti(tmp_path / "a.nii.gz", np.arange(12, dtype="i2").reshape(2, 2, 3), code=4)
    plain = tmp_path / "a.nii"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    assert scan_nifti(plain, collect_values=False) == scan_nifti(packed, collect_values=False)
    plain.write_bytes(plain.read_bytes()[:-3])
    with pytest.raises(UnreadableImage, match="is cut short: 3 bytes of voxels are missing"):
        scan_nifti(plain, collect_values=False)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"code": 128}, "has voxels of NIfTI type 128"),
        ({"code": 2, "size": (3, 0, 2)}, "declares an impossible size"),
        ({"code": 2, "size": (3, 2, 9)}, "42 bytes of voxels are missing"),
    ],
)
def test_impossible_headers(tmp_path: Path, fields: dict, message: str) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", np.zeros((2, 2, 3), "u1"), **fields)
    with pytest.raises(UnreadableImage, match=message):
        scan_nifti(path, collect_values=False)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda whole: b"", "is empty"),
        (lambda whole: b"hello", "is not a gzip file"),
        (lambda whole: whole[:60], "is cut short: the compressed data ends too early"),
        (lambda whole: whole[:-1], "is cut short: the compressed data ends too early"),
        (lambda whole: whole[:-8] + b"1234" + whole[-4:], "is a damaged gzip file .CRC check failed"),
        (lambda whole: whole[:-4] + b"1234", "is a damaged gzip file .Incorrect length"),
        (lambda whole: whole[:2] + b"\x07" + whole[3:], "is a damaged gzip file .Unknown compression method"),
        (lambda whole: whole + b"garbage after the end", "is a damaged gzip file .Not a gzipped file"),
        (lambda whole: whole[:10] + b"\xff" * 20, "has damaged compressed data"),
    ],
    ids=["empty", "text", "cut", "trailer", "checksum", "length", "method", "garbage", "block"],
)
def test_a_damaged_gzip_file_is_refused_with_its_reason(tmp_path: Path, damage, message: str) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", np.arange(200, dtype="u1").reshape(1, 1, 200), code=2)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UnreadableImage, match=message):
        scan_nifti(path, collect_values=False)


def test_several_gzip_members_and_padding_are_one_image(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", np.arange(200, dtype="u1").reshape(1, 1, 200), code=2)
    content = gzip.decompress(path.read_bytes())
    expected = scan_nifti(path, collect_values=False)
    path.write_bytes(gzip.compress(content[:400]) + bytes(3) + gzip.compress(content[400:]) + bytes(600))
    assert scan_nifti(path, collect_values=False) == expected

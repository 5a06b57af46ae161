"""The zip archive in which `torch.save` stores members uncompressed, one after another."""

import zipfile
from typing import BinaryIO

from nnunet_pancext.checkpoints.pickled import UnsafeFile
from nnunet_pancext.io.safe_zip import BAD_ZIP, ENCRYPTED, LOCAL_HEADER_BYTES

MOST_STORAGES = 100_000
LOCAL_HEADER_MAGIC = b"PK\x03\x04"
LEGACY = (
    "Where you trust it, load it with torch.load and write it anew with torch.save of PyTorch 1.6 or later."
)


def find_members(file: BinaryIO) -> dict[str, tuple[int, int, int]]:
    """Return first byte, size and checksum of each member by its name below the archive's one folder."""
    start = file.read(262)
    if not start.startswith(LOCAL_HEADER_MAGIC):
        raise UnsafeFile(_what_it_is(start))
    try:
        with zipfile.ZipFile(file) as archive:
            infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    except BAD_ZIP as error:
        raise UnsafeFile(f"is damaged: {error}") from error
    if not infos:
        raise UnsafeFile("is damaged: it has no member")
    if len(infos) > MOST_STORAGES:
        raise UnsafeFile(
            f"has {len(infos):,} members, more than the {MOST_STORAGES:,} that this reader accepts"
        )
    members: dict[str, tuple[int, int, int]] = {}
    end = file.seek(0, 2)
    folder = infos[0].filename.split("/")[0]
    for info, limit in zip(infos, [*(info.header_offset for info in infos[1:]), end], strict=True):
        prefix, _, name = info.filename.partition("/")
        if prefix != folder or not name or name in members:
            raise UnsafeFile(f"is damaged: it has a member {info.filename[:80]!r} twice or beside its folder")
        if name in ("constants.pkl", "code") or name.startswith("code/"):
            raise UnsafeFile("is a TorchScript program, not a checkpoint")
        is_stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
        if not is_stored or info.flag_bits & ENCRYPTED:
            raise UnsafeFile(
                f"has a compressed or encrypted member {name[:80]!r}, which torch.save never writes"
            )
        first = _first_byte(file, info, end=end)
        if first + info.file_size > limit:
            raise UnsafeFile(f"is damaged: {name[:80]!r} overlaps with what follows it")
        members[name] = (first, info.file_size, info.CRC)
    return members


def _first_byte(file: BinaryIO, info: zipfile.ZipInfo, *, end: int) -> int:
    if not 0 <= info.header_offset < end:
        raise UnsafeFile("is damaged: a member is not where the directory says")
    file.seek(info.header_offset)
    header = file.read(LOCAL_HEADER_BYTES)
    if len(header) < LOCAL_HEADER_BYTES or not header.startswith(LOCAL_HEADER_MAGIC):
        raise UnsafeFile("is damaged: a member is not where the directory says")
    name_bytes, extra_bytes = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    if file.read(name_bytes).decode("utf-8", "replace") != info.filename:
        raise UnsafeFile("is damaged: a member has another name in the directory")
    return info.header_offset + LOCAL_HEADER_BYTES + name_bytes + extra_bytes


def _what_it_is(start: bytes) -> str:
    if not start:
        return "is damaged: it is empty"
    if start[257:262] == b"ustar" or start.startswith(b"\x80"):
        return (
            f"has the format of PyTorch before 1.6, or is a plain pickle, and cannot be read safely. {LEGACY}"
        )
    return "is damaged: it is not a zip archive, as torch.save writes"

"""Inflating a gzip file in large pieces.

Python's own reader takes 8 kB at a time (until 3.12) and for each of them hands the interpreter's lock to the
other threads. On a busy machine these then wait for each other far longer than they work. ISA-L inflates
twice as fast as zlib.
"""

from __future__ import annotations

import gzip
import re
import zlib
from typing import BinaryIO

from isal import isal_zlib

COMPRESSED_PIECE = 1 << 22
MAGIC = b"\x1f\x8b"
GZIP_WINDOW = 31  # zlib's word for: expect a gzip header, and compare checksum and length at the end
# Its stub calls the class an instance.
INFLATE_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]
NUMBER = re.compile(r"^Error -?\d+ ")
UNSOUND = ("wrapper", "checksum")  # in what ISA-L says of a file that is no gzip file, or not whole


class GzipStream:
    """The inflated content of an open gzip file, which may have several members and zeros after the last.

    Opening and reading raise EOFError for a file that ends too early, gzip.BadGzipFile for one that is no
    gzip file or fails its checksum, zlib.error for damaged data.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.waiting = b""  # compressed bytes that are not inflated yet
        self._begin_member(file.read(len(MAGIC)))

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end."""
        pieces = []
        while size > 0:
            piece = self._next(size)
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _next(self, most: int) -> bytes:
        """Return some of the next bytes, none at the end."""
        while True:
            if self.member.eof and not self._start_member():
                return b""
            compressed = self.waiting or self.file.read(COMPRESSED_PIECE)
            try:
                piece = self.member.decompress(compressed, most)
            except INFLATE_ERROR as error:
                reason = NUMBER.sub("", str(error))
                if any(word in reason for word in UNSOUND):
                    raise gzip.BadGzipFile(reason) from error
                raise zlib.error(reason) from error
            self.waiting = self.member.unconsumed_tail
            if piece:
                return piece
            if not compressed and not self.member.eof:
                raise EOFError("the compressed data ends too early")

    def _start_member(self) -> bool:
        """Go on with the member that follows the one that has ended; say whether there is one."""
        rest = self.member.unused_data.lstrip(b"\0")
        while not rest:
            more = self.file.read(COMPRESSED_PIECE)
            if not more:
                return False
            rest = more.lstrip(b"\0")
        self._begin_member(rest)
        return True

    def _begin_member(self, begin: bytes) -> None:
        if not begin.startswith(MAGIC[: len(begin)]):
            raise gzip.BadGzipFile("no gzip header")
        self.member = isal_zlib.decompressobj(GZIP_WINDOW)
        self.waiting = begin

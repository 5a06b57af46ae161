"""Inflating a gzip file in large pieces.

Python's own reader takes 8 kB at a time (until 3.12) and for each of them hands the interpreter's lock to the
other threads. On a busy machine these then wait for each other far longer than they work.
"""

from __future__ import annotations

import gzip
import zlib
from typing import BinaryIO

COMPRESSED_PIECE = 1 << 22
GZIP_WINDOW = 31  # zlib's word for: expect a gzip header, and compare checksum and length at the end
UNSOUND = ("header", "data check", "length check")


class GzipStream:
    """The inflated content of an open gzip file, which may have several members and zeros after the last.

    Reading raises EOFError for a file that ends too early, gzip.BadGzipFile for one that is no gzip file or
    fails its checksum, zlib.error for damaged data.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.member = zlib.decompressobj(GZIP_WINDOW)
        self.waiting = b""  # compressed bytes that are not inflated yet

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
            except zlib.error as error:
                if any(word in str(error) for word in UNSOUND):
                    raise gzip.BadGzipFile(
                        f"CRC check failed: {error}" if "data" in str(error) else str(error)
                    ) from error
                raise
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
        self.member, self.waiting = zlib.decompressobj(GZIP_WINDOW), rest
        return True

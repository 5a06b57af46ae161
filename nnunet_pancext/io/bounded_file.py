"""Opening a file whose own numbers say how much to read."""

import io
import zipfile
from pathlib import Path

# In bytes; zipfile reads an archive's directory at once, and makes twenty times as much of it.
MOST_READ = 1 << 24


class BoundedFile(io.BufferedReader):
    """A file to read for `zipfile`, with at most 16 MiB at once.

    Raises:
        zipfile.BadZipFile: on reading more, as for the directory of millions of members.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_READ:
            raise zipfile.BadZipFile(f"its directory has {size:,} bytes, more than {MOST_READ:,}")
        return super().read(size)

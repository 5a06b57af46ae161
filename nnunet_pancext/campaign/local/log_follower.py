"""The newest line of progress in a log that another process writes."""

from pathlib import Path

from nnunet_pancext.campaign.step import Progress

AT_ONCE_BYTES = 1 << 20  # of a log that grew faster than it is read, only the end


class LogFollower:
    """Reads what is appended to a log from now on.

    `progress` turns a line of it into one for the console, or None; without it there is none.
    """

    def __init__(self, log: Path, progress: Progress | None) -> None:
        self.log = log
        self.progress = progress
        self.newest = ""
        self._position = self._size()
        self._rest = b""

    def _size(self) -> int:
        try:
            return self.log.stat().st_size
        except OSError:
            return 0

    def update(self) -> str:
        """Read new output, and return the latest line of progress, "" before the first."""
        size = self._size()
        if self.progress is None or size <= self._position:
            return self.newest
        start = max(self._position, size - AT_ONCE_BYTES)
        try:
            with self.log.open("rb") as stream:
                stream.seek(start)
                content = stream.read(size - start)
        except OSError:
            return self.newest
        rest = self._rest if start == self._position else b""
        self._position = size
        *lines, self._rest = (rest + content).split(b"\n")
        for line in lines:
            message = self.progress(line.decode("utf-8", errors="replace"))
            self.newest = message or self.newest
        return self.newest

"""A lease for which steps of one dataset wait, because nnU-Net writes some files of it in place."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nnunet_pancext.campaign.lease import Held, Lease


def lease_of_cases(data: Path) -> Path:
    """Return the lease for writing preprocessed cases in the folder `data`."""
    return data.with_name(f".{data.name}.lease")


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold the lease at `path`; where another process holds it, say so and wait, however long."""
    lease = Lease(path)
    try:
        lease.acquire()
    except Held as held:
        print(f"waiting for {held.owner}, which is writing {path.parent}", flush=True)
        lease.acquire(wait_s=math.inf)
    try:
        yield
    finally:
        lease.release()

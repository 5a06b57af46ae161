"""Processing many cases in parallel, with progress."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from tqdm import tqdm

from nnunet_pancext.errors import PancextError

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def default_jobs() -> int:
    """Return the default number of cases processed at once."""
    return min(4, os.cpu_count() or 1)


def for_each(
    work: Callable[[Item], Outcome],
    items: Sequence[Item],
    *,
    jobs: int | None,
    title: str,
    show_progress: bool,
) -> list[Outcome]:
    """Return `work(item)` for every item, in order; `jobs` items, or `default_jobs`, are in memory at a time.

    The first error stops the rest and is raised. Progress goes to standard error.
    """
    jobs = default_jobs() if jobs is None else jobs
    if jobs < 1:
        raise PancextError(f"--jobs must be at least 1, got {jobs}.")
    # Threads, not processes: inflating, hashing, copying and SimpleITK's reading release the GIL.
    executor = ThreadPoolExecutor(max_workers=jobs)
    try:
        futures = [executor.submit(work, item) for item in items]
        with tqdm(total=len(items), desc=title, unit="case", disable=not show_progress) as bar:
            for future in as_completed(futures):
                future.result()
                bar.update()
        return [future.result() for future in futures]
    finally:
        executor.shutdown(wait=True, cancel_futures=True)

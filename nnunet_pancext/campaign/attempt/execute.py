"""Runs one step in this process: `python -m nnunet_pancext.campaign.attempt.execute FOLDER STEP`."""

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nnunet_pancext.campaign.attempt.step_process import StepProcess
from nnunet_pancext.campaign.lease import Held
from nnunet_pancext.campaign.record import Attempt
from nnunet_pancext.errors import PancextError

__all__ = ["StepProcess", "run_step"]

ENDING_SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR2")
EXIT_CODES = {"done": 0, "failed": 1, "cancelled": 3, "interrupted": 4}
HELD = 75  # another process runs the step: os.EX_TEMPFAIL, which Windows lacks


def run_step(
    folder: Path, name: str, *, place: str, job: str = "", restarts: int = 0, gpu: str = ""
) -> Attempt:
    """Run a step to its end and return what happened; `outcome` "done" at once if it is done already.

    SIGTERM, SIGINT and SIGUSR2 end it as "interrupted", its cancel file as "cancelled". The parameters are
    those of `StepProcess`, which is for a caller with signal handlers of its own.

    Raises:
        Held: another living process runs the step.
        PancextError: a need is not done, or the step was begun with other options.
    """
    process = StepProcess(folder, name, place=place, job=job, restarts=restarts, gpu=gpu)
    with _ended_by_signals(process):
        if process.start():
            process.wait()
    if process.unwritten:
        print(f"Cannot write {process.unwritten}. Check the folder and its disk's space.", file=sys.stderr)
    return process.attempt


@contextmanager
def _ended_by_signals(process: StepProcess) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ENDING_SIGNALS if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda *_: process.ask_to_stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step; return its outcome by `EXIT_CODES`, or `HELD` if another process has it."""
    parser = argparse.ArgumentParser(prog="python -m nnunet_pancext.campaign.attempt.execute")
    parser.add_argument("folder", type=Path)
    parser.add_argument("step")
    parser.add_argument("--gpu", default="", help="CUDA_VISIBLE_DEVICES of the step's command")
    parsed = parser.parse_args(arguments)
    try:
        attempt = run_step(parsed.folder, parsed.step, place="local", gpu=parsed.gpu)
    except Held as error:
        print(error, file=sys.stderr)
        return HELD
    except PancextError as error:
        print(error, file=sys.stderr)
        return EXIT_CODES["failed"]
    if attempt.message:
        print(attempt.message, file=sys.stderr)
    return EXIT_CODES[attempt.outcome or "interrupted"]


if __name__ == "__main__":
    sys.exit(main())

"""Messages about cases that fail for other reasons than their input."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nnunet_pancext.errors import PancextError

NO_MEMORY = (
    "ran out of memory. Close other programs, use fewer folds (-f), --speed balanced, or another -device."
)
OUT_OF_MEMORY = ("DefaultCPUAllocator", "MPS backend out of memory")


def unexpected(error: Exception, *, is_private: bool) -> str:
    """Return the message about a fault of this program or of nnU-Net's, to be reported.

    What the errors of DICOM libraries say may hold values of a patient's header: with `is_private` only their
    kinds and places are named.
    """
    if not is_private:
        trace = "".join(traceback.format_exception(error))
        return f"failed unexpectedly ({type(error).__name__}: {error}). Please report this:\n{trace}"
    trace = "".join(traceback.format_tb(error.__traceback__))
    return f"failed unexpectedly ({type(error).__name__}). Please report this:\n{trace}"


@contextmanager
def memory_as_pancext() -> Iterator[None]:
    """Turn an out-of-memory error into a PancextError."""
    try:
        yield
    except MemoryError as error:
        raise PancextError(NO_MEMORY) from error
    except RuntimeError as error:  # PyTorch has an error of its own for CUDA alone
        is_memory = isinstance(error, torch.cuda.OutOfMemoryError)
        if not is_memory and not any(sign in str(error) for sign in OUT_OF_MEMORY):
            raise
        raise PancextError(NO_MEMORY) from error

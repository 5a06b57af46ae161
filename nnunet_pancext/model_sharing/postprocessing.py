"""`postprocessing.pkl`: which functions nnU-Net applies to a segmentation, and with which arguments."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_pancext.checkpoints.pickled import Constructor, Reference, UnsafeFile, read_pickle
from nnunet_pancext.io.files import atomic_path

MODULE = "nnunetv2.postprocessing.remove_connected_components"
FUNCTIONS = ("remove_all_but_largest_component_from_segmentation",)
MOST_BYTES = 1 << 20
INTEGERS = ("i4", "i8")  # nnU-Net takes label values from numpy.unique


def read_postprocessing(file: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the names of the functions and the arguments of each, without importing anything.

    Raises:
        UnsafeFile: the file holds other functions than nnU-Net's, or other arguments than numbers.
        OSError: the file cannot be read.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise UnsafeFile(f"has more than {MOST_BYTES:,} bytes")
        names = {**NUMPY, **{f"{MODULE} {name}": Reference(name) for name in FUNCTIONS}}
        content = read_pickle(file.read_bytes(), names=names, set_state=_with_byte_order, leaves=(Reference,))
        if not isinstance(content, (tuple, list)) or len(content) != 2:
            raise UnsafeFile("does not hold functions and their arguments")
        functions, arguments = content
        if not isinstance(functions, list) or not all(isinstance(entry, Reference) for entry in functions):
            raise UnsafeFile("does not hold a list of nnU-Net's functions")
        if not isinstance(arguments, list) or len(arguments) != len(functions):
            raise UnsafeFile("does not hold arguments for each function")
        if not all(map(_is_plain_call, arguments)):
            raise UnsafeFile("holds arguments other than label values and a background value")
    except UnsafeFile as error:
        raise UnsafeFile(
            f"{file} {error}. Only nnU-Net's own postprocessing is accepted: remove the file, or determine "
            "it anew with nnUNetv2_determine_postprocessing."
        ) from error
    return [entry.name for entry in functions], arguments


def write_postprocessing(functions: list[str], arguments: list[dict[str, Any]], target: Path) -> None:
    """Write the file anew, atomically, with references to nnU-Net's own functions."""
    from nnunetv2.postprocessing import remove_connected_components

    content = ([getattr(remove_connected_components, name) for name in functions], arguments)
    with atomic_path(target) as partial:
        partial.write_bytes(pickle.dumps(content))


def _is_plain_call(arguments: Any) -> bool:
    if not isinstance(arguments, dict) or not set(arguments) <= {"labels_or_regions", "background_label"}:
        return False
    return all(_are_labels(value) for value in arguments.values())


def _are_labels(value: Any, depth: int = 0) -> bool:
    if isinstance(value, (list, tuple)):
        return depth < 2 and all(_are_labels(entry, depth + 1) for entry in value)
    return type(value) is int


def _dtype(name: Any, align: Any = False, copy: Any = True) -> np.dtype:
    if type(name) is not str or name not in INTEGERS:
        raise UnsafeFile("holds a NumPy value that is not an integer")
    return np.dtype(f"<{name}")


def _integer(dtype: Any, content: Any) -> int:
    if not isinstance(dtype, np.dtype) or type(content) is not bytes or len(content) != dtype.itemsize:
        raise UnsafeFile("is damaged: a NumPy number has the wrong length")
    return int(np.frombuffer(content, dtype)[0])


def _with_byte_order(target: Any, state: Any) -> np.dtype:
    if isinstance(target, np.dtype) and type(state) is tuple and state[1:2] == ("<",):
        return target
    raise UnsafeFile(f"sets the state of a {type(target).__name__}, which label values do not need")


NUMPY = {
    "numpy dtype": Constructor(_dtype),
    "numpy.core.multiarray scalar": Constructor(_integer),
    "numpy._core.multiarray scalar": Constructor(_integer),
}

"""Reads what `torch.save` wrote, tensors included, without `torch.load`.

`torch.load` runs the pickle in the file, and its `weights_only` mode was itself broken before PyTorch 2.6
(CVE-2025-32434) and 2.10 (CVE-2026-24747), which nnU-Net supports.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from isal import isal_zlib

from nnunet_pancext.checkpoints.pickled import Constructor, UnsafeFile, read_pickle
from nnunet_pancext.checkpoints.torch_archive import LEGACY, find_members
from nnunet_pancext.io.bounded_file import BoundedFile

MOST_PICKLE_BYTES = 1 << 26
MOST_AXES = 8
MOST_ELEMENTS = 1 << 40
MOST_DEVICES = 256
MOST_KEY_LENGTH = 20  # of a storage; PyTorch numbers them
MOST_ENCODED = 64  # characters that stand for the bytes of a number
MOST_MODULES = 1_000_000  # whose versions are declared, in all networks together
DTYPES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
SCALARS = frozenset(["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"])
COPY_AGAIN = "Copy or download it again."


@dataclass(frozen=True)
class StorageType:
    """The number type of a storage."""

    dtype: torch.dtype


def read_torch_file(path: Path) -> Any:
    """Return the content of a file that `torch.save` wrote, with its tensors on the CPU.

    Containers, numbers, texts, tensors, NumPy scalars and devices are read; whatever else the file asks for
    is refused.

    Raises:
        UnsafeFile: the file is damaged, has an old format, or holds more than plain data.
        OSError: the file cannot be read.
    """
    with BoundedFile(path) as file:
        try:
            return _TorchFile(file).read()
        except UnsafeFile as error:
            remedy = COPY_AGAIN if "damaged" in str(error) else "Get the model from a source that you trust."
            text = str(error).rstrip(".")
            raise UnsafeFile(f"{path} {text}." + ("" if LEGACY in text + "." else f" {remedy}")) from error


class _TorchFile:
    """The members of the zip archive, each between two others and stored uncompressed."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.members = find_members(file)
        self.storages: dict[str, tuple[Any, torch.Tensor]] = {}
        self.modules = 0

    def read(self) -> Any:
        if "byteorder" in self.members and self._bytes("byteorder", most=16) != b"little":
            raise UnsafeFile("was written on a big-endian machine, which this reader does not support")
        pickle = self._bytes("data.pkl", most=MOST_PICKLE_BYTES)
        return read_pickle(
            pickle,
            names=NAMES,
            load_persistent=self._load_storage,
            set_state=self._with_state,
            leaves=(torch.Tensor, torch.device, np.generic),
        )

    def _bytes(self, name: str, *, most: int) -> bytes:
        if name not in self.members:
            raise UnsafeFile(f"is damaged: it has no {name}")
        _, size, _ = self.members[name]
        if size > most:
            raise UnsafeFile(f"has {size:,} bytes of {name}, more than the {most:,} that this reader accepts")
        content = bytearray(size)
        self._read_into(name, memoryview(content))
        return bytes(content)

    def _read_into(self, name: str, target: memoryview) -> None:
        start, size, checksum = self.members[name]
        self.file.seek(start)
        if len(target) != size or self.file.readinto(target) != size:  # type: ignore[attr-defined]
            raise UnsafeFile(f"is damaged: {name} is cut short")
        if isal_zlib.crc32(target) != checksum:
            raise UnsafeFile(f"is damaged: the checksum of {name} does not match")

    def _load_storage(self, identity: Any) -> torch.Tensor:
        """Return the storage of a persistent id: ("storage", type, key, device, number of elements)."""
        if type(identity) is not tuple or len(identity) != 5:
            raise UnsafeFile("is damaged: a storage is not declared as PyTorch does")
        kind, storage_type, key, _, count = identity
        is_declared = kind == "storage" and isinstance(storage_type, StorageType)
        if not is_declared or type(key) is not str or type(count) is not int:
            raise UnsafeFile("is damaged: a storage is not declared as PyTorch does")
        name = f"data/{key[:MOST_KEY_LENGTH]}"
        if len(key) > MOST_KEY_LENGTH or count < 0 or name not in self.members:
            raise UnsafeFile(f"is damaged: it has no storage {key[:80]!r} of {count} elements")
        dtype = storage_type.dtype
        if key not in self.storages:
            size = self.members[name][1]
            if size != count * dtype.itemsize:
                raise UnsafeFile(f"is damaged: {name} has {size} bytes, not {count} values of {dtype}")
            self.storages[key] = ((dtype, count), self._read_storage(name, dtype, size))
        declared, storage = self.storages[key]
        if declared != (dtype, count):
            raise UnsafeFile(f"declares {name} twice, as {declared[0]} and as {dtype}")
        return storage

    def _read_storage(self, name: str, dtype: torch.dtype, size: int) -> torch.Tensor:
        content = torch.empty(size, dtype=torch.uint8)
        if size:
            self._read_into(name, memoryview(content.numpy().data))
        if dtype == torch.bool and size and int(content.max()) > 1:
            raise UnsafeFile(f"is damaged: {name} holds truth values other than 0 and 1")
        return content.view(dtype)

    def _with_state(self, target: Any, state: Any) -> Any:
        """Set what PyTorch keeps beside the tensors of a network, and the byte order of a NumPy number."""
        is_byte_order = isinstance(target, np.dtype) and type(state) is tuple
        if is_byte_order and state[1:2] in (("<",), ("|",), ("=",)):
            return target
        if type(target) is OrderedDict and type(state) is dict and list(state) == ["_metadata"]:
            metadata = state["_metadata"]
            self.modules += len(metadata) if type(metadata) in (dict, OrderedDict) else MOST_MODULES + 1
            if self.modules <= MOST_MODULES and all(map(_is_version, metadata.items())):
                target._metadata = metadata  # type: ignore[attr-defined]
                return target
        raise UnsafeFile(f"sets the state of a {type(target).__name__}, which plain data do not need")


def _ordered_dict(*arguments: Any) -> "OrderedDict[Any, Any]":
    if arguments:
        raise UnsafeFile("is damaged: an OrderedDict is not built as PyTorch does")
    return OrderedDict()


def _tensor(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, *metadata: Any
) -> torch.Tensor:
    """Return a view of the storage; refused are views outside of it, and values that share memory."""
    if not isinstance(storage, torch.Tensor) or type(size) is not tuple or type(stride) is not tuple:
        raise UnsafeFile("is damaged: a tensor is not built as PyTorch does")
    has_axes = len(size) == len(stride) <= MOST_AXES
    numbers = (offset, *size, *stride) if has_axes else ()
    if not has_axes or not all(type(number) is int and 0 <= number < MOST_ELEMENTS for number in numbers):
        raise UnsafeFile("is damaged: a tensor has an impossible size, strides or offset")
    count = math.prod(size)
    extent = 1
    for step, length in sorted(zip(stride, size, strict=True)) if count else ():
        if length > 1 and step < extent:
            raise UnsafeFile(f"has a tensor of size {size} whose values share memory (strides {stride})")
        extent += (length - 1) * step
    if count and offset + extent > len(storage):
        raise UnsafeFile(f"has a tensor of size {size} beyond its {len(storage)} stored values")
    if hooks or any(metadata):
        raise UnsafeFile("has hooks or metadata on a tensor, which may be code")
    return torch.as_strided(storage, size, stride, offset if count else 0)


def _parameter(data: Any, requires_grad: Any, hooks: Any) -> torch.Tensor:
    if not isinstance(data, torch.Tensor) or hooks:
        raise UnsafeFile("is damaged: a parameter is not built as PyTorch does")
    return data


def _dtype(name: Any, align: Any = False, copy: Any = True) -> np.dtype:
    if type(name) is not str or name not in SCALARS:
        raise UnsafeFile("has a NumPy value that is not a number")
    return np.dtype(name)


def _scalar(dtype: Any, content: Any = b"") -> Any:
    if not isinstance(dtype, np.dtype) or not isinstance(content, bytes) or len(content) != dtype.itemsize:
        raise UnsafeFile("is damaged: a NumPy number has the wrong length")
    return np.frombuffer(content, dtype)[0]


def _encode(text: Any, encoding: Any) -> bytes:
    if type(text) is not str or len(text) > MOST_ENCODED or encoding != "latin1":
        raise UnsafeFile("is damaged: bytes are not encoded as Python does")
    return text.encode("latin1")


def _device(kind: Any, index: Any = None) -> torch.device:
    if kind not in ("cpu", "cuda", "mps", "xpu") or index not in (None, *range(MOST_DEVICES)):
        raise UnsafeFile("is damaged: a device is not one of PyTorch's")
    return torch.device(kind) if index is None else torch.device(kind, index)


def _is_version(entry: tuple[Any, Any]) -> bool:
    name, metadata = entry
    return type(name) is str and type(metadata) is dict and set(metadata) <= {"version"}


NAMES: Mapping[str, Any] = {
    "collections OrderedDict": Constructor(_ordered_dict),
    "torch._utils _rebuild_tensor_v2": Constructor(_tensor),
    "torch._utils _rebuild_parameter": Constructor(_parameter),
    "torch device": Constructor(_device),
    "numpy dtype": Constructor(_dtype),
    "numpy.core.multiarray scalar": Constructor(_scalar),
    "numpy._core.multiarray scalar": Constructor(_scalar),
    "_codecs encode": Constructor(_encode),
    **{f"torch {name}Storage": StorageType(dtype) for name, dtype in DTYPES.items()},
}

"""Files that would run code, exhaust memory or crash a careless reader, built opcode by opcode."""

import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch

FLOATS = b"ctorch\nFloatStorage\n"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
ORDERED_DICT = b"ccollections\nOrderedDict\n"
NO_HOOKS = ORDERED_DICT + b")R"


def text(value: str) -> bytes:
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def long(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def many(*parts: bytes) -> bytes:
    """A tuple."""
    return b"(" + b"".join(parts) + b"t"


def program(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + b"."


def mapping(**entries: bytes) -> bytes:
    return b"}(" + b"".join(text(name) + value for name, value in entries.items()) + b"u"


def storage(key: str = "0", *, kind: bytes = FLOATS, count: bytes = number(2)) -> bytes:
    return many(text("storage"), kind, text(key), text("cpu"), count) + b"Q"


def tensor(
    *,
    source: bytes | None = None,
    offset: bytes = number(0),
    size: bytes = number(2) + b"\x85",
    stride: bytes = number(1) + b"\x85",
    hooks: bytes = NO_HOOKS,
) -> bytes:
    return TENSOR + many(source or storage(), offset, size, stride, b"\x89", hooks) + b"R"


def write(path: Path, pickled: bytes, *, members: dict[str, bytes] | None = None, **options: int) -> Path:
    """Write a file with the layout of `torch.save`; storage 0 holds two float32."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        usual = {"archive/data.pkl": pickled, "archive/byteorder": b"little", "archive/data/0": bytes(8)}
        for name, content in {**usual, **(members or {})}.items():
            archive.writestr(name, content)
    return path


def touch(canary: Path) -> bytes:
    """The arguments of `os.system`."""
    return many(text(f"touch {canary}"))


# What runs code where a pickle is loaded as usual.
RUNNING: dict[str, Callable[[Path], bytes]] = {
    "reduce": lambda canary: program(b"cos\nsystem\n", touch(canary), b"R"),
    "reduce in a dictionary": lambda canary: program(
        mapping(network_weights=b"cos\nsystem\n" + touch(canary) + b"R")
    ),
    "reduce as an argument": lambda canary: program(
        ORDERED_DICT, many(b"](cos\nsystem\n" + touch(canary) + b"Re"), b"R"
    ),
    "eval": lambda canary: program(
        b"cbuiltins\neval\n", many(text(f"open({str(canary)!r}, 'w').close()")), b"R"
    ),
    "getattr": lambda canary: program(
        b"cbuiltins\ngetattr\n",
        many(b"cos\n__builtins__\n", text("get")),
        b"R0cos\nsystem\n",
        touch(canary),
        b"R",
    ),
    "instance": lambda canary: program(b"(" + text(f"touch {canary}") + b"ios\nsystem\n"),
    "object": lambda canary: program(b"(cos\nsystem\n" + text(f"touch {canary}") + b"o"),
    "stack global": lambda canary: program(text("os"), text("system"), b"\x93", touch(canary), b"R"),
    "stack global from the memo": lambda canary: program(
        b"(", text("os"), b"q\x00", text("system"), b"q\x01h\x00h\x01\x93", touch(canary), b"Rt"
    ),
    "python call": lambda canary: program(
        b"csubprocess\ncheck_call\n", many(b"](" + text("touch") + text(str(canary)) + b"e"), b"R"
    ),
    "after the value": lambda canary: program(mapping(a=b"N"), b"cos\nsystem\n", touch(canary), b"R0"),
    "protocol 4": lambda canary: (
        b"\x80\x04\x95" + struct.pack("<Q", 60) + b"\x8c\x02os\x8c\x06system\x93" + touch(canary) + b"R."
    ),
}


def _deep(opening: bytes, closing: bytes, depth: int = 100_000) -> bytes:
    return opening * depth + closing * depth


def _laughs(levels: int = 25) -> bytes:
    """A list of two references to a list of two references to …"""
    pairs = (b"](h%ch%ceq%c" % (level, level, level + 1) for level in range(levels))
    return b"](]q\x00" + b"".join(pairs) + b"e"


def _doubling(levels: int = 60) -> bytes:
    """A tuple of two references to a tuple of two references to …, which is endless to print."""
    return b"]q\x00" + b"".join(b"h%c\x86q%c" % (level, level + 1) for level in range(levels))


def _metadata(networks: int, modules: int) -> bytes:
    """Networks that share one declaration of many modules."""
    versions = b"}(" + b"".join(text(str(module)) + b"}" for module in range(modules)) + b"u"
    first = ORDERED_DICT + b"q\x01)R" + mapping(_metadata=versions) + b"q\x02b"
    return b"(" + first + b"h\x01)Rh\x02b" * (networks - 1) + b"l"


def _shared_depth(links: int = 50) -> bytes:
    """Lists that are deep because each one, 25 deep, ends in the one before."""
    return b"](]q\x00" + (b"]" * 25 + b"h\x00" + b"a" * 25 + b"q\x00") * links + b"e"


# Pickle, expected refusal.
UNSAFE: dict[str, tuple[bytes, str]] = {
    "build": (program(ORDERED_DICT, b")R", mapping(__class__=b"cos\nsystem\n"), b"b"), "os.system"),
    "state of a dictionary": (program(ORDERED_DICT, b")R", mapping(update=b"N"), b"b"), "sets the state"),
    "metadata that is code": (
        program(ORDERED_DICT, b")R", mapping(_metadata=mapping(a=mapping(version=b"N", assign=b"N"))), b"b"),
        "sets the state",
    ),
    "new object": (program(ORDERED_DICT, b")\x81"), "NEWOBJ"),
    "new object with keywords": (program(ORDERED_DICT, b")}\x92"), "NEWOBJ_EX"),
    "extension": (program(b"\x82\x01"), "EXT1"),
    "textual persistent id": (program(b"Pmodule\n"), "PERSID"),
    "persistent id that is no storage": (program(many(text("module"), text("os")), b"Q"), "not declared"),
    "storage of a function": (program(storage(kind=ORDERED_DICT)), "not declared"),
    "storage elsewhere": (program(storage("../../data.pkl")), "has no storage"),
    "negative storage": (program(storage(count=number(-1))), "-1"),
    "short storage": (program(storage(count=number(3))), "has 8 bytes, not 3 values"),
    "storage of two types": (
        program(b"(" + storage() + storage(kind=b"ctorch\nLongStorage\n", count=number(1)) + b"l"),
        "declares data/0 twice",
    ),
    "tensor beyond its storage": (program(tensor(offset=number(1))), "beyond its 2 stored values"),
    "tensor far beyond": (program(tensor(offset=long(2**62))), "impossible size"),
    "huge tensor": (program(tensor(size=long(2**39) + b"\x85", stride=number(0) + b"\x85")), "share memory"),
    "values that share memory": (program(tensor(stride=number(0) + b"\x85")), "share memory"),
    "negative stride": (program(tensor(stride=number(-1) + b"\x85")), "impossible size"),
    "negative size": (program(tensor(size=number(-2) + b"\x85")), "impossible size"),
    "sizes that are not numbers": (program(tensor(size=text("a") + b"\x85")), "impossible size"),
    "strides of other length": (program(tensor(stride=b")")), "impossible size"),
    "hooks": (program(tensor(hooks=mapping(a=b"N"))), "hooks"),
    "constructor as a value": (program(mapping(a=TENSOR)), "not plain data"),
    "number of objects": (
        program(b"cnumpy\ndtype\n", many(text("O8"), b"\x89\x88"), b"R"),
        "not a number",
    ),
    "deep list": (program(_deep(b"](", b"e")), "deep"),
    "deep tuple as a key": (program(b"}", _deep(b"(", b"t"), b"Ns"), "keys other than"),
    "list in itself": (program(b"]q\x00h\x00a"), "deep"),
    "a billion references": (program(_laughs()), "more than"),
    "long integer": (program(b"\x8a\xff" + b"\x7f" * 255), "integer of"),
    "huge declared integer": (program(b"\x8b" + struct.pack("<i", 2**31 - 1)), "damaged|LONG4"),
    "huge declared text": (program(b"X" + struct.pack("<I", 2**32 - 1) + b"a"), "damaged"),
    "missing memo": (program(b"h\x07"), "damaged"),
    "empty stack": (program(b"R"), "damaged"),
    "two values": (program(b"NN"), "does not end with one value"),
    "no end": (b"\x80\x02N", "damaged"),
    "list as a key": (program(b"}]Ns"), "keys other than"),
    "byte array": (program(b"\x96" + struct.pack("<Q", 3) + b"abc"), "BYTEARRAY8"),
    "no pickle": (b"\xff\xfe", "damaged"),
    "endless key of a storage": (
        program(many(text("storage"), FLOATS, _doubling(), text("cpu"), number(2)), b"Q"),
        "not declared",
    ),
    "endless size of a storage": (program(storage(count=_doubling())), "not declared"),
    "long key of a storage": (program(storage("0" * 10**6)), "has no storage"),
    "endless size of a tensor": (program(tensor(size=_doubling())), "impossible size"),
    "endless offset": (program(tensor(offset=_doubling())), "impossible size"),
    "long bytes": (
        program(b"c_codecs\nencode\n", many(text("a" * 65), text("latin1")), b"R"),
        "bytes are not encoded",
    ),
    "deep name of a number type": (
        program(b"cnumpy\ndtype\n", many(_deep(b"(", b"t", 200_000), b"\x89\x88"), b"R"),
        "not a number",
    ),
    "metadata over and over": (program(_metadata(networks=101, modules=10_000)), "sets the state"),
    "numbers of equal hashes": (
        program(b"}(", *(long(factor * (2**61 - 1)) + b"N" for factor in range(1, 9)), b"u"),
        "keys other than",
    ),
    "depth by references": (program(_shared_depth()), "deep"),
    "a long text over and over": (
        program(b"](" + text("a" * 10**6) + b"q\x00" + b"h\x00" * 400 + b"e"),
        "more than",
    ),
}


def _legacy(path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)


def _tar(path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo("pickle")
        archive.addfile(member, io.BytesIO())


def _overlapping(path: Path) -> None:
    """A second entry of the directory points into the bytes of the first."""
    write(path, program(b"N"), members={"archive/data/1": bytes(8)})
    content = bytearray(path.read_bytes())
    directory = content.rindex(b"PK\x01\x02")
    first = content.index(b"archive/data/0") - 30
    content[directory + 42 : directory + 46] = struct.pack("<I", first)
    path.write_bytes(content)


def _changed(path: Path, at: bytes, offset: int, value: bytes) -> None:
    write(path, program(tensor()))
    content = bytearray(path.read_bytes())
    place = content.rindex(at) + offset
    content[place : place + len(value)] = value
    path.write_bytes(content)


def _long_directory(path: Path) -> None:
    """Half a million entries for one member: 23 MB, from which zipfile would make 400 MB."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 3, 20, *(0,) * 15)
    count = 500_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, count * len(entry), 30, 0)
    path.write_bytes(b"PK\x03\x04" + bytes(26) + entry * count + end)


# Writer of the file, expected refusal.
CONTAINERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "legacy": (_legacy, r"PyTorch before 1\.6.*torch\.save"),
    "legacy tar": (_tar, r"PyTorch before 1\.6"),
    "pickle alone": (lambda path: path.write_bytes(pickle.dumps({})), r"plain pickle"),
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "text": (lambda path: path.write_bytes(b"<html>" * 99), "not a zip archive"),
    "compressed": (
        lambda path: write(path, program(b"N"), compression=zipfile.ZIP_DEFLATED),
        "compressed or encrypted",
    ),
    "bomb": (
        lambda path: write(
            path,
            program(storage(count=number(10**8))),
            members={"archive/data/0": bytes(4 * 10**8)},
            compression=zipfile.ZIP_DEFLATED,
        ),
        "compressed or encrypted",
    ),
    "encrypted": (lambda path: _changed(path, b"PK\x01\x02", 8, b"\x01\x00"), "compressed or encrypted"),
    "doubled": (
        lambda path: write(path, program(b"N"), members={"archive/./data.pkl": b"", "other/data.pkl": b""}),
        "beside its folder",
    ),
    "TorchScript": (
        lambda path: write(path, program(b"N"), members={"archive/code/a.py": b"import os"}),
        "TorchScript",
    ),
    "overlapping": (_overlapping, "damaged"),
    "other name in the directory": (lambda path: _changed(path, b"archive/data/0", 13, b"9"), "another name"),
    "other checksum": (lambda path: _changed(path, b"PK\x01\x02", 16, b"\0\0\0\0"), "damaged|checksum"),
    "big endian": (
        lambda path: write(path, program(b"N"), members={"archive/byteorder": b"big"}),
        "big-endian",
    ),
    "no pickle": (
        lambda path: zipfile.ZipFile(path, "w").writestr("archive/version", "3"),
        "damaged",
    ),
    "no member": (lambda path: path.write_bytes(b"PK\x03\x04PK\x05\x06" + bytes(18)), "it has no member"),
    "member beyond the end": (lambda path: _changed(path, b"PK\x01\x02", 42, b"\xf0\xff\xff\x7f"), "damaged"),
    "NUL in a name": (lambda path: _changed(path, b"archive/data/0", 12, b"\0"), "damaged"),
    "directory of a million members": (_long_directory, "its directory has"),
    "huge pickle": (lambda path: write(path, program(text("a" * (1 << 26)))), "more than"),
}

"""Reads pickled data without running it.

A pickle is a program for a stack machine, and may call any function of any module. This interpreter knows
only the opcodes that build plain containers, and only the names that the caller passes. Nothing is imported.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import printable

MOST_OPCODES = 5_000_000
MOST_DEPTH = 32  # of containers in one another; nnU-Net's checkpoints have 8
MOST_VALUES = 5_000_000  # counted as often as they are referenced
MOST_LONG_BYTES = 16
MOST_KEY_BITS = 60  # Python's hashes of longer numbers repeat, and equal hashes make a dictionary slow
TEXT_PER_VALUE = 64  # characters or bytes that count as much as one value

CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
}
WITH_VALUE = frozenset(
    [
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
        *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    ]
)
PUT = frozenset({"BINPUT", "LONG_BINPUT"})
GET = frozenset({"BINGET", "LONG_BINGET"})
SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
IGNORED = frozenset({"PROTO", "FRAME"})
# What damaged data make of the interpreter, and of `pickletools`.
DAMAGE = (ValueError, IndexError, KeyError, TypeError, OverflowError, EOFError, AttributeError, RuntimeError)
# A tuple as a key is hashed by recursion in C, which a deep one would overflow.
KEYS = (str, int, float, bool, type(None))
PLAIN = (*KEYS, bytes)


class UnsafeFile(PancextError):
    """The file holds something other than the plain data it should, or is damaged."""


@dataclass(frozen=True)
class Constructor:
    """What a pickle may call under some name: a function of this package."""

    build: Callable[..., Any]


@dataclass(frozen=True)
class Reference:
    """A name that a pickle may mention, but not call."""

    name: str


def read_pickle(
    data: bytes,
    *,
    names: Mapping[str, Any],
    load_persistent: Callable[[Any], Any] | None = None,
    set_state: Callable[[Any, Any], Any] | None = None,
    leaves: tuple[type, ...] = (),
) -> Any:
    """Return the value that `data` describes.

    Args:
        data: the pickle.
        names: what "module name" stands for: a `Constructor`, or any value.
        load_persistent: returns the object of a persistent id.
        set_state: returns an object, the first argument, with a state, the second.
        leaves: what the value may hold beside containers, numbers, texts and bytes.

    Raises:
        UnsafeFile: the pickle needs another opcode or name, exceeds a limit or is damaged. The text is the
            end of a sentence like "FILE …".
    """
    machine = _Machine(names, load_persistent, set_state)
    try:
        value = machine.run(data)
    except DAMAGE as error:
        raise UnsafeFile(f"is damaged: {error or type(error).__name__}") from error
    require_plain(value, leaves=leaves)
    return value


class _Machine:
    def __init__(
        self,
        names: Mapping[str, Any],
        load_persistent: Callable[[Any], Any] | None,
        set_state: Callable[[Any, Any], Any] | None,
    ) -> None:
        self.names, self.load_persistent, self.set_state = names, load_persistent, set_state
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # the stacks below each mark
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if count > MOST_OPCODES:
                raise UnsafeFile(f"has more than {MOST_OPCODES:,} pickle opcodes")
            if opcode.name == "STOP":
                break
            self._step(opcode.name, argument)
        if len(self.stack) != 1 or self.outer:
            raise UnsafeFile("is damaged: the pickle does not end with one value")
        return self.stack.pop()

    def _step(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        if opcode in CONSTANTS:
            stack.append(CONSTANTS[opcode]())
        elif opcode in WITH_VALUE:
            if isinstance(argument, int) and argument.bit_length() > 8 * MOST_LONG_BYTES:
                raise UnsafeFile(f"has an integer of {argument.bit_length()} bits")
            stack.append(argument)
        elif opcode in PUT:
            self.memo[argument] = stack[-1]
        elif opcode == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif opcode in GET:
            stack.append(self.memo[argument])
        elif opcode == "MARK":
            self.outer.append(stack)
            self.stack = []
        elif opcode in SHORT_TUPLES:
            size = SHORT_TUPLES[opcode]
            if len(stack) < size:
                raise IndexError("a tuple lacks elements")
            stack[-size:] = [tuple(stack[-size:])]
        elif opcode == "TUPLE":
            items = self._since_mark()
            self.stack.append(tuple(items))
        elif opcode in ("APPEND", "APPENDS"):
            items = [stack.pop()] if opcode == "APPEND" else self._since_mark()
            _exactly(list, self.stack[-1]).extend(items)
        elif opcode in ("SETITEM", "SETITEMS"):
            items = [stack.pop(-2), stack.pop()] if opcode == "SETITEM" else self._since_mark()
            mapping = self.stack[-1]
            if not isinstance(mapping, dict) or len(items) % 2:
                raise TypeError("items are set in what is not a dictionary")
            if not all(map(_is_key, items[::2])):
                raise UnsafeFile("has a dictionary with keys other than texts and short numbers")
            mapping.update(zip(items[::2], items[1::2], strict=True))
        elif opcode in IGNORED:
            pass
        else:
            self._call(opcode, argument)

    def _call(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        if opcode == "GLOBAL":
            stack.append(self._named(*argument.split(" ", 1)))
        elif opcode == "STACK_GLOBAL":
            name, module = _exactly(str, stack.pop()), _exactly(str, stack.pop())
            stack.append(self._named(module, name))
        elif opcode == "REDUCE":
            arguments, constructor = stack.pop(), stack.pop()
            if not isinstance(constructor, Constructor):
                raise UnsafeFile(f"calls {_short(constructor)}, which is not a constructor of plain data")
            stack.append(constructor.build(*_exactly(tuple, arguments)))
        elif opcode == "BUILD" and self.set_state:
            state, target = stack.pop(), stack.pop()
            stack.append(self.set_state(target, state))
        elif opcode == "BINPERSID" and self.load_persistent:
            stack.append(self.load_persistent(stack.pop()))
        else:
            raise UnsafeFile(f"uses the pickle opcode {opcode}, which plain data do not need")

    def _named(self, module: str, name: str) -> Any:
        if f"{module} {name}" not in self.names:
            raise UnsafeFile(f"refers to {_short(module)}.{_short(name)}, which is not on the allowlist")
        return self.names[f"{module} {name}"]

    def _since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.outer.pop()
        return items


def _exactly(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{_short(value)} where a {kind.__name__} is needed")
    return value


def _is_key(value: Any) -> bool:
    return type(value) in KEYS and (type(value) is not int or value.bit_length() <= MOST_KEY_BITS)


def _short(value: Any) -> str:
    return printable(value) if isinstance(value, str) else type(value).__name__


def require_plain(value: Any, *, leaves: tuple[type, ...] = ()) -> None:
    """Refuse a value that contains itself, whose copy would be enormous, or that holds other objects.

    Args:
        value: of containers, numbers, texts, bytes and `leaves`.
        leaves: further types.

    Raises:
        UnsafeFile: with the end of a sentence like "FILE …".
    """
    measured: dict[int, tuple[int, int]] = {}  # of shared containers, which are visited once

    def measure(value: Any, depth: int) -> tuple[int, int]:
        """Return the number of values, and how deep containers are nested."""
        if not isinstance(value, (list, tuple, dict)):
            if not isinstance(value, (*PLAIN, *leaves)):
                raise UnsafeFile(f"holds a {type(value).__name__}, which is not plain data")
            return 1 + (len(value) // TEXT_PER_VALUE if isinstance(value, (str, bytes)) else 0), 0
        total, height = measured.get(id(value), (0, 1))
        if depth + height > MOST_DEPTH:
            raise UnsafeFile(f"nests containers more than {MOST_DEPTH} deep")
        if not total:
            children = [*value, *value.values()] if isinstance(value, dict) else value
            total = 1
            for child in children:
                child_total, child_height = measure(child, depth + 1)
                total, height = total + child_total, max(height, child_height + 1)
            if total > MOST_VALUES:
                raise UnsafeFile(f"describes more than {MOST_VALUES:,} values")
            measured[id(value)] = total, height
        return total, height

    measure(value, 0)

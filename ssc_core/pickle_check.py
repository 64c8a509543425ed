"""Read through the instructions of a pickle without carrying any out, and refuse what could hang or crash who does.

A pickle of a hundred bytes can ask for a memo of 64 GiB, name a value that is 2**40 values when it is spelled out, or
use one as a key, so that it is hashed without an end. The walk follows the stack as pickle's own documentation
(``pickletools``) describes it and knows of every value how deep it is and how many values it spells out to.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

MAX_DEPTH = 100
MAX_VALUES = 40_000_000
"""Instructions, and values that one value spells out to. RefCOCO's annotations are about 5 million instructions."""
MAX_CONTAINERS = 2_000_000
"""Lists, dicts and tuples: an instruction of one byte makes one of 64. RefCOCO has half a million."""
MAX_ARGUMENTS = 10_000
"""Values of a call's arguments."""


class RefusedPickleError(Exception):
    """The pickle asks for more than it may. Its text completes "it tries to ..."."""


class BrokenPickleError(Exception):
    """The bytes are no complete pickle."""


def check_pickle(content: bytes, *, calls: bool, imports: Collection[str] | None = None, start: int = 0) -> int:
    """Check the pickle that begins at ``start``; return where it ends, which is where another may begin.

    calls: False refuses imports, calls and outside objects too: what is left builds plain values. True is for pickles
    that a restricted unpickler reads, such as PyTorch's. imports: names that those may import, as ``module.name``; None
    leaves them to that unpickler.

    Raises RefusedPickleError and BrokenPickleError. Takes seconds for the annotations of RefCOCO.
    """
    return _Walk(content, calls, imports).run(start)


@dataclass(slots=True, eq=False)
class _Value:
    """A value on the stack. depth: of containers, 0 where it is none; size: values that it spells out to; key: may be
    a key; placed: lies in a container."""

    depth: int = 0
    size: int = 1
    key: bool = False
    placed: bool = False


_KEY = _Value(key=True)
_OTHER = _Value()


class _Walk:
    def __init__(self, content: bytes, calls: bool, imports: Collection[str] | None) -> None:
        self._content, self._calls, self._imports = content, calls, imports
        self._stack: list[_Value] = []
        self._marks: list[int] = []
        """Heights of the stack."""
        self._memo: dict[int, _Value] = {}
        self._containers = 0

    def run(self, start: int) -> int:
        content, end, stack, memo = self._content, len(self._content), self._stack, self._memo
        first = start
        for _ in range(MAX_VALUES):
            if first >= end:
                raise BrokenPickleError("it ends before its last instruction")
            code = content[first]
            width, pushes, handle = _INSTRUCTIONS[code]
            first += 1
            if width >= 0:
                last = first + width
            else:
                first, last = _argument(content, first, width)
            if last > end:
                raise BrokenPickleError("it ends in the middle of an instruction")
            if pushes is not None:
                stack.append(pushes)
            elif code in _MEMOIZE and stack:  # every second instruction; else as in any other
                memo[len(memo) if not width else int.from_bytes(content[first:last], "little")] = stack[-1]
            elif handle is not None:
                handle(self, first, last)
            else:
                self._pop()
                return last
            first = last
        raise RefusedPickleError(f"carry out more than {MAX_VALUES} instructions")

    def _pop(self) -> _Value:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise BrokenPickleError("it takes a value where there is none")
        return self._stack.pop()

    def _pop_marked(self) -> list[_Value]:
        if not self._marks:
            raise BrokenPickleError("it closes a group that it did not open")
        height = self._marks.pop()
        marked = self._stack[height:]
        del self._stack[height:]
        return marked

    def _top(self) -> _Value:
        value = self._pop()
        self._stack.append(value)
        return value

    def _container(self, members: Iterable[_Value]) -> None:
        self._empty()
        self._add(self._stack[-1], members)

    def _add(self, container: _Value, members: Iterable[_Value]) -> None:
        depth, size = container.depth, container.size
        if depth == 0:
            raise BrokenPickleError("it puts values into what holds none")
        for member in members:
            size += member.size
            if member.depth:
                member.placed = True
                depth = max(depth, member.depth + 1)
        if container.placed:
            # What it lies in would be deeper and bigger than was counted, or without an end.
            raise RefusedPickleError("change a list that lies in another, or in itself")
        if depth > MAX_DEPTH:
            raise RefusedPickleError(f"nest values more than {MAX_DEPTH} deep")
        if size > MAX_VALUES:
            raise RefusedPickleError(f"spell out more than {MAX_VALUES} values")
        container.depth, container.size = depth, size

    def _add_items(self, container: _Value, members: list[_Value]) -> None:
        if len(members) % 2:
            raise BrokenPickleError("it has a key without a value")
        if not all(member.key for member in members[::2]):
            raise RefusedPickleError("use as a key what is neither text nor a number of 64 bits")
        self._add(container, members)

    def _nothing(self, first: int, last: int) -> None:
        pass

    def _mark(self, first: int, last: int) -> None:
        self._marks.append(len(self._stack))

    def _drop(self, first: int, last: int) -> None:
        if self._marks and len(self._stack) == self._marks[-1]:
            self._marks.pop()
        else:
            self._pop()

    def _drop_marked(self, first: int, last: int) -> None:
        self._pop_marked()

    def _again(self, first: int, last: int) -> None:
        self._stack.append(self._top())

    def _number(self, first: int, last: int) -> None:
        # Longer ones can be made to have equal hashes; 20 digits or 8 bytes are 64 bits.
        is_text = self._content[last - 1 : last] == b"\n" and self._content[first - 1 : first] in (b"I", b"L")
        self._stack.append(_KEY if last - first <= (22 if is_text else 8) else _OTHER)

    def _empty(self, first: int = 0, last: int = 0) -> None:
        self._containers += 1
        if self._containers > MAX_CONTAINERS:
            raise RefusedPickleError(f"make more than {MAX_CONTAINERS} lists")
        self._stack.append(_Value(1))

    def _marked(self, first: int, last: int) -> None:
        self._container(self._pop_marked())

    def _tuple(self, first: int, last: int) -> None:
        count = self._content[first - 1] - 0x84  # TUPLE1, TUPLE2 and TUPLE3 follow one another
        self._container([self._pop() for _ in range(count)])

    def _dict(self, first: int, last: int) -> None:
        members = self._pop_marked()
        self._empty()
        self._add_items(self._stack[-1], members)

    def _append(self, first: int, last: int) -> None:
        member = self._pop()
        self._add(self._top(), (member,))

    def _appends(self, first: int, last: int) -> None:
        members = self._pop_marked()
        self._add(self._top(), members)

    def _set_item(self, first: int, last: int) -> None:
        value, key = self._pop(), self._pop()
        self._add_items(self._top(), [key, value])

    def _set_items(self, first: int, last: int) -> None:
        members = self._pop_marked()
        self._add_items(self._top(), members)

    def _get(self, first: int, last: int) -> None:
        value = self._memo.get(self._index(first, last))
        if value is None:
            raise BrokenPickleError("it uses a value that it did not keep")
        self._stack.append(value)

    def _put(self, first: int, last: int) -> None:
        index = self._index(first, last)
        if index > len(self._content):  # the C unpickler reserves memory up to the index
            raise BrokenPickleError(f"it keeps a value as number {index}")
        self._memo[index] = self._top()

    def _memoize(self, first: int, last: int) -> None:
        self._memo[len(self._memo)] = self._top()

    def _index(self, first: int, last: int) -> int:
        argument = self._content[first:last]
        if self._content[first - 1 : first] not in (b"g", b"p"):
            return int.from_bytes(argument, "little")
        if len(argument) > 20 or not argument[:-1].isdigit():
            raise BrokenPickleError("the number of a kept value is none")
        return int(argument)

    def _import(self, first: int, last: int) -> None:
        names = self._content[first:last].decode("utf-8", "replace").split()
        if not self._calls or (self._imports is not None and ".".join(names) not in self._imports):
            raise _import_refused(names)
        self._stack.append(_OTHER)

    def _import_from_stack(self, first: int, last: int) -> None:
        if not self._calls or self._imports is not None:  # picklers of protocol 4; PyTorch has 2
            so_far = pickletools.genops(self._content[:last] + b".")
            raise _import_refused([text for _, text, _ in so_far if isinstance(text, str)][-2:])
        self._pop()
        self._pop()
        self._stack.append(_OTHER)

    def _instance(self, first: int, last: int) -> None:
        raise _import_refused(self._content[first:last].decode("utf-8", "replace").split())

    def _registered(self, first: int, last: int) -> None:
        number = int.from_bytes(self._content[first:last], "little")
        raise RefusedPickleError(f"load the registered object number {number}")

    def _call(self, first: int, last: int) -> None:
        arguments, function = self._pop(), self._pop()
        if not self._calls:
            raise RefusedPickleError("call a function")
        if arguments.size > MAX_ARGUMENTS:
            raise RefusedPickleError(f"call a function with more than {MAX_ARGUMENTS} values")
        self._container((function, arguments))

    def _build(self, first: int, last: int) -> None:
        state = self._pop()
        if not self._calls:
            raise RefusedPickleError("set the state of an object")
        self._add(self._top(), (state,))

    def _outside(self, first: int, last: int) -> None:
        if not self._calls:
            # Not its number: a pickle of a few bytes can name an object whose text fills the memory.
            raise RefusedPickleError("load an outside object")
        if first == last and self._pop().depth > 1:  # BINPERSID
            raise RefusedPickleError("load an outside object by more than a plain name")
        self._stack.append(_OTHER)

    def _odd(self, first: int, last: int) -> None:
        raise RefusedPickleError(f"make {_ODD[self._content[first - 1]]}")

    def _no_instruction(self, first: int, last: int) -> None:
        raise BrokenPickleError(f"byte {first - 1} is no instruction")


def _argument(content: bytes, first: int, width: int) -> tuple[int, int]:
    """Where an argument without a fixed width begins and ends. width: as ``pickletools`` numbers the kinds."""
    if width == pickletools.UP_TO_NEWLINE:
        return first, _line_end(content, first)
    if width == _TWO_LINES:
        return first, _line_end(content, _line_end(content, first))
    begin = first + _LENGTH_BYTES[width]
    return begin, begin + int.from_bytes(content[first:begin], "little")


def _line_end(content: bytes, first: int) -> int:
    return content.find(b"\n", first) + 1 or len(content) + 1


def _import_refused(names: list[str]) -> RefusedPickleError:
    return RefusedPickleError(f"import '{'.'.join(names):.200}'")


_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_TWO_LINES = -100
"""Width of GLOBAL and INST, which pickletools does not tell from one line."""

_Handler = Callable[[_Walk, int, int], None]
_HANDLERS: dict[str, _Handler] = {
    **dict.fromkeys(("PROTO", "FRAME"), _Walk._nothing),
    **dict.fromkeys(("INT", "LONG", "LONG1", "LONG4"), _Walk._number),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE"), _Walk._empty),
    **dict.fromkeys(("LIST", "TUPLE"), _Walk._marked),
    **dict.fromkeys(("TUPLE1", "TUPLE2", "TUPLE3"), _Walk._tuple),
    "DICT": _Walk._dict,
    "APPEND": _Walk._append,
    "APPENDS": _Walk._appends,
    "SETITEM": _Walk._set_item,
    "SETITEMS": _Walk._set_items,
    "MARK": _Walk._mark,
    "POP": _Walk._drop,
    "POP_MARK": _Walk._drop_marked,
    "DUP": _Walk._again,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Walk._get),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Walk._put),
    "MEMOIZE": _Walk._memoize,
    "GLOBAL": _Walk._import,
    "STACK_GLOBAL": _Walk._import_from_stack,
    "INST": _Walk._instance,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _Walk._call),
    "BUILD": _Walk._build,
    **dict.fromkeys(("PERSID", "BINPERSID"), _Walk._outside),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _Walk._registered),
}
_KEYS = {"bytes_or_str", "bytes", "str", "bool", "float", "int"}
_ODD: dict[int, str] = {}
"""What the other instructions make, which nobody who reads a file here has a use for."""

_Instruction = tuple[int, _Value | None, _Handler | None]
"""Width of the argument; what is pushed, where that is all; what to do, where it is not, None to stop."""


def _instruction(code: pickletools.OpcodeInfo) -> _Instruction:
    width = 0 if code.arg is None else code.arg.n
    if code.name in ("GLOBAL", "INST"):
        width = _TWO_LINES
    if code.name == "STOP" or code.name in _HANDLERS:
        return width, None, _HANDLERS.get(code.name)
    made = code.stack_after[0].name
    if not code.stack_before and made in {*_KEYS, "None"}:
        return width, _KEY if made in _KEYS else _OTHER, None
    _ODD[ord(code.code)] = {"bytearray": "an array of bytes"}.get(made, f"an object of the kind {made}")
    return 0, None, _Walk._odd


_INSTRUCTIONS: list[_Instruction] = [(0, None, _Walk._no_instruction)] * 256
for _code in pickletools.opcodes:
    _INSTRUCTIONS[ord(_code.code)] = _instruction(_code)
_MEMOIZE = frozenset(b"q\x94")
"""BINPUT, whose index of one byte claims nothing, and MEMOIZE."""

"""Damage to files: of bytes anywhere, and of values inside JSON. The same seed gives the same file."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

_ODD_BYTES = [0, 1, 0x7F, 0x80, 0xFF, 0x2E, 0x30, 0x6F, 0x5F]
_ODD_INTEGERS = [0, 1, -1, 127, 255, 256, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1]
_DEEP, _DEPTHS = "nested lists, ", (3, 50, 400, 3000, 200_000)
_ODD_VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    2**31,
    2**63,
    -(2**63) - 1,
    10**40,
    1e308,
    float("nan"),
    float("inf"),
    0.5,
    "",
    " ",
    "\x00",
    "..",
    "/etc/passwd",
    "a|b",
    "\ud800",
    "9" * 5000,
    [],
    {},
    [[]],
    [[1, 2, 3]],
    {"size": [8, 12], "counts": []},
    {"size": [8, 12], "counts": "\x00"},
    {"size": [2**20, 2**20], "counts": [2**40]},
    {"size": "8", "counts": None},
]


def mutated(kind: str, seeds: Sequence[bytes], seed: int) -> bytes:
    """A damaged file. kind: "bytes", or "json" and "hdf5", which are damaged as values and now and then as bytes."""
    chance = random.Random(seed)
    content = chance.choice(seeds)
    if kind == "json" and chance.random() < 0.9:
        with suppress(ValueError, RecursionError):  # some seeds are no JSON that Python reads
            return _json_mutated(content, chance)
    if kind == "hdf5" and chance.random() < 0.7:
        from tests.fuzz.mutate_hdf5 import hdf5_mutated

        return hdf5_mutated(content, chance)
    return _bytes_mutated(content, seeds, chance)


def _bytes_mutated(content: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(1 if chance.random() < 0.5 else chance.randrange(2, 12)):
        if not data:
            return bytes(chance.randbytes(chance.randrange(64)))
        at = chance.randrange(len(data))
        match chance.randrange(9):
            case 0 | 1:
                data[at] ^= 1 << chance.randrange(8)
            case 2:
                data[at] = chance.choice(_ODD_BYTES)
            case 3:
                width = chance.choice((1, 2, 4, 8))
                value = chance.choice(_ODD_INTEGERS) & (2 ** (8 * width) - 1)
                data[at : at + width] = value.to_bytes(width, chance.choice(("little", "big")))
            case 4:
                del data[at : at + chance.randrange(1, 16)]
            case 5:
                data[at:at] = chance.randbytes(chance.randrange(1, 16))
            case 6:
                data[at:at] = data[at : at + chance.randrange(1, 64)] * chance.randrange(1, 4)
            case 7:
                del data[at:]
            case 8:
                other = chance.choice(seeds)
                start = chance.randrange(len(other) + 1)
                data[at : at + 32] = other[start : start + 32]
    return bytes(data)


def _json_mutated(content: bytes, chance: random.Random) -> bytes:
    value = json.loads(content)
    for _ in range(chance.randrange(1, 4)):
        value = _value_mutated(value, chance)
    text = json.dumps(value)
    for depth in _DEPTHS:  # json.dumps would not go this deep
        text = text.replace(f'"{_DEEP}{depth}"', "[" * depth + "]" * depth)
    return text.encode()


def _value_mutated(value: Any, chance: random.Random) -> Any:
    """Replace, drop, double or swap one value, chosen by walking down from the top."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.08:
        return _odd(value, chance)
    key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
    action = chance.randrange(12)
    if action == 0:
        del value[key]
    elif action == 1 and isinstance(value, list):
        value.insert(key, value[chance.randrange(len(value))])
    elif action == 2 and isinstance(value, dict):
        value[str(_odd(key, chance))] = value.pop(key)
    else:
        value[key] = _value_mutated(value[key], chance)
    return value


def _odd(value: Any, chance: random.Random) -> Any:
    match chance.randrange(6):
        case 0 if isinstance(value, int | float):
            return value + chance.choice((-1, 1, 0.5, 2**31, 2**62))
        case 1 if isinstance(value, str):
            at = chance.randrange(len(value) + 1)
            return value[:at] + chance.choice(("\x00", "é", "|", '"', "\n", "0", "\U0001f600")) + value[at:]
        case 2:
            return [value]
        case 3:
            return f"{_DEEP}{chance.choice(_DEPTHS)}"
        case _:
            return copy.deepcopy(chance.choice(_ODD_VALUES))

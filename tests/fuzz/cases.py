"""How inputs are made: messages of a catalogue, almost right, and recorded bytes with holes in them.

Everything is drawn from the `Random` that is handed in, so that a case can be had again from its number.
"""

import base64
import itertools
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, get_args

import msgspec
from msgspec import inspect

from common.limits import LINE_BYTES, TEXT_BYTES

Make = Callable[[Random], bytes]

NAMES: Final = (
    "alice",
    "bob",
    "mallory",
    "carol",
    "m-1",
    "a1ice",
    "server",
    "x" * 20,
    "x" * 21,
    "",
    "Alice",
    "\u202eb",
)
TEXTS: Final = (
    *(
        "hi",
        " ",
        "",
        "\x1b[2J\x1b[H",
        "\u202e\u2066",
        "é" * 50,
        "\0",
        "\n* bob left",
        "a" * 300,
        "\U0001f469\u200d\U0001f680",
    ),
    *("lobby", "room", "whisper", "direct", "10.13.37.1", "127.0.0.1", "/quit", "//", "1", "=1+1", "\ud800"),
)
NUMBERS: Final = (
    0,
    1,
    -1,
    2,
    9,
    64,
    65,
    255,
    65535,
    65536,
    2**31,
    2**32,
    2**53 - 1,
    2**53,
    2**63,
    2**64,
    10**30,
    0.5,
    1e308,
)
BYTES: Final = (0x00, 0x0A, 0x0D, 0x1B, 0x20, 0x22, 0x2C, 0x3A, 0x5B, 0x5C, 0x7B, 0x7D, 0x7F, 0x80, 0xC3, 0xED, 0xFF)


def odd(rng: Random, depth: int = 0) -> Any:
    """A JSON value of any kind, most often one that hurts."""
    match rng.randrange(9):
        case 0:
            return rng.choice((None, True, False))
        case 1 | 2:
            return rng.choice(NUMBERS)
        case 3 | 4:
            return rng.choice(TEXTS)
        case 5:
            return rng.choice(NAMES)
        case 6:
            return base64.b64encode(rng.randbytes(rng.choice((0, 1, 12, 16, 24, 31, 32, 33, 64)))).decode()
        case 7 if depth < 3:
            return [odd(rng, depth + 1) for _ in range(rng.randrange(4))]
        case _ if depth < 3:
            return {rng.choice(TEXTS): odd(rng, depth + 1) for _ in range(rng.randrange(4))}
        case _:
            return 7


def value(kind: inspect.Type, rng: Random) -> Any:
    """A JSON value of this type, as it should be."""
    match kind:
        case inspect.Metadata(type=described):
            return value(described, rng)
        case inspect.StrType(pattern=pattern) if pattern and "a-z" in pattern:
            return rng.choice(NAMES[:5])
        case inspect.StrType(pattern=pattern) if pattern:
            return f"127.0.0.{rng.randrange(256)}"
        case inspect.StrType():
            return rng.choice(TEXTS[:-1]) or "x"
        case inspect.IntType(ge=low, le=high):
            return rng.randint(int(low or 0), int(high or 9)) if rng.randrange(4) else rng.choice((low or 0, high or 9))
        case inspect.BytesType(min_length=low, max_length=high):
            size = low or rng.choice((0, 12, 16, 24, 40))
            return base64.b64encode(rng.randbytes(min(size, high or size))).decode()
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return [value(item, rng) for _ in range(rng.randrange(4))]
        case inspect.TupleType(item_types=items):
            return [value(item, rng) for item in items]
        case inspect.DictType(value_type=of):
            return {rng.choice(TEXTS[:-1]): value(of, rng) for _ in range(rng.randrange(3))}
        case inspect.LiteralType(values=values):
            return rng.choice(values)
        case inspect.UnionType(types=types):
            return value(rng.choice(types), rng)
        case inspect.StructType():
            return fields(kind, rng)
        case inspect.BoolType():
            return rng.random() < 0.5
        case _:
            return None


def fields(kind: inspect.StructType, rng: Random) -> dict[str, Any]:
    """The fields of a struct; those that may be left out sometimes are."""
    tag = {} if kind.tag is None else {str(kind.tag_field): kind.tag}
    return tag | {f.encode_name: value(f.type, rng) for f in kind.fields if f.required or rng.random() < 0.7}


def almost(message: dict[str, Any], rng: Random) -> dict[str, Any]:
    """One thing about it is wrong: a field is missing, has another value, or should not be there."""
    name = rng.choice([*message, rng.choice(TEXTS)])
    if rng.randrange(4) == 0:
        message.pop(name, None)
    else:
        message[name] = odd(rng)
    return message


def messages(accepts: Any) -> Make:
    """Makes a JSON object of one of these messages, in one case of three with something wrong."""
    kinds = [inspect.type_info(kind) for kind in get_args(accepts) or (accepts,)]

    def make(rng: Random) -> bytes:
        kind = rng.choice(kinds)
        assert isinstance(kind, inspect.StructType)
        message = fields(kind, rng)
        return as_json(almost(message, rng) if rng.randrange(3) == 0 else message, rng)

    return make


def as_json(something: Any, rng: Random) -> bytes:
    """JSON as one program writes it or another."""
    return json.dumps(something, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")


def holed(data: bytes, rng: Random) -> bytes:
    """The data with a few bytes changed, left out, doubled, or another part in between."""
    copy = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at, size = rng.randrange(len(copy) + 1), rng.choice((1, 1, 1, 2, 4, 16, 200))
        match rng.randrange(7):
            case 0:
                copy[at : at + size] = b""
            case 1:
                copy[at:at] = copy[at : at + size] * rng.choice((1, 1, 9))
            case 2:
                copy[at:at] = rng.randbytes(size)
            case 3:
                copy[at : at + 1] = bytes([rng.choice(BYTES)])
            case 4:
                copy[at : at + size] = bytes([rng.choice((0, 0xFF))]) * size
            case 5 if at < len(copy):
                copy[at] ^= 1 << rng.randrange(8)
            case _:
                del copy[at:]
    return bytes(copy)


def broken(make: Make) -> Make:
    """What this makes, in one case of three with holes in it, and seldom no such thing at all."""

    def making(rng: Random) -> bytes:
        chosen = rng.randrange(30)
        if chosen == 0:
            return rng.randbytes(rng.randrange(200))
        if chosen == 1:
            return as_json(odd(rng), rng)
        data = make(rng)
        return holed(data, rng) if chosen < 12 else data

    return making


def of_samples(samples: Sequence[bytes]) -> Make:
    """One of these, recorded beforehand, with holes in it more often than not."""

    def make(rng: Random) -> bytes:
        sample = rng.choice(samples)
        return sample if rng.randrange(8) == 0 else holed(sample, rng)

    return broken(make)


def lines(make: Make) -> Make:
    """A stream of some lines of these; seldom one that is far too long, or nested without end."""

    def making(rng: Random) -> bytes:
        stream = b"\n".join(make(rng) for _ in range(rng.choice((1, 1, 2, 3, 5)))) + b"\n" * rng.choice((0, 1, 1, 1, 2))
        if rng.randrange(300) == 0:
            stream += rng.choice((b" ", b"[", b'{"a":', b"9")) * (LINE_BYTES // rng.choice((1, 2, 40)))
        if rng.randrange(300) == 0:
            stream += b'{"type":"say","from":"mallory","text":"' + b"x" * (TEXT_BYTES + rng.randint(-9, 9)) + b'"}\n'
        return stream

    return making


def pieces(data: bytes, rng: Random) -> list[bytes]:
    """The same bytes, as they may arrive: one by one where there are few, else cut anywhere."""
    if len(data) < 400 and rng.random() < 0.5:
        return [data[i : i + 1] for i in range(len(data))]
    places = sorted({0, len(data), *(rng.randrange(len(data) + 1) for _ in range(rng.randrange(6)))})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def plain(something: Any) -> bytes:
    """A valid object's JSON."""
    return msgspec.json.encode(something)

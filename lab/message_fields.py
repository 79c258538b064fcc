"""Every field of every message that a stage declares, in words: the audits' block `fields`."""

import json
from collections.abc import Iterator

import msgspec

from common.errors import LabError
from common.limits import TEXT_BYTES
from common.text import NAME_PATTERN, NAME_RULE
from stages import Stage


def fields_table(stage: Stage) -> str:
    """Every field of every message that the stage's sessions accept, as declared."""
    rows = ["| Message | Field | What it may be |", "|---|---|---|"]
    for tag, kind in stage.messages.items():
        rows.append(f'| **`{tag}`** | `type` | `"{tag}"`. {(kind.__doc__ or "").strip()} |')
        rows += [f"| | `{name}` | {may_be} |" for name, may_be in fields_of(kind)]
    return "\n".join(rows)


def fields_of(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each field's name on the wire and what it may be; fields of a list's elements as `members[].name`."""
    for field in _described(kind).fields:
        name = prefix + field.encode_name
        yield name, _words(field.type) + ("" if field.required else ", or left out")
        if isinstance(field.type, msgspec.inspect.ListType):
            item = field.type.item_type
            if isinstance(item, msgspec.inspect.StructType):
                yield from fields_of(item.cls, f"{name}[].")


def _described(kind: type[msgspec.Struct]) -> msgspec.inspect.StructType:
    described = msgspec.inspect.type_info(kind)
    if not isinstance(described, msgspec.inspect.StructType):
        raise TypeError(f"{kind} is no message")
    return described


def _words(described: msgspec.inspect.Type) -> str:
    """A declared type in words. Raises LabError for one that has none yet."""
    match described:
        case msgspec.inspect.Metadata(type=inner):
            return _words(inner)
        case msgspec.inspect.StrType(pattern=pattern) if pattern == NAME_PATTERN:
            return f"a name: {NAME_RULE}"
        case msgspec.inspect.StrType(pattern=pattern) if pattern:
            return "an IPv4 address, written out"
        case msgspec.inspect.StrType(min_length=1, max_length=int(most)):
            return f"1 to {most} characters"
        case msgspec.inspect.StrType(min_length=1):
            return f"words: 1 to {TEXT_BYTES} bytes of UTF-8"
        case msgspec.inspect.StrType():
            return "text"
        case msgspec.inspect.IntType(ge=low, le=None):
            return f"a number from {low} on"
        case msgspec.inspect.IntType(ge=low, le=high):
            return f"{low} to {high}" if high != 2**53 - 1 else f"a number from {low} on"
        case msgspec.inspect.LiteralType(values=values):
            return " or ".join(json.dumps(value) for value in values)
        case msgspec.inspect.TupleType(item_types=types):
            return f"a pair of numbers ({', '.join(_words(t) for t in types)})"
        case msgspec.inspect.BytesType(min_length=low, max_length=high) if low and low == high:
            return f"{low} bytes in base64"
        case msgspec.inspect.BytesType(max_length=high):
            return f"up to {high} bytes in base64" if high else "bytes in base64"
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.ListType():
            return "a list of objects with the fields below"
        case msgspec.inspect.UnionType(types=types):
            return " or ".join(_words(t) for t in types if not isinstance(t, msgspec.inspect.NoneType))
    raise LabError(f"A field is declared as {described}, for which lab/message_fields.py has no words yet.")

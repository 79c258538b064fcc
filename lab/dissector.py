"""The Wireshark dissector: Lua, made from the messages that the stages declare, like everything else about them.

What is common to all messages stands in `dissector.lua`, the parser of JSON, which Lua has none of, in `json.lua`; the
tables of ports, messages and fields are put between them here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import inspect

from common.errors import LabError
from common.limits import DATAGRAM_BYTES, LINE_BYTES
from stages import Stage, catalogue

TEMPLATE: Final = Path(__file__).with_name("dissector.lua")
JSON: Final = Path(__file__).with_name("json.lua")

Fields = dict[str, "Field"]


class Field(msgspec.Struct, frozen=True):
    """What may stand in a field, in the dissector's terms."""

    kind: str
    """`string`, `integer`, `integers`, `boolean` or `objects`."""
    required: bool
    nullable: bool
    fields: Fields = {}
    """Of the objects in a list."""


def lua() -> str:
    """The dissector, as text. Raises LabError where a field is declared as something that it has no word for."""
    table = {stage: {tag: fields_of(kind) for tag, kind in stage.messages.items()} for stage in catalogue().values()}
    stages = "\n".join(_entry_of(stage, messages) for stage, messages in table.items())
    kinds = _kinds(fields for messages in table.values() for fields in messages.values())
    text = TEMPLATE.read_text(encoding="utf-8")
    for mark, value in (
        ("@JSON@", JSON.read_text(encoding="utf-8")),
        ("@LINE_BYTES@", str(LINE_BYTES)),
        ("@DATAGRAM_BYTES@", str(DATAGRAM_BYTES)),
        ("@STAGES@", stages),
        ("@KINDS@", "\n".join(f'    ["{name}"] = "{kind}",' for name, kind in kinds.items())),
    ):
        text = text.replace(mark, value)
    return text


def fields_of(kind: type[msgspec.Struct]) -> Fields:
    """The fields of a message by their names on the wire; `type`, by which it is known, among them."""
    described = inspect.type_info(kind)
    if not isinstance(described, inspect.StructType):
        raise TypeError(f"{kind} is no message")
    tagged = {"type": Field("string", required=True, nullable=False)} if described.tag_field else {}
    return tagged | {field.encode_name: _field(field.type, required=field.required) for field in described.fields}


def _field(declared: inspect.Type, *, required: bool, nullable: bool = False) -> Field:
    match declared:
        case inspect.Metadata(type=inner):
            return _field(inner, required=required, nullable=nullable)
        case inspect.UnionType(types=types):
            (inner,) = (one for one in types if not isinstance(one, inspect.NoneType))
            return _field(inner, required=required, nullable=len(types) > 1)
        case inspect.ListType(item_type=inspect.StructType(cls=of)):
            return Field("objects", required, nullable, fields_of(of))
    return Field(_kind(declared), required, nullable)


def _kind(declared: inspect.Type) -> str:
    match declared:
        case inspect.StrType() | inspect.BytesType():  # bytes are base64 on the wire, and shown as they stand there
            return "string"
        case inspect.LiteralType(values=values) if all(isinstance(value, str) for value in values):
            return "string"
        case inspect.IntType() | inspect.LiteralType():
            return "integer"
        case inspect.BoolType():
            return "boolean"
        case inspect.TupleType(item_types=types) if {_kind(one) for one in types} == {"integer"}:
            return "integers"
    raise LabError(f"A field is declared as {declared}, for which lab.dissector has no kind yet.")


def _kinds(messages: Iterator[Fields]) -> dict[str, str]:
    """The kind of every field by its name in filters: one for all stages, since a filter is for all of them."""
    kinds: dict[str, str] = {}
    for name, field in (named for fields in messages for named in _named(fields, "")):
        if kinds.setdefault(name, field.kind) != field.kind:
            raise LabError(f"The field {name} is {kinds[name]} in one message and {field.kind} in another.")
    return kinds


def _named(fields: Fields, prefix: str) -> Iterator[tuple[str, Field]]:
    """Every field, those of a list's objects as `members.name`."""
    for name, field in fields.items():
        yield prefix + name, field
        yield from _named(field.fields, f"{prefix}{name}.")


def _entry_of(stage: Stage, messages: dict[str, Fields]) -> str:
    rows = "".join(f'        ["{tag}"] = {_table(fields)},\n' for tag, fields in messages.items())
    tls = str(stage.wants_authority).lower()
    return f"    [{stage.number}] = {{ port = {stage.port}, tls = {tls}, messages = {{\n{rows}    }} }},"


def _table(fields: Fields) -> str:
    return "{ " + ", ".join(f'["{name}"] = {_entry(field)}' for name, field in fields.items()) + " }"


def _entry(field: Field) -> str:
    words = [f'"{field.kind}"', str(field.required).lower(), str(field.nullable).lower()]
    return "{ " + ", ".join(words + ([_table(field.fields)] if field.fields else [])) + " }"

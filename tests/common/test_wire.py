import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common import messages, wire
from common.limits import LINE_BYTES, TEXT_BYTES
from common.messages import (
    Join,
    Joined,
    Left,
    Message,
    Presence,
    Refused,
    Roster,
    Say,
    Undelivered,
    Whisper,
)
from common.wire import LineReader, WireError, decoder, encode, encode_datagram

SHORT = 120
"""The limit of a line where Hypothesis is to reach it."""

ANY: Any = Join | Say | Whisper | Roster | Joined | Left | Undelivered | Refused

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=20)
ports = st.integers(1, 65535)
texts = st.text(min_size=1, max_size=300)
addresses = st.ip_addresses(v=4).map(str)

EVERY: dict[type[Message], st.SearchStrategy[Any]] = {
    Join: st.builds(Join, name=names, udp_port=ports),
    Say: st.builds(Say, sender=names, text=texts, to=st.none() | names),
    Whisper: st.builds(Whisper, sender=names, text=texts, to=names),
    Roster: st.builds(
        Roster,
        members=st.lists(st.builds(Presence, name=names, address=addresses, udp_port=ports), max_size=5),
        more=st.booleans(),
    ),
    Joined: st.builds(Joined, name=names, address=addresses, udp_port=ports),
    Left: st.builds(Left, name=names),
    Undelivered: st.builds(Undelivered, to=names),
    Refused: st.builds(Refused, code=texts, reason=texts),
}

keys = st.sampled_from(["type", "name", "from", "to", "text", "udp_port", "members", "more", "code", "x"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | names
    | st.sampled_from(["join", "say", "\ud800", "\0", "a\u202eb"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(keys, values, max_size=4).map(lambda value: json.dumps(value).encode())
lines = (
    st.one_of(*EVERY.values()).map(encode_datagram)
    | objects
    | values.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=30)
    | st.integers(0, SHORT + 2).map(lambda size: b" " * size)
)
streams = st.lists(lines | st.just(b"\n"), max_size=8).map(b"\n".join) | st.binary(max_size=300)


def heard(pieces: Iterable[bytes], accepts: Any = ANY) -> tuple[list[Message], str | None]:
    """The messages in a stream that arrives in these pieces, and the code of the error that ended it."""
    reader, got = LineReader(), []
    try:
        for piece in pieces:
            for line in reader.feed(piece):
                got.append(decoder(accepts).decode(line))
        reader.end()
    except WireError as error:
        encode(Refused(code=error.code, reason=error.reason))  # what the peer would be told can be told
        return got, error.code
    return got, None


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The data in pieces that end at these places."""
    ends = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(ends)]


def every_message() -> set[type[Message]]:
    """All that `common.messages` declares and that can be sent."""
    declared = (value for value in vars(messages).values() if isinstance(value, type))
    return {kind for kind in declared if issubclass(kind, Message) and kind.__struct_config__.tag is not None}


@given(streams, st.lists(st.integers(0, 400), max_size=5))
@example(b'{"type":"join","name":"a","udp_port":1}\n', [39])
@example(b" " * SHORT, [])
@example(b" " * (SHORT - 1) + b"\n", [SHORT - 1])
def test_wire_answers_any_bytes_alike_in_whatever_pieces_they_arrive(data: bytes, places: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "LINE_BYTES", SHORT)
        whole = heard([data])
        assert heard([data[i : i + 1] for i in range(len(data))]) == whole
        assert heard(cut(data, places)) == whole


@given(lines)
def test_decoder_answers_any_datagram_with_a_message_or_a_wire_error(data: bytes) -> None:
    try:
        message = decoder(Whisper).decode(data)
    except WireError:
        return
    assert isinstance(message, Whisper)


def test_every_message_has_its_place_in_these_tests() -> None:
    assert set(EVERY) == every_message()


@given(st.one_of(*EVERY.values()))
def test_every_message_survives_the_wire(message: Message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert heard([line]) == ([message], None)
    assert decoder(type(message)).decode(encode_datagram(message)) == message


@given(st.one_of(*EVERY.values()))
def test_decoder_refuses_every_message_that_this_endpoint_does_not_accept(message: Message) -> None:
    for kind in EVERY:
        if not isinstance(message, kind):
            assert heard([encode(message)], kind) == ([], "unknown-type")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"", "not-json"),
        (b"hello", "not-json"),
        (b"\0", "not-json"),
        (b"\xef\xbb\xbf{}", "not-json"),
        (b'{"type":"join","name":"a","udp_port":1}x', "not-json"),
        (b'{"type":"join",', "not-json"),
        (b"[" * 60_000, "not-json"),
        (b'{"a":' * 12_000, "not-json"),
        (b'{"type":"join","x":' + b"[" * 30_000 + b"]" * 30_000 + b"}", "not-json"),
        (b'{"type":"join","name":"a","udp_port":1e400}', "not-json"),
        (b'{"type":"join","name":"a","udp_port":' + b"9" * 5_000 + b"}", "not-json"),
        (b'{"type":"say","from":"a","text":"\\ud800"}', "not-json"),
        (b'{"type":"say","from":"a","\\udfff":"b"}', "not-json"),
        (b'{"type":"say","from":"a","text":"\xed\xa0\x80"}', "not-utf-8"),
        (b'{"type":"say","from":"a","text":"\xff"}', "not-utf-8"),
        (b"\xff\xfe", "not-utf-8"),
        (b"[]", "not-an-object"),
        (b'"join"', "not-an-object"),
        (b"null", "not-an-object"),
        (b"12", "not-an-object"),
        (b"{}", "unknown-type"),
        (b'{"type":"shout"}', "unknown-type"),
        (b'{"type":null}', "unknown-type"),
        (b'{"type":["join"]}', "unknown-type"),
        (b'{"type":"roster","members":[]}', "unknown-type"),
        (b'{"type":"join","name":"a"}', "bad-field"),
        (b'{"type":"join","name":"a","udp_port":1,"admin":true}', "bad-field"),
        (b'{"type":"join","name":7,"udp_port":1}', "bad-field"),
        (b'{"type":"join","name":"a","udp_port":"1"}', "bad-field"),
        (b'{"type":"join","name":"a","udp_port":1.5}', "bad-field"),
        (b'{"type":"join","name":"a","udp_port":true}', "bad-field"),
        (b'{"type":"join","name":"a","udp_port":0}', "bad-field"),
        (b'{"type":"join","name":"a","udp_port":65536}', "bad-field"),
        (b'{"type":"join","name":"","udp_port":1}', "bad-field"),
        (b'{"type":"join","name":"alice\\n","udp_port":1}', "bad-field"),
        (b'{"type":"join","name":"al ice","udp_port":1}', "bad-field"),
        (b'{"type":"join","name":"Alice","udp_port":1}', "bad-field"),
        ('{"type":"join","name":"аlice","udp_port":1}'.encode(), "bad-field"),  # a Cyrillic a
        (b'{"type":"join","name":"a\\u0000","udp_port":1}', "bad-field"),
        (b'{"type":"join","name":"abcdefghijklmnopqrstu","udp_port":1}', "bad-field"),
        (b'{"type":"say","from":"a","text":""}', "bad-field"),
    ],
)
def test_decoder_names_what_is_wrong(line: bytes, code: str) -> None:
    with pytest.raises(WireError) as raised:
        decoder(Join | Say).decode(line)
    assert raised.value.code == code
    assert raised.value.reason.endswith(".")
    assert len(raised.value.reason) < 300


def test_decoder_answers_briefly_however_long_the_peers_field_name_is() -> None:
    line = b'{"type":"join","name":"a","udp_port":1,"' + b"x" * 60_000 + b'":1}'
    with pytest.raises(WireError) as raised:
        decoder(Join).decode(line)
    assert len(encode(Refused(code=raised.value.code, reason=raised.value.reason))) < 1_000


def test_decoder_takes_the_last_of_two_fields_with_one_name() -> None:
    line = b'{"type":"join","name":"alice","udp_port":1,"name":"bob"}'
    assert decoder(Join).decode(line) == Join(name="bob", udp_port=1)


@pytest.mark.parametrize(
    "address", ["localhost", "127.0.0.256", "127.1", "::1", "127.0.0.1.", "1.2.3.4.5", "127.0.0.1\n", ""]
)
def test_decoder_refuses_a_member_whose_address_is_not_written_out(address: str) -> None:
    line = json.dumps({"type": "joined", "name": "a", "address": address, "udp_port": 1}).encode()
    assert heard([line + b"\n"]) == ([], "bad-field")


def test_text_may_be_as_long_as_the_limit_and_not_a_byte_longer() -> None:
    longest = Say(sender="a", text="é" * (TEXT_BYTES // 2))
    assert heard([encode(longest)]) == ([longest], None)
    line = encode(longest).replace("é".encode(), b"xyz", 1)
    assert heard([line]) == ([], "bad-field")


def test_line_may_be_as_long_as_the_limit_and_not_a_byte_longer() -> None:
    start = encode_datagram(Left(name="a"))
    longest = start + b" " * (LINE_BYTES - 1 - len(start)) + b"\n"
    assert len(longest) == LINE_BYTES
    assert heard([longest]) == ([Left(name="a")], None)
    assert heard([b" " + longest]) == ([], "too-long")


def test_line_over_the_limit_is_refused_before_it_ends_however_slowly_it_comes() -> None:
    reader = LineReader()
    for _ in range(LINE_BYTES - 1):
        assert list(reader.feed(b" ")) == []
    with pytest.raises(WireError) as raised:
        list(reader.feed(b" "))
    assert raised.value.code == "too-long"


def test_stream_that_ends_within_a_line_is_incomplete() -> None:
    line = encode(Left(name="a"))
    assert heard([line + line[:-1]]) == ([Left(name="a")], "incomplete")

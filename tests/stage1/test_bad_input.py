"""Bad input on real sockets: whoever sends it gets one clear sentence and is dropped; nobody else notices.

Every test has two bystanders, Alice and Bob. Afterwards they can still talk, and saw nothing but, at most, a
member who came and went.
"""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from common.client import ALARMS_APART, Client
from common.errors import LabError
from common.hosts import ThisMachine
from common.limits import DATAGRAM_BYTES, LINE_BYTES, Limits
from common.messages import Whisper
from common.session import notice
from common.wire import encode_datagram
from stages.stage1_plaintext.client import ClientSession
from tests.room import House, Member, Peer, joining, leave, room, run, saying

JOIN = json.dumps(joining("mallory")).encode() + b"\n"

PATIENT = Limits(join_seconds=60, linger_seconds=60)
"""Nothing in these tests ends by time, unless time is what is tested."""


@contextlib.asynccontextmanager
async def bystanders(limits: Limits = PATIENT, *, send_buffer: int = 0) -> AsyncIterator[tuple[House, Member, Member]]:
    """A room with Alice and Bob, who at the end can still talk and have noticed nothing."""
    async with room(limits, send_buffer=send_buffer) as house:
        alice, bob = await house.bystanders()
        yield house, alice, bob
        for speaker, listener in ((alice, bob), (bob, alice)):
            speaker.says("still here")
            while (show := await listener.next()).text != "still here":
                assert show in (notice("mallory joined, from 127.0.0.1"), notice("mallory left"))
            assert listener.unread() == []


async def refused(peer: Peer, code: str) -> None:
    """The offender is told why, in a sentence, and that was the last they hear."""
    *_, last = await peer.rest()
    assert last == {"type": "refused", "code": code, "reason": last["reason"]}
    assert last["reason"].endswith(".")
    assert "\n" not in last["reason"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b" " * LINE_BYTES, "too-long", id="a line over the limit"),
        pytest.param(b"x" * (2 * LINE_BYTES) + b"\n", "too-long", id="a whole line over the limit"),
        pytest.param(b"\xff\xfe\n", "not-utf-8", id="not UTF-8"),
        pytest.param(b"hello\n", "not-json", id="not JSON"),
        pytest.param(b"\n", "not-json", id="an empty line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not-json", id="a browser"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\n", "not-utf-8", id="a TLS client"),
        pytest.param(b"[" * 50_000 + b"\n", "not-json", id="nested too deeply"),
        pytest.param(b"[1]\n", "not-an-object", id="not an object"),
        pytest.param(b'{"type":"shout"}\n', "unknown-type", id="an unknown type"),
        pytest.param(b'{"type":"left","name":"alice"}\n', "unknown-type", id="a message that only servers send"),
        pytest.param(b'{"type":"join","name":"mallory"}\n', "bad-field", id="a missing field"),
        pytest.param(b'{"type":"join","name":"mallory","udp_port":9,"x":1}\n', "bad-field", id="an extra field"),
        pytest.param(b'{"type":"join","name":"mallory","udp_port":"9"}\n', "bad-field", id="a wrong-typed field"),
        pytest.param(b'{"type":"say","from":"alice","text":"hi"}\n', "not-joined", id="a message before joining"),
        pytest.param(b'{"type":"join","name":"","udp_port":9}\n', "bad-field", id="an empty name"),
        pytest.param(
            b'{"type":"join","name":"' + b"m" * 21 + b'","udp_port":9}\n', "bad-field", id="an over-long name"
        ),
        pytest.param(
            b'{"type":"join","name":"bob\\u001b[A","udp_port":9}\n', "bad-field", id="a control-character name"
        ),
        pytest.param(b'{"type":"join","name":"bob\\n","udp_port":9}\n', "bad-field", id="a name with a newline"),
        pytest.param('{"type":"join","name":"\u202ebob","udp_port":9}\n'.encode(), "bad-field", id="a reversed name"),
        pytest.param(
            '{"type":"join","name":"аlice","udp_port":9}\n'.encode(), "bad-field", id="a name with a Cyrillic a"
        ),
        pytest.param(b'{"type":"join","name":"a1ice","udp_port":9}\n', "look-alike", id="a look-alike name"),
        pytest.param(b'{"type":"join","name":"alice","udp_port":9}\n', "name-in-use", id="a name in use"),
        pytest.param(JOIN + JOIN, "already-joined", id="a second join"),
        pytest.param(JOIN + b"hello\n", "not-json", id="garbage from a member"),
        pytest.param(JOIN + b" " * LINE_BYTES, "too-long", id="a line over the limit from a member"),
        pytest.param(
            JOIN + b'{"type":"say","from":"mallory","text":"' + b"x" * 4097 + b'"}\n',
            "bad-field",
            id="an over-long text from a member",
        ),
    ],
)
def test_server_refuses_bad_input_and_nobody_else_notices(data: bytes, code: str) -> None:
    async def conversation() -> None:
        async with bystanders() as (house, _alice, _bob):
            peer = await house.peer()
            await peer.send(data)
            await refused(peer, code)

    run(conversation())


def test_offender_who_goes_on_sending_still_reads_why_they_were_refused() -> None:
    async def conversation() -> None:
        async with bystanders() as (house, _alice, _bob):
            peer = await house.peer()
            await peer.send(b"hello\n")
            await peer.send(JOIN * 1000)
            await refused(peer, "not-json")

    run(conversation())


def test_what_a_refused_peer_sends_in_the_same_breath_is_not_heard() -> None:
    async def conversation() -> None:
        async with bystanders() as (house, _alice, _bob):
            peer = await house.peer("mallory")
            await peer.send(b"hello\n", saying("alice", "I owe Mallory a thousand"))
            await refused(peer, "not-json")

    run(conversation())


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", None), (JOIN, None), (JOIN[:-1], "incomplete"), (JOIN + b'{"type":', "incomplete")],
    ids=["silent", "a member", "half a line", "a member with half a line"],
)
def test_half_closed_connection_ends_and_half_a_line_is_refused(data: bytes, code: str | None) -> None:
    async def conversation() -> None:
        async with bystanders() as (house, _alice, _bob):
            peer = await house.peer()
            await peer.send(data)
            peer.sock.shutdown(socket.SHUT_WR)
            if code:
                await refused(peer, code)
            else:
                assert all(message["type"] == "roster" for message in await peer.rest())

    run(conversation())


def test_connection_that_is_reset_is_gone_and_its_name_is_free() -> None:
    async def conversation() -> None:
        async with bystanders() as (house, alice, bob):
            peer = await house.peer("mallory")
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            for member in (alice, bob):
                await member.sees("mallory joined, from 127.0.0.1", "mallory left")
            await house.peer("mallory")

    run(conversation())


def test_connection_that_says_nothing_is_refused_in_time() -> None:
    async def conversation() -> None:
        async with bystanders(Limits(join_seconds=0.3, linger_seconds=60)) as (house, _alice, _bob):
            silent, half = await house.peer(), await house.peer()
            await half.send(JOIN[:-1])
            await refused(silent, "silent")
            await refused(half, "silent")

    run(conversation())


def test_member_may_be_silent_for_as_long_as_they_like() -> None:
    async def conversation() -> None:
        async with bystanders(Limits(join_seconds=0.3)) as (house, _alice, _bob):
            stranger = await house.peer()  # refused later than the members could have been
            await refused(stranger, "silent")

    run(conversation())


def test_refused_peer_who_does_not_hang_up_is_cut_off_in_time() -> None:
    async def conversation() -> None:
        async with bystanders(Limits(linger_seconds=0.3)) as (house, _alice, _bob):
            peer = await house.peer()
            await peer.send(b"hello\n")
            await refused(peer, "not-json")
            (connection,) = (c for c in house.runtime.open if c.gone)
            await connection.lost
            assert len(house.runtime.open) == 2

    run(conversation())


def test_connection_more_than_the_server_takes_is_refused() -> None:
    async def conversation() -> None:
        async with bystanders(Limits(connections=3, linger_seconds=60)) as (house, alice, bob):
            third = await house.peer("mallory")
            fourth = await house.peer()
            await refused(fourth, "full")
            fourth.close()
            third.close()
            for member in (alice, bob):
                await member.sees("mallory joined, from 127.0.0.1", "mallory left")
            await house.peer("mallory")  # there is room again

    run(conversation())


def test_member_who_stops_reading_is_dropped_and_can_read_why() -> None:
    backlog, text = 200_000, "x" * 4000

    async def conversation() -> None:
        limits = Limits(backlog_bytes=backlog, linger_seconds=60)
        async with bystanders(limits, send_buffer=16_384) as (house, alice, bob):
            stalled = await house.peer("mallory", receive_buffer=4096)
            for member in (alice, bob):
                await member.sees("mallory joined, from 127.0.0.1")
            (connection,) = (c for c in house.runtime.open if c.session.name == "mallory")  # type: ignore[attr-defined]
            waiting = []
            while not connection.gone:  # each message reaches Bob at once, though Mallory reads nothing
                alice.says(text)
                await bob.sees(text)
                waiting.append(connection.transport.get_write_buffer_size())
            assert backlog < max(waiting) < backlog + 2 * len(text)
            await alice.sees("mallory left")
            await bob.sees("mallory left")
            await refused(stalled, "too-slow")

    run(conversation())


def test_member_who_stops_reading_for_a_while_misses_nothing() -> None:
    async def conversation() -> None:
        async with bystanders(send_buffer=16_384) as (house, alice, bob):
            slow = await house.peer("mallory", receive_buffer=4096)
            for number in range(100):
                alice.says(f"{number} {'x' * 4000}")
            while not (await bob.next()).text.startswith("99 "):
                pass
            for number in range(100):
                assert (await slow.until("say"))["text"].startswith(f"{number} ")
            slow.close()
            while (await alice.next()).text != "mallory left":
                pass

    run(conversation())


def test_member_who_floods_is_read_no_faster_than_the_limit_and_nobody_else_is_dropped() -> None:
    async def conversation() -> None:
        flood = [saying("mallory", "x" * 4000)] * 5000
        async with room(Limits(bytes_per_second=1, burst_bytes=100_000)) as house:
            alice, bob = await house.bystanders()
            mallory = await house.peer("mallory")
            flooding = asyncio.create_task(mallory.send(*flood))
            while not (await bob.next()).text.startswith("xxx"):
                pass
            for number in range(20):
                alice.says(f"{number}")
                while (await bob.next()).text != f"{number}":
                    pass
            assert not flooding.done()
            shown = [show for show in bob.seen if show.sender == "mallory"]
            assert len(shown) * 4000 < 100_000 + 256 * 1024, "more was read than the limit and one read"
            assert not [show for show in [*alice.seen, *bob.seen] if show.kind == "alarm"]
            flooding.cancel()
            mallory.close()

    run(conversation())


def test_port_in_use_is_one_sentence() -> None:
    async def conversation() -> None:
        listener = await ThisMachine().listen(0)
        port = listener.getsockname()[1]
        with listener, pytest.raises(LabError, match=rf"^Cannot listen on 127.0.0.1 port {port} \(Address already"):
            await ThisMachine().listen(port)

    run(conversation())


def test_port_where_nobody_listens_is_one_sentence() -> None:
    async def conversation() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            address = unused.getsockname()
            with pytest.raises(LabError, match=r"\(Connection refused\); is the server running there\?$"):
                await Client.start(ThisMachine(), address, lambda port: ClientSession("alice", port), print)

    run(conversation())


# What reaches a client: datagrams from anyone, and whatever a server sends.


def datagram(sender: str, to: str, text: str) -> bytes:
    """A whisper's bytes."""
    return encode_datagram(Whisper(sender=sender, to=to, text=text))


def sent_to(member: Member, *datagrams: bytes) -> None:
    """Send datagrams to a member's UDP port."""
    session = member.client.session
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        for data in datagrams:
            sock.sendto(data, ("127.0.0.1", session.udp_port))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "A datagram from 127.0.0.1 was no whisper and was dropped. A message is one JSON object"),
        (b"\xff", "A datagram from 127.0.0.1 was no whisper and was dropped. A message is UTF-8;"),
        (b"[]", "A datagram from 127.0.0.1 was no whisper and was dropped. A message is a JSON object"),
        (JOIN, "A datagram from 127.0.0.1 was no whisper and was dropped. `type` is one of whisper here."),
        (
            datagram("bob", "alice", "x" * DATAGRAM_BYTES),
            f"A datagram from 127.0.0.1 was no whisper and was dropped. A whisper is at most {DATAGRAM_BYTES} bytes.",
        ),
        (b"x" * 60_000, "A datagram from 127.0.0.1 was no whisper and was dropped. A whisper is at most"),
        (datagram("eve", "alice", "hi"), "A whisper came from eve, who is not here; it was dropped."),
        (datagram("bob", "carol", "hi"), "A whisper for carol came here; it was dropped."),
    ],
    ids=["empty", "not UTF-8", "not an object", "no whisper", "too long", "huge", "from nobody", "for another"],
)
def test_bad_datagram_is_dropped_with_one_alarm_and_nobody_else_notices(data: bytes, sentence: str) -> None:
    async def conversation() -> None:
        async with bystanders() as (_house, alice, bob):
            sent_to(alice, data)
            show = await alice.next()
            assert show.kind == "alarm"
            assert show.text.startswith(sentence)
            bob.says("/whisper alice psst")
            await alice.sees("psst")

    run(conversation())


def flood(*datagrams: bytes) -> list[str]:
    """The alarms that Alice sees when these arrive."""

    async def conversation() -> list[str]:
        async with bystanders() as (_house, alice, bob):
            for start in range(0, len(datagrams), 50):  # no more at once than the socket surely holds
                sent_to(alice, *datagrams[start : start + 50], datagram("bob", "alice", f"{start}"))
                while (await alice.next()).text != f"{start}":
                    pass
            bob.says("/whisper alice enough")
            await alice.sees("enough")
            return [show.text for show in alice.seen if show.kind == "alarm"]

    return run(conversation())


def test_flood_of_datagrams_raises_an_alarm_now_and_then() -> None:
    assert len(flood(*[b"\xff"] * 300)) == 9  # the 1st, 2nd, 4th, … 256th


def test_flood_of_datagrams_that_all_differ_raises_an_alarm_now_and_then() -> None:
    assert len(flood(*(datagram(f"eve{number}", "alice", "hi") for number in range(300)))) == ALARMS_APART + 9


def test_whisper_too_long_for_a_datagram_is_not_sent() -> None:
    async def conversation() -> None:
        async with bystanders() as (_house, alice, bob):
            alice.says("/whisper bob " + "x" * DATAGRAM_BYTES)
            await alice.sees(f"A whisper is at most {DATAGRAM_BYTES} bytes in all; yours was not sent.")
            longest = "x" * (DATAGRAM_BYTES - len(datagram("alice", "bob", "x")) + 1)
            alice.says(f"/whisper bob {longest}")
            await bob.sees(longest)

    run(conversation())


@contextlib.asynccontextmanager
async def strange_server(greeting: bytes) -> AsyncIterator[tuple[Member, asyncio.StreamWriter]]:
    """A client at a server that sends these bytes to whoever joins."""
    connected: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(greeting)
        connected.set_result(writer)

    server = await asyncio.start_server(attend, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    member = Member()
    member.client = await Client.start(ThisMachine(), address, lambda port: ClientSession("alice", port), member.show)
    writer = await connected
    try:
        yield member, writer
    finally:
        await leave(member)
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\n",
        b"hello\n",
        b"[]\n",
        b'{"type":"join","name":"alice","udp_port":1}\n',
        b'{"type":"joined","name":"x","address":"\\u001b","udp_port":1}\n',
        b" " * LINE_BYTES,
        b'{"type":"roster","members":[{"name":"x","address":"example.com","udp_port":1}]}\n',
    ],
    ids=["not UTF-8", "not JSON", "not an object", "no server's", "an escape", "too long", "a name for an address"],
)
def test_client_leaves_a_server_that_sends_garbage_and_says_so_once(garbage: bytes) -> None:
    async def conversation() -> None:
        async with strange_server(garbage) as (member, writer):
            show = await member.next()
            assert show.kind == "alarm"
            assert show.text.startswith("The server sent something that is no message, so this client left. ")
            writer.write(garbage)
            writer.close()
            await member.client.ended.wait()
            assert member.unread() == []

    run(conversation())


def test_client_says_that_the_server_is_gone_and_what_is_typed_then_goes_nowhere() -> None:
    async def conversation() -> None:
        async with strange_server(b"") as (member, writer):
            writer.transport.abort()
            await member.sees("The connection ended; connecting again.")
            member.says("hello?")
            await member.sees("There is no connection to the server right now; that was not sent.")
            member.says("/quit")
            await member.client.ended.wait()
            member.says("hello?")
            assert member.unread() == []

    run(conversation())

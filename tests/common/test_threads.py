"""The runtime of the first tutorials: a thread a client. The same room, and how one member freezes it."""

import asyncio
import contextlib
import json
import os
import queue
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest

from common import threads
from common.messages import Whisper
from common.session import Address, Show
from common.threads import SelectClient, ThreadServer
from common.wire import LineReader, encode_datagram
from stages.stage1_plaintext.client import ClientSession
from stages.stage1_plaintext.server import Server
from tests.room import Peer, joining, run, saying

CLASS = 12


class Served(NamedTuple):
    """A server in a thread of its own."""

    listener: socket.socket
    address: Address
    thread: threading.Thread


@contextlib.contextmanager
def serving(*, send_buffer: int = 0) -> Iterator[Served]:
    """A server in a thread of its own."""
    listener = threads.listen("127.0.0.1", 0)
    if send_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    thread = threading.Thread(target=ThreadServer(Server()).serve, args=(listener,))
    thread.start()
    try:
        yield Served(listener, listener.getsockname(), thread)
    finally:
        with contextlib.suppress(OSError):  # a test may have ended it already
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)
        listener.close()
        assert not thread.is_alive()


@contextlib.asynccontextmanager
async def peers(address: Address, number: int, *, receive_buffer: int = 0) -> AsyncIterator[list[Peer]]:
    """Connections to the server, not joined yet."""
    connected = [await Peer.connect(address, receive_buffer=receive_buffer) for _ in range(number)]
    try:
        yield connected
    finally:
        for peer in connected:
            peer.close()


def test_class_joins_speaks_and_leaves_behind_a_thread_for_each() -> None:
    names = [f"member-{number}" for number in range(CLASS)]

    async def conversation(address: Address) -> None:
        async with peers(address, CLASS + 2) as (unfinished, thief, *members):
            await unfinished.send(b'{"type":"join",')  # holds nobody up
            rosters = [await peer.join(name) for peer, name in zip(members, names, strict=True)]
            assert [len(roster["members"]) for roster in rosters] == list(range(1, CLASS + 1))
            first, *others = members
            assert [(await first.until("joined"))["name"] for _ in others] == names[1:]

            await thief.send(joining("member-7"))
            assert [message["code"] for message in await thief.rest()] == ["name-in-use"]

            await first.send(saying("member-0", "hello"))
            for peer in others:
                assert (await peer.until("say"))["text"] == "hello"
            for peer in others:
                peer.close()
            assert {(await first.until("left"))["name"] for _ in others} == set(names[1:])

    with serving() as served:
        run(conversation(served.address))


def test_bad_line_is_refused_and_nobody_else_notices() -> None:
    async def conversation(address: Address) -> None:
        async with peers(address, 3) as (alice, bob, stranger):
            await alice.join("alice")
            await bob.join("bob")
            await stranger.send(b"hello\n")
            assert [message["code"] for message in await stranger.rest()] == ["not-json"]
            await bob.send(saying("bob", "still here"))
            assert [(await alice.next() or {})["type"] for _ in range(2)] == ["joined", "say"]

    with serving() as served:
        run(conversation(served.address))


def test_one_member_who_stops_reading_freezes_the_room_until_they_are_gone() -> None:
    number = 100

    async def count(peer: Peer, heard: list[str]) -> None:
        while len(heard) < number + 1:
            heard.append((await peer.until("say"))["text"])

    async def conversation(address: Address) -> None:
        async with peers(address, 2) as (alice, bob), peers(address, 1, receive_buffer=4096) as (stalled,):
            await stalled.join("mallory")
            await alice.join("alice")
            await bob.join("bob")
            heard: list[str] = []
            flood = [saying("alice", "x" * 4000)] * number
            sending = asyncio.create_task(alice.send(*flood, saying("alice", "last")))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(count(bob, heard), 0.4)
            assert len(heard) < number  # alice's message waits behind one that mallory does not read
            stalled.close()
            await count(bob, heard)
            assert heard[-1] == "last"
            await sending

    with serving(send_buffer=4096) as served:
        run(conversation(served.address))


def test_server_ends_though_its_room_is_frozen() -> None:
    async def conversation(served: Served) -> None:
        async with peers(served.address, 1) as (alice,), peers(served.address, 1, receive_buffer=4096) as (stalled,):
            await stalled.join("mallory")
            await alice.join("alice")
            sending = asyncio.create_task(alice.send(*[saying("alice", "x" * 4000)] * 2000))
            await asyncio.wait([sending], timeout=0.3)
            assert not sending.done()  # nobody takes any more of what alice says
            served.listener.shutdown(socket.SHUT_RDWR)
            await asyncio.to_thread(served.thread.join, 5)
            assert not served.thread.is_alive()
            sending.cancel()

    with serving(send_buffer=4096) as served:
        run(conversation(served))


class Played:
    """A select client at a server that the test plays."""

    def __init__(self) -> None:
        listener = threads.listen("127.0.0.1", 0)
        connection = threads.connect(*listener.getsockname())
        self.server, _ = listener.accept()
        listener.close()
        self.server.settimeout(5)
        self.lines = self.server.makefile("rb")
        udp = threads.datagram_socket("127.0.0.1")
        self.whispers = udp.getsockname()
        self.shown: queue.Queue[Show] = queue.Queue()
        read, self._write = os.pipe()
        self._keyboard = read
        session = ClientSession("alice", self.whispers[1])
        client = SelectClient(connection, udp, session, self.shown.put, LineReader)
        self.thread = threading.Thread(target=client.run, args=(read,))
        self.thread.start()
        assert self.received() == joining("alice", self.whispers[1])

    def received(self) -> dict[str, Any]:
        """The next message from the client."""
        message: dict[str, Any] = json.loads(self.lines.readline())
        return message

    def sends(self, *messages: bytes | dict[str, Any]) -> None:
        """The server says this, all at once."""
        self.server.sendall(b"".join(m if isinstance(m, bytes) else json.dumps(m).encode() + b"\n" for m in messages))

    def types(self, data: bytes) -> None:
        """The person types this."""
        os.write(self._write, data)

    def sees(self) -> str:
        """What the person sees next."""
        return self.shown.get(timeout=5).text

    def is_over(self) -> bool:
        """Does the client end?"""
        self.thread.join(timeout=5)
        return not self.thread.is_alive()

    def ends_typing(self) -> None:
        """End of the keyboard's input."""
        os.close(self._write)
        self._write = -1

    def close(self) -> None:
        """Everything goes."""
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.lines.close()
        self.server.close()
        assert self.is_over()
        for descriptor in (self._keyboard, self._write):
            if descriptor >= 0:
                os.close(descriptor)


@pytest.fixture
def played() -> Iterator[Played]:
    with contextlib.closing(Played()) as client:
        yield client


ROSTER = {"type": "roster", "members": [{"name": "bob", "address": "127.0.0.1", "udp_port": 9}]}


def test_select_client_hears_the_server_the_keyboard_and_whispers(played: Played) -> None:
    played.sends(ROSTER, saying("bob", "hi"))
    assert [played.sees(), played.sees()] == ["here: bob (127.0.0.1)", "hi"]
    played.types(b"hello\n/to bob psst\n")
    assert [played.received(), played.received()] == [saying("alice", "hello"), saying("alice", "psst", to="bob")]
    with socket.socket(type=socket.SOCK_DGRAM) as bob:
        bob.sendto(encode_datagram(Whisper(sender="bob", to="alice", text="psst")), played.whispers)
        assert played.sees() == "psst"
        bob.sendto(b"\xff", played.whispers)
        assert played.sees().startswith("A datagram from 127.0.0.1 was no whisper: ")
    played.types(b"\xff\n")
    assert played.sees() == "That line has bytes that are no text (not UTF-8); it was not sent."
    played.types(b"/quit\nnot said\n")
    assert played.is_over()
    assert played.lines.read() == b""


def test_select_client_leaves_when_nothing_more_can_be_typed(played: Played) -> None:
    played.ends_typing()
    assert played.is_over()


def test_select_client_says_that_the_server_is_gone(played: Played) -> None:
    played.server.shutdown(socket.SHUT_RDWR)
    assert played.sees() == "The connection to the server is gone: it ended; start the client again to come back."
    assert played.is_over()


def test_select_client_says_that_the_server_is_gone_though_the_person_types(played: Played) -> None:
    played.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    played.lines.close()
    played.server.close()
    with contextlib.suppress(BrokenPipeError):
        played.types(b"hello\n" * 5)
    assert played.sees().startswith("The connection to the server is gone: ")
    assert played.is_over()


def test_select_client_leaves_a_server_that_sends_garbage(played: Played) -> None:
    played.sends(ROSTER, b"hello\n", saying("bob", "hi"))
    assert played.sees() == "here: bob (127.0.0.1)"
    assert played.sees().startswith("The connection to the server is gone: A message is one JSON object a line")
    assert played.is_over()
    assert played.shown.empty()

"""What one peer may take of a server, bound by bound, and that the others notice nothing of who takes more."""

import asyncio
import contextlib
import dataclasses
import errno
import json
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from common import slow_work
from common.hosts import ThisMachine
from common.levers import Levers
from common.limits import Limits
from common.runtime import ServerRuntime
from common.session import Address
from common.what_if.limits_off import without
from stages.stage2_hashed_auth.accounts import Accounts
from stages.stage2_hashed_auth.server import Server as ServerWithPasswords
from stages.stage2_hashed_auth.what_if.password_hash import Plaintext
from stages.stage4_tls import compose
from tests.room import House, Peer, logging_in, room, run, saying

HOME, ELSEWHERE, THIRD, FOURTH = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"
"""Machines of a loopback network that the server is not."""
HELLO = bytes.fromhex("16030100f8010000f40303")
"""The beginning of a ClientHello, and then nothing."""


async def peer_from(source: str, server: Address, stack: contextlib.AsyncExitStack) -> Peer:
    """A connection from this address of the machine."""
    sock = socket.socket()
    stack.callback(sock.close)
    sock.bind((source, 0))
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, server)
    return Peer(sock)


async def until(true: Callable[[], bool]) -> None:
    """Wait until this is true of the server, of which no message tells."""
    while not true():  # noqa: ASYNC110 - nothing sets an event for a test
        await asyncio.sleep(0)


async def end(peer: Peer) -> bytes:
    """What is left to read; nothing where the connection was reset."""
    with contextlib.suppress(ConnectionResetError):
        return await asyncio.get_running_loop().sock_recv(peer.sock, 1)
    return b""


async def let_in(peer: Peer, name: str) -> bool:
    """Does it get a roster, or a refusal?"""
    await peer.send({"type": "join", "name": name, "udp_port": 9})
    answer = await peer.next()
    return answer is not None and answer["type"] == "roster"


@contextlib.asynccontextmanager
async def two_standing_handshakes(
    limits: Limits, folder: Path
) -> AsyncIterator[tuple[ServerRuntime, Address, list[Peer], contextlib.AsyncExitStack]]:
    """A server in TLS, two connections from home that began a handshake there, and what closes what a test opens."""
    levers = Levers.parse("", compose.LEVERS)
    runtime = ServerRuntime(compose.server(levers, folder), limits)
    listener = await ThisMachine().listen(0)
    address = listener.getsockname()
    await runtime.start(listener, compose.server_tls(levers, folder))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(runtime.stop)
        standing = [await peer_from(HOME, address, stack) for _ in range(2)]
        for peer in standing:
            await peer.send(HELLO)
        await until(lambda: runtime.places.there[HOME] == 2)
        yield runtime, address, standing, stack


def test_one_address_cannot_take_every_place() -> None:
    async def conversation() -> None:
        limits = Limits(connections=6, connections_per_address=3, linger_seconds=60)
        async with room(limits) as house, contextlib.AsyncExitStack() as stack:
            held = [await peer_from(HOME, house.address, stack) for _ in range(2)]  # nothing is said on them
            alice = await peer_from(HOME, house.address, stack)
            await alice.join("alice")
            late = await peer_from(HOME, house.address, stack)
            [refused] = await late.rest()
            assert refused["reason"] == "This server takes 3 connections from one address; try later."
            await (await peer_from(ELSEWHERE, house.address, stack)).join("bob")
            assert (await alice.until("joined"))["name"] == "bob"
            held[0].close()
            for left in (late, held[0]):
                left.close()
            while not await let_in(carol := await peer_from(HOME, house.address, stack), "carol"):
                carol.close()  # the server has not noticed yet who left

    run(conversation())


def test_two_addresses_cannot_take_every_place_with_silence_and_who_has_joined_keeps_theirs() -> None:
    async def conversation() -> None:
        limits = Limits(connections=6, connections_per_address=3)
        async with room(limits) as house, contextlib.AsyncExitStack() as stack:
            alice = await peer_from(HOME, house.address, stack)
            await alice.join("alice")
            silent = [await peer_from(HOME, house.address, stack) for _ in range(2)]
            silent += [await peer_from(ELSEWHERE, house.address, stack) for _ in range(3)]
            await until(lambda: len(house.runtime.places.holders) == 6)
            newcomers = []
            for number in range(3):
                newcomers.append(await peer_from(THIRD, house.address, stack))
                await newcomers[-1].join(f"newcomer-{number}")
            gave_way = [silent[2], silent[0], silent[3]]  # of the address that waits with most, the longest there
            for peer in gave_way:
                [refused] = await peer.rest()
                assert refused["code"] == "silent"
            last = await peer_from(FOURTH, house.address, stack)  # each of the two addresses waits with one by now
            assert [answer["code"] for answer in await last.rest()] == ["full"]
            assert (await alice.until("joined"))["name"] == "newcomer-0"
            assert await let_in(silent[1], "slow")

    run(conversation())


def test_standing_handshake_gives_way(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with two_standing_handshakes(Limits(connections=2), tmp_path) as (runtime, address, standing, stack):
            other = await peer_from(ELSEWHERE, address, stack)
            await other.send(HELLO)
            await until(lambda: runtime.places.there == {HOME: 1, ELSEWHERE: 1})
            assert await end(standing[0]) == b""

    run(conversation())


def test_addresses_are_forgotten_once_their_connections_are_gone() -> None:
    async def conversation() -> None:
        async with room() as house, contextlib.AsyncExitStack() as stack:
            for source in (HOME, ELSEWHERE, HOME):
                peer = await peer_from(source, house.address, stack)
                await peer.join("alice")
                peer.close()
                await until(lambda: not house.runtime.open)
            assert not house.runtime.places.there

    run(conversation())


def test_handshake_takes_a_place_before_anything_is_said_and_gives_it_back(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with two_standing_handshakes(Limits(connections_per_address=2), tmp_path) as (
            runtime,
            address,
            standing,
            stack,
        ):
            assert await end(await peer_from(HOME, address, stack)) == b""
            assert runtime.places.there == {HOME: 2}
            for peer in standing:
                peer.close()
            await until(lambda: not runtime.places.there)

    run(conversation())


def test_server_in_tls_that_is_out_of_descriptors_takes_the_next_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def conversation() -> None:
        levers, loop = Levers.parse("", compose.LEVERS), asyncio.get_running_loop()
        runtime = ServerRuntime(compose.server(levers, tmp_path))
        listener = await ThisMachine().listen(0)
        address, accept, failures = listener.getsockname(), loop.sock_accept, [errno.EMFILE, errno.ENFILE]

        async def sock_accept(sock: socket.socket) -> tuple[socket.socket, Address]:
            if failures:
                raise OSError(failures.pop(), "no descriptor is free")
            return await accept(sock)

        monkeypatch.setattr(loop, "sock_accept", sock_accept)
        await runtime.start(listener, compose.server_tls(levers, tmp_path))
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(runtime.stop)
            peer = await peer_from(HOME, address, stack)
            await peer.send(HELLO)
            await until(lambda: runtime.places.there[HOME] == 1)
        await asyncio.sleep(0)  # the socket is closed in the turn after

    run(conversation())


class InTurn(Plaintext):
    """Remembers in which order passwords were looked at, and looks at none before the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.seen: list[bytes] = []

    def verify(self, stored: bytes, password: bytes) -> bool:
        assert self.gate.wait(5)
        self.seen.append(password)
        return super().verify(stored, password)


@pytest.mark.parametrize("by_address", [True, False])
def test_login_is_behind_one_of_a_flood_from_elsewhere_and_not_behind_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_address: bool
) -> None:
    monkeypatch.setattr(slow_work, "SLOW_AT_ONCE", 1)  # of two threads either could be the one that is held up
    flood, hashing = 20, InTurn()
    server = ServerWithPasswords(Accounts(tmp_path / "accounts.sqlite", hashing))
    server.accounts.register("alice", "sesame")

    async def conversation() -> None:
        limits = Limits(turns_by_address=by_address)
        async with room(limits, server=server) as house, contextlib.AsyncExitStack() as stack:
            for number in range(flood):
                await (await peer_from(HOME, house.address, stack)).send(logging_in("alice", f"guess {number}"))
            await until(lambda: house.runtime.slow_work.number == flood)
            alice = await peer_from(ELSEWHERE, house.address, stack)
            await alice.send(logging_in("alice"))
            await until(lambda: house.runtime.slow_work.number == flood + 1)
            hashing.gate.set()
            await alice.until("roster")

    run(conversation())
    assert hashing.seen.index(b"sesame") == (2 if by_address else flood)


def test_refused_login_whose_peer_hangs_up_holds_no_place(tmp_path: Path) -> None:
    hashing = InTurn()
    server = ServerWithPasswords(Accounts(tmp_path / "accounts.sqlite", hashing))

    async def conversation() -> None:
        limits = Limits(waiting_for_work=1, linger_seconds=60)
        async with room(limits, server=server) as house, contextlib.AsyncExitStack() as stack:
            stack.callback(hashing.gate.set)
            first, second = [await peer_from(HOME, house.address, stack) for _ in range(2)]
            await first.send(logging_in("alice"))
            await until(lambda: house.runtime.slow_work.number == 1)
            await second.send(logging_in("bob"))
            assert [message["code"] for message in await second.rest()] == ["busy"]
            second.close()
            await until(lambda: len(house.runtime.open) == 1)

    run(conversation())


def heard(house: House, sender: str, messages: list[bytes]) -> int:
    """How many of these, which arrive together, the server takes in this turn."""
    (connection,) = (c for c in house.runtime.open if c.session.name == sender)  # type: ignore[attr-defined] # of stage 1
    connection.data_received(b"".join(messages))
    return len(messages) - len(connection.unread)


def line(sender: str, number: int, to: str | None = None) -> bytes:
    """A message as it comes."""
    return json.dumps(saying(sender, f"{number}", **({"to": to} if to else {}))).encode() + b"\n"


def test_member_is_heard_so_often_in_a_second_and_the_rest_in_the_next() -> None:
    async def conversation() -> None:
        async with room(Limits(says_per_second=20)) as house:
            bob = await house.peer("bob")
            await house.peer("mallory")
            assert heard(house, "mallory", [line("mallory", n) for n in range(30)]) == 19  # and to join was the first
            for number in range(30):  # nothing is lost, and it stays in order
                assert (await bob.until("say"))["text"] == f"{number}"

    run(conversation())


def test_message_for_each_member_counts_once() -> None:
    async def conversation() -> None:
        async with room(Limits(says_per_second=20)) as house:
            names = [f"member-{n}" for n in range(10)]
            for name in (*names, "alice"):
                await house.peer(name)
            to_the_room = [line("alice", number, to) for number in range(10) for to in names]
            assert heard(house, "alice", to_the_room) == len(to_the_room)
            too_many = [line("alice", number, to) for number in range(40) for to in names]
            assert heard(house, "alice", too_many) < 20 * len(names)

    run(conversation())


def test_without_limits_nothing_is_bounded_but_the_number_of_connections() -> None:
    on = Limits()
    off = without(on)
    assert off.connections == off.connections_per_address == on.connections
    kept = {"connections", "linger_seconds", "turns_by_address", "gives_way", "whisper_queues"}
    bounds = [field.name for field in dataclasses.fields(Limits) if field.name not in kept]
    assert all(getattr(off, name) > 10 * getattr(on, name) or name == "connections_per_address" for name in bounds)
    assert not off.turns_by_address
    assert not off.gives_way
    assert off.whisper_queues == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread cannot be asked to stand back")
def test_slow_work_takes_what_the_event_loop_leaves_of_a_processor() -> None:
    work = slow_work.SlowWork(Limits())
    own, theirs = (
        os.getpriority(os.PRIO_PROCESS, 0),
        work.pool.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).result(),
    )
    work.stop()
    assert theirs == slow_work.NICE > own
    assert os.getpriority(os.PRIO_PROCESS, 0) == own

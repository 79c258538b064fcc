"""The event-loop runtime, with many members on real sockets."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from common import client as client_module
from common.client import Client
from common.errors import LabError
from common.hosts import ThisMachine
from common.limits import Limits
from common.messages import Say
from common.runtime import ServerRuntime
from common.session import Close, Send, ServerEffect
from common.what_if.framing_none import WhateverArrives
from common.wire import LineReader, Reader
from stages.stage1_plaintext.client import ClientSession
from tests.room import House, Member, Peer, joining, leave, room, run, saying

CLASS = 50


class Counting:
    """A transport that counts the writes that go through it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self.transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)


async def present(peer: Peer, roster: dict[str, Any], wanted: set[str]) -> None:
    """Follow who comes until these, and only these, are there."""
    names = {member["name"] for member in roster["members"]}
    while names != wanted:
        message = await peer.next()
        assert message is not None
        assert message["type"] == "joined"
        assert message["name"] not in names
        names.add(message["name"])


def test_whole_class_joins_at_once_and_each_sees_every_other_come_and_go() -> None:
    names = {f"member-{number}" for number in range(CLASS)}

    async def conversation() -> None:
        async with room() as house:
            unfinished = await house.peer()
            await unfinished.send(b'{"type":"join",')  # holds nobody up
            peers = {name: await house.peer() for name in sorted(names)}
            rosters = await asyncio.gather(*(peer.join(name) for name, peer in peers.items()))
            await asyncio.gather(*(present(p, r, names) for p, r in zip(peers.values(), rosters, strict=True)))

            thief = await house.peer()
            await thief.send(joining("member-7"))
            assert [message["code"] for message in await thief.rest()] == ["name-in-use"]

            await asyncio.gather(*(peer.send(saying(name, f"I am {name}")) for name, peer in peers.items()))
            for name, peer in peers.items():
                heard = [await peer.until("say") for _ in range(CLASS - 1)]
                assert {message["from"] for message in heard} == names - {name}

            last, *others = peers.values()
            for peer in others:
                peer.close()
            gone = [(await last.until("left"))["name"] for _ in others]
            assert set(gone) == names - {"member-0"}
            await unfinished.send(b'"name":"late","udp_port":9}\n')
            assert [m["name"] for m in (await unfinished.until("roster"))["members"]] == ["member-0", "late"]

    run(conversation())


async def watched(house: House, number: int) -> tuple[list[Peer], list[Any], list[Counting]]:
    """Members, the server's connections to them, and the counted transports of those."""
    peers = [await house.peer(f"member-{i}") for i in range(number)]
    for i, peer in enumerate(peers):
        for _ in range(number - 1 - i):
            await peer.until("joined")
    connections = sorted(house.runtime.connections.values(), key=lambda c: c.session.name)  # type: ignore[attr-defined]
    counting = [Counting(connection.transport) for connection in connections]
    for connection, transport in zip(connections, counting, strict=True):
        connection.transport = transport  # type: ignore[assignment]
    return peers, list(connections), counting


def burst(sender: str, number: int) -> bytes:
    """Many messages that arrive together."""
    return b"".join(json.dumps(saying(sender, f"{sender} {i}")).encode() + b"\n" for i in range(number))


def test_burst_is_one_write_for_each_member_whatever_the_number_of_messages() -> None:
    async def conversation() -> None:
        async with room(Limits(says_per_second=1000)) as house:
            peers, connections, counting = await watched(house, 5)
            connections[0].data_received(burst("member-0", 500))
            connections[1].data_received(burst("member-1", 500))
            for peer in peers[2:]:
                texts = [(await peer.until("say"))["text"] for _ in range(1000)]
                assert texts == [f"member-{who} {i}" for who in (0, 1) for i in range(500)]
            assert [len(transport.writes) for transport in counting] == [1] * 5
            assert counting[2].writes == counting[3].writes == counting[4].writes

    run(conversation())


def test_single_message_is_written_at_once() -> None:
    async def conversation() -> None:
        async with room() as house:
            peers, _, counting = await watched(house, 3)
            for number in range(3):
                await peers[0].send(saying("member-0", str(number)))
                for peer in peers[1:]:
                    assert (await peer.until("say"))["text"] == str(number)
            assert [len(transport.writes) for transport in counting] == [0, 3, 3]

    run(conversation())


def test_roster_and_everything_after_it_arrive_in_the_order_in_which_they_happened() -> None:
    async def conversation() -> None:
        async with room() as house:
            first = await house.peer("first")
            second = await house.peer()
            await second.send(joining("second"), saying("second", "hello"), saying("second", "to me", to="second"))
            second.sock.shutdown(socket.SHUT_WR)
            assert [m["type"] for m in await second.rest()] == ["roster", "say"]
            assert [(await first.next() or {})["type"] for _ in range(3)] == ["joined", "say", "left"]

    run(conversation())


def test_stopped_server_leaves_no_connection_open() -> None:
    async def conversation() -> None:
        async with room() as house:
            peer, half = await house.peer("alice"), await house.peer()
            await half.send(b"{")
            await house.runtime.stop()
            assert house.runtime.open == set()
            assert house.runtime.connections == {}
            for connection in (peer, half):
                with contextlib.suppress(ConnectionError):  # what it had sent was not read: it is reset
                    assert await connection.rest() == []
            assert house.runtime.open == set()
            with pytest.raises(ConnectionError):
                await Peer.connect(house.address)

    run(conversation())


def test_client_that_cannot_connect_gives_its_udp_port_back() -> None:
    class Watching(ThisMachine):
        async def bind_udp(self, port: int = 0) -> socket.socket:
            self.udp = await super().bind_udp(port)
            return self.udp

    async def conversation() -> None:
        host = Watching()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            with pytest.raises(Exception, match="Connection refused"):
                await Client.start(host, unused.getsockname(), lambda port: ClientSession("a", port), print)
        assert host.udp.fileno() == -1

    run(conversation())


def test_what_was_said_before_leaving_still_arrives() -> None:
    async def conversation() -> None:
        async with room() as house:
            alice, bob = await house.bystanders()
            for number in range(200):
                alice.says(f"{number} {'x' * 4000}")
            alice.says("/quit")
            for number in range(200):
                assert (await bob.next()).text.startswith(f"{number} ")
            await bob.sees("alice left")
            await alice.client.ended.wait()
            assert alice.unread() == []

    run(conversation())


@pytest.mark.parametrize(("reader", "heard"), [(LineReader, ["one", "two"]), (WhateverArrives, ["one"])])
def test_framing_decides_whether_the_second_of_two_messages_is_lost(
    reader: Callable[[], Reader], heard: list[str]
) -> None:
    roster = {"type": "roster", "members": []}

    async def conversation() -> None:
        done = asyncio.Event()

        async def attend(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
            await incoming.readline()
            messages = [roster, saying("bob", "one"), saying("bob", "two")]
            outgoing.write(json.dumps(messages[0]).encode() + b"\n")
            await incoming.readline()  # the client has seen that alone; the other two now arrive together
            outgoing.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages[1:]))
            outgoing.close()
            await outgoing.wait_closed()
            done.set()

        server = await asyncio.start_server(attend, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        member = Member()
        member.client = await Client.start(
            ThisMachine(), address, lambda port: ClientSession("alice", port), member.show, reader
        )
        assert (await member.next()).text.startswith("here: ")
        member.says("go on")
        await member.sees(*heard, "The connection ended; connecting again.")
        await leave(member)
        await done.wait()
        server.close()
        await server.wait_closed()

    run(conversation())


def test_client_leaves_a_server_that_names_members_without_end_and_one_that_comes_and_goes_is_one() -> None:
    person = {"address": "127.0.0.1", "udp_port": 9}

    async def conversation() -> None:
        async def attend(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
            await incoming.readline()
            messages: list[dict[str, Any]] = [{"type": "roster", "members": [], "more": False}]
            messages += [{"type": "joined", "name": "bob", **person}, {"type": "left", "name": "bob"}] * 10
            messages += [{"type": "joined", "name": f"m{number}", **person} for number in range(6)]
            outgoing.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
            await incoming.read()
            outgoing.close()
            await outgoing.wait_closed()

        server = await asyncio.start_server(attend, "127.0.0.1", 0)
        member, address = Member(), server.sockets[0].getsockname()
        member.client = await Client.start(
            *(ThisMachine(), address, lambda port: ClientSession("alice", port), member.show),
            limits=Limits(members=5),
        )
        await member.client.ended.wait()
        assert [show.text for show in member.seen[-2:]] == [
            "m4 joined, from 127.0.0.1",
            "The server names more than 5 members at once. No room is so large; this client left.",
        ]
        server.close()
        await server.wait_closed()

    run(conversation())


def test_client_that_cannot_write_down_what_it_accepts_shows_only_that_and_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def conversation() -> None:
        async with room() as house:
            alice, bob = await house.bystanders()

            def full(*_: object) -> list[object]:
                raise LabError("seen.json cannot be written (No space left on device); mend that and start again.")

            monkeypatch.setattr(bob.client.session, "received", full)
            alice.says("are you there?")
            await bob.sees("seen.json cannot be written (No space left on device); mend that and start again.")
            await bob.client.ended.wait()
            await alice.sees("bob left")
            assert not any(show.text == "are you there?" for show in bob.seen)

    run(conversation())


AGAIN = "The connection ended; connecting again."


def test_client_whose_connection_is_cut_comes_back_and_talks_on() -> None:
    async def conversation() -> None:
        async with room() as house:
            alice, bob = await house.bystanders()
            cut = next(c for session, c in house.runtime.connections.items() if session.name == "bob")
            cut.transport.abort()
            await bob.sees(AGAIN, "here: alice (127.0.0.1), bob (127.0.0.1)")
            await alice.sees("bob left", "bob joined, from 127.0.0.1")
            bob.says("back again")
            await alice.sees("back again")
            alice.says("/whisper bob good")
            await bob.sees("good")

    run(conversation())


def test_client_waits_longer_each_time_and_then_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "AGAIN_SECONDS", (0.0, 0.01, 0.02))

    async def conversation() -> None:
        async with room() as house:
            bob = await house.member("bob")
            await house.runtime.stop()
            await bob.sees(AGAIN, "The server cannot be reached any more; start the client again to come back.")
            await bob.client.ended.wait()
            bob.says("hello?")
            assert bob.unread() == []

    run(conversation())


def test_client_gives_up_on_a_server_that_takes_it_and_cuts_it_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "AGAIN_SECONDS", (0.0, 0.01, 0.02))

    async def conversation() -> None:
        async def hang_up(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
            outgoing.transport.abort()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        member = Member()
        member.client = await Client.start(ThisMachine(), address, lambda port: ClientSession("a", port), member.show)
        await member.client.ended.wait()
        assert [show.text for show in member.unread()][:-1] == [AGAIN] * 4
        server.close()
        await server.wait_closed()

    run(conversation())


def test_person_can_leave_while_the_client_connects_again() -> None:
    async def conversation() -> None:
        async with room() as house:
            bob = await house.member("bob")
            await house.runtime.stop()
            await bob.sees(AGAIN)
            bob.says("hello?")
            await bob.sees("There is no connection to the server right now; that was not sent.")
            bob.says("/quit")
            await bob.client.ended.wait()
            assert bob.unread() == []

    run(conversation())


class Echo:
    """A session that is not of any stage: it takes what stage 1's server takes and says it again."""

    def __init__(self) -> None:
        self.sessions: list[EchoSession] = []

    def session(self, address: str) -> "EchoSession":
        self.sessions.append(EchoSession(address))
        return self.sessions[-1]

    def remove(self, name: str) -> list[ServerEffect]:
        return []


class EchoSession:
    accepts: ClassVar[Any] = Say
    inside = True

    def __init__(self, address: str) -> None:
        self.address = address
        self.ended = 0

    def received(self, message: Any) -> list[ServerEffect]:
        return [Send(message, [self]), Close()]

    def disconnected(self) -> list[ServerEffect]:
        self.ended += 1
        return []


def test_session_is_told_its_peers_address_and_exactly_once_of_its_end() -> None:
    async def conversation() -> None:
        echo = Echo()
        runtime = ServerRuntime(echo, Limits())
        listener = await ThisMachine().listen(0)
        address = listener.getsockname()
        await runtime.start(listener)
        for _ in range(2):
            peer = await Peer.connect(address)
            await peer.send(saying("a", "one"), saying("a", "two"))
            assert [message["text"] for message in await peer.rest()] == ["one"]
            peer.close()
        await runtime.stop()
        assert [(session.address, session.ended) for session in echo.sessions] == [("127.0.0.1", 1)] * 2

    run(conversation())


def test_connections_that_are_closed_at_once_are_no_surprise() -> None:
    async def conversation() -> None:
        async with room() as house:
            for _ in range(20):
                (await Peer.connect(house.address)).close()
            alice = await house.member("alice")
            alice.says("/who")
            await alice.sees("here: alice (127.0.0.1)")

    run(conversation())

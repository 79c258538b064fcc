"""A member's whispers wait in a queue of their own: nobody else's datagrams fill it."""

import errno
import json
import socket
from collections.abc import Iterator

import pytest

from common.hosts import ThisMachine
from common.limits import Limits
from common.messages import Left
from tests.room import Member, room, run

FLOOD = 2000
"""More datagrams than a queue holds."""


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    """Somebody's UDP socket."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


def flood(source: socket.socket, member: Member) -> None:
    """More than the queue holds, before the member's client can read one."""
    for _ in range(FLOOD):
        source.sendto(b"!", ("127.0.0.1", member.client.session.udp_port))


async def told(member: Member, *kinds: str) -> list[str]:
    """What is shown of these kinds next, a line: a whisper, or that somebody left."""
    while (show := await member.next()).kind not in kinds:
        pass
    return [show.kind, show.sender, show.text]


@pytest.mark.parametrize("limits", [Limits(), Limits(whisper_queues=2)], ids=["all", "one each"])
def test_whisper_arrives_while_a_stranger_floods_the_port(stranger: socket.socket, limits: Limits) -> None:
    async def conversation() -> None:
        async with room(limits) as house:
            alice, bob = await house.bystanders()
            flood(stranger, bob)
            alice.says("/whisper bob can you hear me?")
            assert await told(bob, "whisper") == ["whisper", "alice", "can you hear me?"]

    run(conversation())


@pytest.mark.parametrize(("queues", "sender"), [(0, "alice"), (2, "carol")])
def test_without_a_queue_of_its_own_it_is_lost(stranger: socket.socket, queues: int, sender: str) -> None:
    async def conversation() -> None:
        async with room(Limits(whisper_queues=queues)) as house:
            members = dict(zip(("alice", "bob"), await house.bystanders(), strict=True))
            bob, members["carol"] = members["bob"], await house.member("carol")
            assert (await bob.next()).text == "carol joined, from 127.0.0.1"
            flood(stranger, bob)
            members[sender].says("/whisper bob can you hear me?")
            members[sender].says("and here?")
            assert await told(bob, "whisper", "room") == ["room", sender, "and here?"]

    run(conversation())


def test_who_goes_gives_the_queue_back_and_what_they_whispered_before_is_heard() -> None:
    async def conversation() -> None:
        async with room() as house:
            _, bob = await house.bystanders()
            whispers = bob.client._whispers
            assert set(whispers._queues) == {"alice"}
            with socket.socket(type=socket.SOCK_DGRAM) as carols:
                carols.bind(("127.0.0.1", 0))
                carol = await house.peer()
                await carol.send({"type": "join", "name": "carol", "udp_port": carols.getsockname()[1]})
                assert (await bob.next()).text == "carol joined, from 127.0.0.1"
                line = {"type": "whisper", "from": "carol", "to": "bob", "text": "bye"}
                carols.sendto(json.dumps(line).encode(), ("127.0.0.1", bob.client.session.udp_port))
                whispers.who_is_there(Left(name="carol"))  # it came, and nothing has read it yet
                assert (await bob.next()).text == "bye"
                assert set(whispers._queues) == {"alice"}

    run(conversation())


def no_descriptor() -> socket.socket:
    """What a process gets that has too many files open."""
    raise OSError(errno.EMFILE, "Too many open files")


def test_port_of_a_client_is_nobody_elses_and_a_queue_that_cannot_be_had_is_done_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def conversation() -> None:
        host = ThisMachine()
        with await host.bind_udp() as sock, await host.bind_udp() as other:
            queue = host.udp_queue(sock, other.getsockname())
            assert queue is not None
            with queue:
                assert queue.getsockname() == sock.getsockname()
                with pytest.raises(OSError, match="in use"), socket.socket(type=socket.SOCK_DGRAM) as another:
                    another.bind(sock.getsockname())
            assert host.udp_queue(sock, ("255.255.255.255", 9)) is None
            with monkeypatch.context() as patch:
                patch.setattr("common.hosts.udp_socket", no_descriptor)
                assert host.udp_queue(sock, other.getsockname()) is None

    run(conversation())

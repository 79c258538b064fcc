"""The loopback network: a relay for a cable, which also writes what it carries as frames."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator

import pytest

import common.loopback
from attacks.packets import ACK, SYN, dissected
from common.dns import NameServer
from common.errors import LabError
from common.lan import Kind
from common.loopback import Intercepted, Loopback, LoopbackHost
from common.session import Address
from tests.room import run


@contextlib.asynccontextmanager
async def loopback() -> AsyncIterator[Loopback]:
    """A loopback network; whatever it started has ended afterwards."""
    network = Loopback()
    try:
        yield network
    finally:
        tasks = list(network._tasks)
        network.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the callbacks that close what the tasks owned


async def talk(client: LoopbackHost, server: LoopbackHost, words: bytes) -> Address:
    """Client says words and ends its direction; server says them back in capitals, and ends its own."""
    loop = asyncio.get_running_loop()
    with (
        await server.listen(0) as listener,
        await client.connect(server.address, listener.getsockname()[1]) as near,
    ):
        far, seen = await loop.sock_accept(listener)
        with far:
            await loop.sock_sendall(near, words)
            near.shutdown(socket.SHUT_WR)
            await loop.sock_sendall(far, (await everything(far)).upper())
            far.shutdown(socket.SHUT_WR)
            assert await everything(near) == words.upper()
            address: Address = seen
            return address


async def everything(sock: socket.socket) -> bytes:
    """All that comes until the end of the stream."""
    loop, data = asyncio.get_running_loop(), b""
    while piece := await loop.sock_recv(sock, 1 << 16):
        data += piece
    return data


def frames(tap: socket.socket) -> list[bytes]:
    """What a tap has heard."""
    heard = []
    with contextlib.suppress(BlockingIOError):
        while True:
            heard.append(tap.recv(1 << 16))
    return heard


def test_relay_carries_a_connection_and_the_server_sees_the_clients_address() -> None:
    async def conversation() -> None:
        async with loopback() as network:
            seen = await talk(network.hosts["alice"], network.hosts["server"], b"hello" * 50_000)
            assert seen[0] == network.hosts["alice"].address
            assert re.fullmatch(r"127\.0\.\d+\.21", seen[0])

    run(conversation())


def test_relay_carries_datagrams_under_the_senders_address() -> None:
    async def conversation() -> None:
        loop = asyncio.get_running_loop()
        async with loopback() as network:
            alice, bob = network.hosts["alice"], network.hosts["bob"]
            with await alice.bind_udp() as one, await bob.bind_udp() as other:
                port = other.getsockname()[1]
                await loop.sock_sendto(one, b"psst", (bob.address, port))
                data, source = await loop.sock_recvfrom(other, 100)
                assert (data, source) == (b"psst", (alice.address, one.getsockname()[1]))
                await loop.sock_sendto(other, b"what?", source)
                assert await loop.sock_recvfrom(one, 100) == (b"what?", (bob.address, port))

    run(conversation())


def test_mirror_hears_a_tcp_stream_that_adds_up() -> None:
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether

    words = bytes(range(256)) * 20  # several segments

    async def conversation() -> None:
        async with loopback() as network:
            alice, server = network.hosts["alice"], network.hosts["server"]
            with network.mirror() as tap:
                await talk(alice, server, words)
                packets = [Ether(frame) for frame in frames(tap)]
        assert [str(packet[TCP].flags) for packet in packets[:3]] == ["S", "SA", "A"]
        assert {str(packet[TCP].flags) for packet in packets[3:]} == {"PA", "FA"}
        assert all(len(packet) <= 1514 for packet in packets)
        for source, target, said in ((alice, server, words), (server, alice, words.upper())):
            stream, position = b"", -1
            sent = [packet for packet in packets if packet[IP].src == source.address]
            assert {(p.src, p.dst, p[IP].dst) for p in sent} == {(source.mac, target.mac, target.address)}
            for packet in sent:
                checked = Ether(bytes(packet))
                del checked[IP].chksum, checked[TCP].chksum
                checked = Ether(bytes(checked))
                assert (checked[IP].chksum, checked[TCP].chksum) == (packet[IP].chksum, packet[TCP].chksum)
            for packet in sent:
                if "S" in packet[TCP].flags:
                    position = packet[TCP].seq + 1 & 0xFFFFFFFF
                    continue
                assert packet[TCP].seq == position
                payload = bytes(packet[TCP].payload) if packet[TCP].flags == "PA" else b""
                stream, position = stream + payload, position + len(payload) & 0xFFFFFFFF
            assert stream == said

    run(conversation())


def test_relay_begins_each_direction_at_a_number_of_its_own_and_acknowledges_it() -> None:
    async def conversation() -> None:
        async with loopback() as network:
            alice, server = network.hosts["alice"], network.hosts["server"]
            with network.mirror() as tap:
                await talk(alice, server, b"hello")
                await talk(alice, server, b"hello again")
                heard = [packet for frame in frames(tap) if (packet := dissected(frame))]
        opening = [n for n, packet in enumerate(heard) if packet.flags == SYN]
        for syn, synack, ack in (heard[n : n + 3] for n in opening):
            assert (synack.flags, ack.flags) == (SYN | ACK, ACK)
            assert synack.ack == ack.seq == syn.seq + 1 & 0xFFFFFFFF
            assert ack.ack == synack.seq + 1 & 0xFFFFFFFF
        assert len({heard[at].seq for n in opening for at in (n, n + 1)}) == 4

    run(conversation())


def test_mirror_hears_datagrams() -> None:
    from scapy.layers.inet import UDP
    from scapy.layers.l2 import Ether

    async def conversation() -> None:
        loop = asyncio.get_running_loop()
        async with loopback() as network:
            alice, bob = network.hosts["alice"], network.hosts["bob"]
            with network.mirror() as tap, await alice.bind_udp() as one, await bob.bind_udp() as other:
                ports = (one.getsockname()[1], other.getsockname()[1])
                await loop.sock_sendto(one, b"psst", (bob.address, ports[1]))
                await loop.sock_recv(other, 100)
                (packet,) = (Ether(frame) for frame in frames(tap))
        assert (packet[UDP].sport, packet[UDP].dport, bytes(packet[UDP].payload)) == (*ports, b"psst")
        assert (packet.src, packet.dst) == (alice.mac, bob.mac)

    run(conversation())


@pytest.mark.parametrize(("kind", "overheard"), [("hub", True), ("switch", False)])
def test_listener_hears_others_on_a_hub_and_not_on_a_switch(kind: Kind, overheard: bool) -> None:
    async def conversation() -> None:
        async with loopback() as network:
            network.become(kind)
            assert network.kind == kind
            with network.hosts["eve"].packet_socket() as eve, network.hosts["alice"].packet_socket() as alice:
                await talk(network.hosts["alice"], network.hosts["server"], b"the words")
                assert any(b"the words" in frame for frame in frames(alice))
                assert any(b"the words" in frame for frame in frames(eve)) == overheard

    run(conversation())


def test_whoever_holds_the_relay_can_change_what_a_connection_carries() -> None:
    async def change(held: Intercepted) -> None:
        loop = asyncio.get_running_loop()
        assert held.client[0].startswith("127.0.")
        assert (held.client[0].rpartition(".")[2], held.server[0].rpartition(".")[2]) == ("21", "10")
        with await held.dial() as onward:
            await loop.sock_sendall(onward, (await everything(held.sock)).replace(b"alice", b"mallory"))
            onward.shutdown(socket.SHUT_WR)
            await loop.sock_sendall(held.sock, (await everything(onward)).replace(b"MALLORY", b"ALICE"))
            held.sock.shutdown(socket.SHUT_WR)

    async def conversation() -> None:
        async with loopback() as network:
            with network.mirror() as tap:
                network.intercept_tcp = change
                seen = await talk(network.hosts["alice"], network.hosts["server"], b"I am alice")
                heard = frames(tap)
            assert seen[0] == network.hosts["alice"].address
            assert any(b"I am alice" in frame for frame in heard)
            assert any(b"I am mallory" in frame for frame in heard)

    run(conversation())


def test_whoever_holds_the_relay_can_change_and_lose_datagrams() -> None:
    async def conversation() -> None:
        loop = asyncio.get_running_loop()
        async with loopback() as network:
            alice, bob = network.hosts["alice"], network.hosts["bob"]
            network.intercept_udp = lambda data, source, target: None if data == b"lost" else data.upper()
            with await alice.bind_udp() as one, await bob.bind_udp() as other:
                for data in (b"lost", b"psst"):
                    await loop.sock_sendto(one, data, (bob.address, other.getsockname()[1]))
                assert await loop.sock_recv(other, 100) == b"PSST"

    run(conversation())


def test_connection_to_a_server_that_is_gone_ends() -> None:
    async def conversation() -> None:
        async with loopback() as network:
            alice, server = network.hosts["alice"], network.hosts["server"]
            with await server.listen(0) as listener:
                port = listener.getsockname()[1]
            with await alice.connect(server.address, port) as sock:
                assert await everything(sock) == b""
            with socket.socket() as unused:
                unused.bind((server.address, 0))
                port = unused.getsockname()[1]
                with pytest.raises(LabError, match=rf"^Cannot reach {server.address} port {port} \(Connection refused"):
                    await alice.connect(server.address, port)

    run(conversation())


def test_port_in_use_is_one_sentence() -> None:
    async def conversation() -> None:
        async with loopback() as network:
            server = network.hosts["server"]
            with await server.listen(0) as listener, pytest.raises(LabError, match=r"^Cannot listen on 127"):
                await server.listen(listener.getsockname()[1])
            with await server.bind_udp() as udp, pytest.raises(LabError, match=r"^Cannot use UDP port \d+ of 127"):
                await server.bind_udp(udp.getsockname()[1])

    run(conversation())


def test_names_are_found_through_the_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    async def conversation() -> None:
        async with loopback() as network:
            with await network.hosts["dns"].bind_udp() as free:
                monkeypatch.setattr("common.loopback.DNS_PORT", free.getsockname()[1] ^ 1)
            names = NameServer({"server.lab.test": network.hosts["server"].address})
            await names.start(network.hosts["dns"], common.loopback.DNS_PORT)
            assert await network.hosts["alice"].resolve("server.lab.test") == network.hosts["server"].address
            with pytest.raises(LabError, match=r"^nobody.lab.test is a name not in the zone "):
                await network.hosts["alice"].resolve("nobody.lab.test")
            names.close()

    run(conversation())


@pytest.mark.parametrize("at_once", [True, False])
def test_closed_network_listens_nowhere_and_drops_what_it_carried(at_once: bool) -> None:
    async def conversation() -> None:
        loop = asyncio.get_running_loop()
        async with loopback() as network:
            alice, server = network.hosts["alice"], network.hosts["server"]
            listener = await server.listen(0)
            port = listener.getsockname()[1]
            whispers = await alice.bind_udp()
            carried: list[socket.socket] = []
            if not at_once:
                near = await alice.connect(server.address, port)
                far, _ = await loop.sock_accept(listener)
                await loop.sock_sendall(near, b"hello")
                assert await loop.sock_recv(far, 100) == b"hello"
                carried = [near, far]
        with listener, whispers:
            for end in carried:
                with end:
                    assert await everything(end) == b""
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((server.address, port))
            with socket.socket(type=socket.SOCK_DGRAM) as free:
                free.bind((alice.address, whispers.getsockname()[1]))

    run(conversation())


def test_two_networks_at_once_have_addresses_of_their_own() -> None:
    async def conversation() -> None:
        async with loopback() as one, loopback() as other:
            assert {host.address for host in one.hosts.values()} & {
                host.address for host in other.hosts.values()
            } == set()
            for network in (one, other):
                (await network.hosts["server"].listen(5001)).close()

    run(conversation())


def test_addresses_are_given_back_only_when_nothing_listens_there_any_more() -> None:
    async def conversation() -> None:
        first = Loopback()
        (await first.hosts["dns"].listen(0)).close()
        tasks = list(first._tasks)
        first.close()
        second = Loopback()  # another process, at the worst moment
        assert second.block != first.block
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
        assert first._lock.fileno() == -1  # not `Loopback().block`: another process may have been quicker
        second.close()

    run(conversation())

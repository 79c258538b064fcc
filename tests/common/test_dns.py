import asyncio
import socket

import pytest
from dnslib import RCODE, DNSRecord
from hypothesis import example, given
from hypothesis import strategies as st

from common import dns
from common.dns import NameServer, answer, resolve
from common.errors import LabError
from common.hosts import ThisMachine
from tests.room import run

ZONE = {"server.lab.test": "10.13.37.10"}
QUERY = bytes(DNSRecord.question("server.lab.test").pack())
REPLY = answer(QUERY, ZONE)


def mutated(data: bytes) -> st.SearchStrategy[bytes]:
    """The data with some bytes changed, and perhaps cut short."""
    changes = st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=4)

    def change(pairs: list[tuple[int, int]], size: int) -> bytes:
        copy = bytearray(data)
        for place, value in pairs:
            copy[place] = value
        return bytes(copy[:size])

    return st.builds(change, changes, st.integers(0, len(data)) | st.just(len(data)))


def test_name_server_answers_for_its_names_in_any_case() -> None:
    for name in ("server.lab.test", "SERVER.Lab.test"):
        reply = DNSRecord.parse(answer(bytes(DNSRecord.question(name).pack()), ZONE))
        assert [str(record.rdata) for record in reply.rr] == ["10.13.37.10"]


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("nobody.lab.test", "A", RCODE.NXDOMAIN),
        (".", "A", RCODE.NXDOMAIN),
        ("server.lab.test", "AAAA", RCODE.NOERROR),  # the name is there, and has no such address
    ],
)
def test_name_server_says_that_there_is_no_such_name(name: str, kind: str, code: int) -> None:
    reply = DNSRecord.parse(answer(bytes(DNSRecord.question(name, kind).pack()), ZONE))
    assert (reply.header.rcode, reply.rr) == (code, [])


def test_name_server_does_not_answer_an_answer() -> None:
    assert answer(REPLY, ZONE) == b""


@given(st.binary(max_size=60) | mutated(QUERY) | mutated(REPLY))
@example(QUERY[:12] + (b"\x3f" + b"x" * 63) * 5 + b"\0\0\1\0\1")
@example(QUERY[:12] + b"\xc0\x0c\0\1\0\1")
def test_name_server_answers_any_bytes_with_a_reply_or_nothing(data: bytes) -> None:
    reply = answer(data, ZONE)
    assert reply == b"" or DNSRecord.parse(reply).header.qr == 1


def test_resolver_finds_a_name_and_takes_an_address_as_it_is() -> None:
    async def conversation() -> None:
        with await ThisMachine().bind_udp() as taken:
            port = taken.getsockname()[1]
        server = NameServer(ZONE)
        await server.start(ThisMachine(), port)
        assert await resolve(ThisMachine(), "127.0.0.1", port, "server.lab.test") == "10.13.37.10"
        assert await resolve(ThisMachine(), "127.0.0.1", port, "10.13.37.99") == "10.13.37.99"
        with pytest.raises(LabError, match=r"^nobody.lab.test is a name not in the zone .* \(NXDOMAIN\); is it spelt"):
            await resolve(ThisMachine(), "127.0.0.1", port, "nobody.lab.test")
        server.close()

    run(conversation())


@pytest.mark.parametrize("name", ["x" * 70, "a..b", "a." * 200 + "lab.test"])
def test_resolver_says_in_one_sentence_what_can_be_no_name(name: str) -> None:
    with pytest.raises(LabError, match=r"can be no name; the lab's are such as server\.lab\.test\.$"):
        run(resolve(ThisMachine(), "127.0.0.1", 9, name))


def test_resolver_says_that_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "SECONDS_A_TRY", 0.02)

    async def conversation() -> None:
        with await ThisMachine().bind_udp() as silent:
            with pytest.raises(LabError, match=r"^The lab's name server does not answer for server\.lab\.test;"):
                await resolve(ThisMachine(), "127.0.0.1", silent.getsockname()[1], "server.lab.test")
            silent.setblocking(False)
            assert len({silent.recvfrom(512)[1] for _ in range(dns.TRIES)}) == 1

    run(conversation())


def test_resolver_takes_no_answer_but_that_of_its_server_to_its_question() -> None:
    async def conversation() -> None:
        loop = asyncio.get_running_loop()
        with await ThisMachine().bind_udp() as server, await ThisMachine().bind_udp() as mallory:
            port = server.getsockname()[1]
            asking = asyncio.create_task(resolve(ThisMachine(), "127.0.0.1", port, "server.lab.test"))
            query, resolver = await loop.sock_recvfrom(server, 512)
            right = answer(query, {"server.lab.test": "10.13.37.10"})
            wrong = answer(query, {"server.lab.test": "10.13.37.99"})
            other = DNSRecord.parse(query)
            other.header.id ^= 1
            another = DNSRecord.question("other.lab.test")
            another.header.id = other.header.id ^ 1
            forged: list[tuple[socket.socket, bytes]] = [
                (mallory, wrong),
                (server, b"\xff"),
                (server, wrong[:20]),
                (server, answer(bytes(other.pack()), {"server.lab.test": "10.13.37.99"})),
                (server, answer(bytes(another.pack()), {"other.lab.test": "10.13.37.99"})),
                (server, right),
            ]
            for sock, data in forged:
                await loop.sock_sendto(sock, data, resolver)
            assert await asking == "10.13.37.10"

    run(conversation())


def test_each_question_has_a_number_and_a_port_of_its_own() -> None:
    async def conversation() -> None:
        loop = asyncio.get_running_loop()
        with await ThisMachine().bind_udp() as server:
            asked: list[tuple[int, int]] = []
            for _ in range(8):
                asking = asyncio.create_task(
                    resolve(ThisMachine(), "127.0.0.1", server.getsockname()[1], "server.lab.test")
                )
                query, resolver = await loop.sock_recvfrom(server, 512)
                asked.append((DNSRecord.parse(query).header.id, resolver[1]))
                await loop.sock_sendto(server, answer(query, ZONE), resolver)
                await asking
            assert len({number for number, _ in asked}) > 4
            assert len({port for _, port in asked}) > 4

    run(conversation())


def test_resolver_asks_again_where_a_question_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "SECONDS_A_TRY", 0.02)

    async def conversation() -> None:
        loop = asyncio.get_running_loop()
        with await ThisMachine().bind_udp() as server:
            asking = asyncio.create_task(
                resolve(ThisMachine(), "127.0.0.1", server.getsockname()[1], "server.lab.test")
            )
            await loop.sock_recvfrom(server, 512)
            query, resolver = await loop.sock_recvfrom(server, 512)
            await loop.sock_sendto(server, answer(query, ZONE), resolver)
            assert await asking == "10.13.37.10"

    run(conversation())


def test_resolver_says_that_garbage_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "SECONDS_A_TRY", 0.05)

    async def conversation() -> None:
        loop = asyncio.get_running_loop()
        with await ThisMachine().bind_udp() as server:
            asking = asyncio.create_task(
                resolve(ThisMachine(), "127.0.0.1", server.getsockname()[1], "server.lab.test")
            )
            _, resolver = await loop.sock_recvfrom(server, 512)
            await loop.sock_sendto(server, b"\xff" * 30, resolver)
            with pytest.raises(
                LabError, match=r"^What the lab's name server answers for server.lab.test cannot be read"
            ):
                await asking

    run(conversation())


class CutShort(NameServer):
    """A name server whose every answer is too long for a datagram."""

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport
        self._transport.sendto(dns.cut_short(DNSRecord.parse(answer(data, self.zone))), addr)


def test_resolver_asks_by_tcp_where_the_answer_was_cut() -> None:
    async def conversation() -> None:
        with await ThisMachine().bind_udp() as taken:
            port = taken.getsockname()[1]
        heard: list[str] = []
        server = CutShort(ZONE, heard.append)
        await server.start(ThisMachine(), port)
        assert await resolve(ThisMachine(), "127.0.0.1", port, "server.lab.test") == "10.13.37.10"
        assert heard == ["127.0.0.1 asks for server.lab.test. (A): 10.13.37.10"]
        server.close()

    run(conversation())


@pytest.mark.parametrize("said", [b"", b"\0", b"\0\4abcd", b"\xff\xff" + b"x" * 100, b"\0\0"])
def test_name_server_survives_any_bytes_by_tcp(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "SECONDS_A_TRY", 0.05)

    async def conversation() -> None:
        with await ThisMachine().bind_udp() as taken:
            port = taken.getsockname()[1]
        server = NameServer(ZONE)
        await server.start(ThisMachine(), port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        assert await reader.read() == b""
        writer.close()
        assert await resolve(ThisMachine(), "127.0.0.1", port, "server.lab.test") == "10.13.37.10"
        server.close()

    run(conversation())

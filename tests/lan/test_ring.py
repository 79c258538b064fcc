"""The ring: what a plain socket hears, in order, at once; and what it loses is counted and said."""

import asyncio
import select
import socket

import pytest

from attacks.tap import frames
from common.lan import Lan, LanHost
from common.ring import PlainEar, RingEar, ear_of
from tests.room import run

FRAMES = 2_000
LATENCY_SECONDS = 1.0


def say(host: LanHost, *words: bytes) -> None:
    """Broadcasts with the EtherType for local experiments (IEEE 802)."""
    head = b"\xff" * 6 + bytes.fromhex(host.mac.replace(":", "")) + b"\x88\xb5"
    with host.packet_socket() as out:
        out.setblocking(True)
        for word in words:
            out.send(head + word.ljust(100, b"."))


def words_in(heard: list[bytes]) -> list[bytes]:
    return [frame[14:].rstrip(b".") for frame in heard if frame[12:14] == b"\x88\xb5"]


def test_ring_hears_what_a_plain_socket_hears_also_what_came_before_the_first_read(lan: Lan) -> None:
    said = [b"word %d" % number for number in range(100)]
    with ear_of(lan.hosts["eve"].packet_socket()) as ring, PlainEar(lan.hosts["eve"].packet_socket()) as plain:
        assert isinstance(ring, RingEar)
        say(lan.hosts["alice"], *said)
        heard = list(ring.flushed())
        assert words_in(heard) == said
        assert words_in(list(plain.heard())) == said
        assert ring.lost == plain.lost == 0


def test_tiny_ring_goes_round_and_loses_nothing_that_is_read_in_time(lan: Lan) -> None:
    with RingEar(lan.hosts["eve"].packet_socket(), blocks=2, block_bytes=4096) as ring:
        heard = []
        for number in range(200):
            say(lan.hosts["alice"], b"%d" % number)
            heard += words_in(list(ring.flushed()))
        assert heard == [b"%d" % number for number in range(200)]
        assert ring.lost == 0


def test_tiny_ring_that_nobody_reads_counts_what_it_lost(lan: Lan) -> None:
    with RingEar(lan.hosts["eve"].packet_socket(), blocks=2, block_bytes=4096) as ring:
        say(lan.hosts["alice"], *(b"%d" % number for number in range(FRAMES)))
        heard = words_in(list(ring.flushed()))
        assert heard[0] == b"0"
        assert len(heard) < FRAMES
        assert ring.lost >= FRAMES - len(heard)


def test_frame_alone_is_handed_over_at_once(lan: Lan) -> None:
    with ear_of(lan.hosts["eve"].packet_socket()) as ring:
        say(lan.hosts["alice"], b"one")
        assert select.select([ring], [], [], LATENCY_SECONDS)[0]
        assert words_in(list(ring.heard())) == [b"one"]


def test_tap_says_that_packets_were_lost(lan: Lan, monkeypatch: pytest.MonkeyPatch) -> None:
    class Foothold:
        host = lan.hosts["eve"]
        notes: list[str] = []  # noqa: RUF012 - one test, one object
        note = notes.append

    monkeypatch.setattr("attacks.tap.ear_of", lambda sock: RingEar(sock, blocks=2, block_bytes=4096))

    async def listen() -> None:
        heard: list[bytes] = []
        with frames(Foothold(), heard.append):  # type: ignore[arg-type]
            say(lan.hosts["alice"], *(b"%d" % number for number in range(FRAMES)))
            await asyncio.sleep(0)

    run(listen())
    assert Foothold.notes[-1].endswith(" packets were lost: this transcript has gaps")


def test_where_the_kernel_makes_no_ring_recv_hears_and_the_reason_is_said(
    lan: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.ring._V3", 77)
    with ear_of(lan.hosts["eve"].packet_socket()) as ear:
        assert not isinstance(ear, RingEar)
        assert ear.why.startswith("no ring for packets here (Invalid argument)")
        say(lan.hosts["alice"], b"one")
        assert words_in(list(ear.flushed())) == [b"one"]


def test_loopback_network_has_a_plain_ear_and_nothing_to_explain() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with theirs, ear_of(ours) as ear:
        theirs.send(b"a frame")
        assert (list(ear.heard()), ear.lost, ear.why) == ([b"a frame"], 0, "")

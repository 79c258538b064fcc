"""One frame taken apart."""

from hypothesis import given
from hypothesis import strategies as st

from attacks.packets import Packet, dissected, plain
from tests.captures import ACK, ALICE, BOB, SERVER, SYN, arp, ip, tcp, udp


def test_tcp_segment_tells_flags_numbers_and_what_it_carries() -> None:
    frame = tcp(b"data", 2**32 - 1, flags=SYN | ACK, ack=7, options=b"\1" * 8)
    expected = Packet("TCP", (ALICE, 4000), (SERVER, 5001), SYN | ACK, 2**32 - 1, 7, b"data")
    assert dissected(frame) == expected
    assert dissected(frame + b"padding") == expected


def test_datagram_is_read_through_tags_and_options() -> None:
    body = udp(b"data")[34:]
    assert dissected(udp(b"data")) == dissected(ip(ALICE, BOB, 17, body, tags=[1, 2], options=b"\1" * 4))
    assert plain(ip(ALICE, BOB, 17, body, tags=[1], options=b"\1" * 40)) == ip(ALICE, BOB, 17, body)


def test_arp_tells_who_asks_and_who_says_what() -> None:
    asked, told = dissected(arp(1, ALICE, BOB, card=ALICE)), dissected(arp(2, SERVER, ALICE, card="mallory"))
    assert asked
    assert told
    assert (asked.source[0], asked.target[0], asked.about) == (ALICE, BOB, f"who has {BOB}?")
    assert (told.source[0], told.about) == (SERVER, f"{SERVER} is at 02:00:00:00:00:63")
    gratuitous = dissected(arp(1, ALICE, ALICE, card="mallory"))
    assert gratuitous
    assert gratuitous.about == f"{ALICE} is at 02:00:00:00:00:63"


def test_fragment_says_where_it_belongs_and_what_is_not_whole_is_none() -> None:
    assert dissected(ip(ALICE, BOB, 17, b"12345678", part=0x2003)) == Packet(
        "UDP", (ALICE, 0), (BOB, 0), about="fragment at 24"
    )
    assert dissected(udp(b"data")[:-1]) is None
    assert dissected(udp(b"data")[:12] + b"\x86\xdd" + bytes(40)) is None  # IPv6


def test_many_tags_are_not_followed_for_ever() -> None:
    assert dissected(ip(ALICE, BOB, 17, bytes(8), tags=[1] * 3)) is None


@given(st.binary(max_size=80), st.sampled_from([b"\x08\x00", b"\x08\x06", b"\x81\x00"]))
def test_any_bytes_are_a_packet_or_none(data: bytes, kind: bytes) -> None:
    packet = dissected(data[:12] + kind + data[12:])
    assert packet is None or len(packet.data) <= len(data)

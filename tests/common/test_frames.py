"""The relay's frames: byte for byte those that scapy, which nobody here wrote, makes of the same conversation."""

from hypothesis import example, given
from hypothesis import strategies as st

from common import frames
from common.session import Address

MACS = ("02:00:00:00:00:15", "02:00:00:00:00:0a")
ends = st.tuples(st.ip_addresses(v=4).map(str), st.integers(1, 65535))
numbers = st.integers(0, 2**33)


@given(ends, ends, st.sampled_from(["S", "SA", "A", "PA", "FA", "R"]), numbers, numbers, st.binary(max_size=99))
def test_segment_is_what_scapy_makes(
    source: Address, target: Address, flags: str, seq: int, ack: int, data: bytes
) -> None:
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether

    tcp = TCP(sport=source[1], dport=target[1], flags=flags, seq=seq % 2**32, ack=ack % 2**32, window=0xFFFF)
    ether = Ether(src=MACS[0], dst=MACS[1])
    expected = bytes(ether / IP(src=source[0], dst=target[0], id=0, flags="DF") / tcp / data)
    assert frames.frame(*MACS, frames.segment((source, target), flags, seq, ack, data)) == expected


@given(ends, ends, st.binary(max_size=99))
@example(("0.0.0.0", 1), ("0.0.0.0", 65488), b"\x00\x09")  # its checksum comes to zero
def test_datagram_is_what_scapy_makes(source: Address, target: Address, data: bytes) -> None:
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    udp = UDP(sport=source[1], dport=target[1])
    expected = bytes(Ether(src=MACS[0], dst=MACS[1]) / IP(src=source[0], dst=target[0], id=0, flags="DF") / udp / data)
    assert frames.frame(*MACS, frames.datagram((source, target), data)) == expected

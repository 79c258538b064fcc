"""Facts of a run about what carries the messages: ports and frames, TLS, and who claims an address by ARP."""

import socket
from collections.abc import Sequence
from typing import Any, Final

from attacks.packets import ACK, SYN
from common.lan import CARDS, PLAN, PREFIX
from lab.answers import frame_number
from lab.fact import Fact, words
from lab.last_run import Absent, Run
from lab.question_file import plain
from lab.reading import name_of
from lab.tls_records import APPLICATION, CLIENT_HELLO, SERVER_HELLO, VERSIONS, hello, records, server_name, version

DNS_PORTS: Final = (53, 5053)
_MALLORY: Final = bytes.fromhex(CARDS["mallory"].replace(":", ""))
_SERVER: Final = socket.inet_aton(f"{PREFIX}.{PLAN['server']}")


def server_port_of_client(run: Run) -> Fact:
    """Alice's own port in her TCP connection to the server: `tcp.srcport` of her SYN."""
    ((_, syn), *_), others = _syns(run)
    return Fact(
        {syn.source[1]},
        [
            ({syn.target[1]}, "{n} is the server's port, the one at which it listens for everybody."),
            ({packet.source[1] for _, packet in others}, "{n} is another client's port."),
            (_udp_ports(run, "alice"), "{n} is Alice's UDP port, at which she hears whispers."),
        ],
    )


def alice_udp_port(run: Run) -> Fact:
    """The port at which Alice hears whispers: `udp_port` in what she says first, or `udp.srcport` of her whisper."""
    mine = _udp_ports(run, "alice")
    if not mine:
        raise Absent("Nothing in this run shows Alice's UDP port.")
    ((_, syn), *_), _ = _syns(run)
    return Fact(
        mine,
        [
            ({syn.source[1]}, "{n} is the port of her TCP connection."),
            ({syn.target[1]}, "{n} is the server's TCP port."),
            (_udp_ports(run, "bob") | _udp_ports(run, "carol"), "{n} is the UDP port of another member."),
            (DNS_PORTS, "{n} is the name server's."),
        ],
    )


def syn_frame(run: Run) -> Fact:
    """The frame with which Alice opens her connection: `tcp.flags.syn == 1 && tcp.flags.ack == 0`, from her."""
    (mine, others) = _syns(run)
    answer = [n for n, packet in run.packets("TCP") if packet.flags & SYN and packet.flags & ACK]
    return Fact(
        {mine[0][0]},
        [
            (answer, "{n} is a SYN-ACK, with which the server answers."),
            ([n for n, _ in others], "{n} is the SYN of another client."),
            ([n for n, _ in mine[1:]], "{n} opens a later connection of hers."),
        ],
        frame_number,
    )


def dns_query_frame(run: Run) -> Fact:
    """The first frame in which a name is asked for: `dns.flags.response == 0`."""
    asked = [n for n, packet in run.packets("UDP") if packet.target[1] in DNS_PORTS]
    answers = [n for n, packet in run.packets("UDP") if packet.source[1] in DNS_PORTS]
    if not asked:
        raise Absent("Nobody asks for a name in this run.")
    return Fact({asked[0]}, [(answers, "{n} is an answer."), (asked[1:], "{n} asks too, but later.")], frame_number)


def tls_version(run: Run) -> Fact:
    """The version that the server chose: `tls.handshake.extensions.supported_version` of its ServerHello."""
    said = hello(_records(run), SERVER_HELLO)
    if not said:
        raise Absent("There is no ServerHello in this run.")
    chosen, old = version(said), int.from_bytes(said[:2], "big")
    legacy = _spellings(old) if old != chosen else []
    says = (
        "{n} is what the old version field of every hello says, for the sake of old boxes on the way (RFC 8446, 4.1.3)."
    )
    client = [*_spellings(0x0301), "tls"]
    return Fact(_spellings(chosen), [(legacy, says), (client, "{n} is not what was agreed on.")], words)


def certificate_name(run: Run) -> Fact:
    """The name that the client asks for and the certificate must have: `tls.handshake.extensions_server_name`."""
    said = hello(_records(run), CLIENT_HELLO)
    if not said:
        raise Absent("There is no ClientHello in this run.")
    name = server_name(said)
    address = [packet.target[0] for _, packet in run.packets("TCP") if packet.target[1] == run.stage.port][:1]
    return Fact(
        [plain(name)],
        [
            ([name.partition(".")[0]], "{n} is the first part of it; a certificate has the whole name."),
            (address, "{n} is the address that was dialled; the name is checked whatever that is."),
        ],
        words,
    )


def first_tls_application_frame(run: Run) -> Fact:
    """The first frame with a TLS record of content type 23: `tls.record.opaque_type == 23`."""
    found = list(_records(run))
    hidden = [record.number for record in found if record.kind == APPLICATION]
    hellos = [record.number for record in found if record.kind != APPLICATION and record.number != hidden[0]]
    return Fact(
        {hidden[0]}, [(hellos, "{n} has records in the clear only."), (hidden[1:], "{n} comes later.")], frame_number
    )


def arp_claims(run: Run) -> Fact:
    """In how many frames Mallory's card claims the server's address:
    `arp.src.hw_mac == 02:00:00:00:00:63 && arp.src.proto_ipv4 == 10.13.37.10`."""
    claims = _claims(run)
    every = [f for f in run.frames if f.data[12:14] == b"\x08\x06"]
    lies = [f for f in every if f.data[22:28] == _MALLORY]
    return Fact(
        {len(claims)},
        [
            ({len(lies)}, "{n} is all that she says by ARP, about every host."),
            ({len(every)}, "{n} is all ARP, also what is true."),
            (claims[:1], "{n} is the number of the first such frame; how many are there?"),
        ],
    )


def first_arp_claim(run: Run) -> Fact:
    """The first frame in which Mallory's card claims the server's address; the filter is that of `arp-claims`."""
    claims = _claims(run)
    return Fact({claims[0]}, [(claims[1:], "{n} says so too, but later.")], frame_number)


def frames_to_mallory(run: Run) -> Fact:
    """How many frames were addressed to Mallory's card: `eth.dst == 02:00:00:00:00:63`."""
    _only_on_the_lan(run)
    to, by = (sum(f.data[at : at + 6] == _MALLORY for f in run.frames) for at in (0, 6))
    return Fact({to}, [({by}, "{n} is how many she sent."), ({to + by}, "{n} is both directions.")])


def _syns(run: Run) -> tuple[Sequence[tuple[int, Any]], Sequence[tuple[int, Any]]]:
    """The SYNs to the server: Alice's, of which there is one at least, and those of others."""
    opening = [(n, p) for n, p in run.packets("TCP") if p.flags & (SYN | ACK) == SYN and p.target[1] == run.stage.port]
    mine = [(n, packet) for n, packet in opening if name_of(packet.source[0]) == "alice"]
    if not mine:
        raise Absent(f"Alice opens no connection in {run.path}.")
    return mine, [each for each in opening if each not in mine]


def _udp_ports(run: Run, name: str) -> set[int]:
    """The UDP ports of a member: as told to the server or the others in the clear, and as whispers come from there."""
    told = [h.fields.get("udp_port") for _, h in run.messages if h.transport == "TCP" and h.fields.get("name") == name]
    sent = [h.source[1] for _, h in run.messages if h.transport == "UDP" and name_of(h.source[0]) == name]
    return {port for port in (*told, *sent) if isinstance(port, int)}


def _records(run: Run) -> list[Any]:
    found = list(records(run.packets("TCP"), run.stage.port))
    if not any(record.kind == APPLICATION for record in found):
        raise Absent(f"There is no TLS in {run.path}.")
    return found


def _spellings(number: int) -> list[str]:
    """How people write a version of TLS."""
    name = VERSIONS.get(number, f"{number:#06x}").lower()
    short = name.removeprefix("tls ")
    return [name, short, f"tlsv{short}", f"tls{short}", f"tls-{short}", f"v{short}", f"{number:#06x}"]


def _only_on_the_lan(run: Run) -> None:
    if run.network != "lan":
        raise Absent("That run was on the loopback network, which has no network cards and no ARP; this needs the LAN.")


def _claims(run: Run) -> list[int]:
    """The frames of ARP whose sender is Mallory's card, with the server's address (RFC 826)."""
    _only_on_the_lan(run)
    arp = (f for f in run.frames if f.data[12:14] == b"\x08\x06")
    found = [f.number for f in arp if f.data[22:28] == _MALLORY and f.data[28:32] == _SERVER]
    if not found:
        raise Absent(f"Nobody claims the server's address in {run.path}.")
    return found

"""Targets: frames off a wire, captures of them, DNS, TLS as a listener sees it, and what is worked out from all that.

An input of frames is the frames one behind the other, each after its length in two bytes, so that a file of the corpus
is a whole conversation; where the lengths are damaged, the rest is one frame.
"""

import contextlib
import io
import ssl
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import stages
from attacks.listener import HELD_BYTES, Listener
from attacks.on_path import Pieces
from attacks.packets import dissected, plain
from attacks.pcap import frames as frames_of
from common import dns
from common.frames import segment
from common.limits import LINE_BYTES
from lab import flow, run_facts, tls_records
from lab.answers import Unreadable
from lab.last_run import Absent, Run
from stages.stage4_tls import tls
from tests.attacks.test_pcap import block, option, pcap, simple
from tests.fuzz import recorded
from tests.fuzz.cases import Make, holed, of_samples, pieces
from tests.fuzz.house import only_sentences
from tests.fuzz.target import Check, Target

ZONE: Final = {"server.lab.test": "10.13.37.10"}
TLS_PORT: Final = 5004
MOST_SHOWN: Final = 40
"""Messages that a damaged conversation of four lines may still turn into."""


def joined(frames: list[bytes]) -> bytes:
    """Frames as one input."""
    return b"".join(len(each).to_bytes(2, "big") + each for each in frames)


def apart(data: bytes) -> list[bytes]:
    """The frames of an input."""
    found = []
    while data:
        size = int.from_bytes(data[:2], "big")
        found.append(data[2 : 2 + size])
        data = data[2 + size :]
    return found


def conversations(rng: Random) -> bytes:
    """The recorded one: frames lost, doubled, out of order, or damaged."""
    frames = list(recorded.frames())
    for _ in range(rng.randrange(4)):
        at, other = rng.randrange(len(frames)), rng.randrange(len(frames))
        match rng.randrange(5):
            case 0:
                frames[at], frames[other] = frames[other], frames[at]
            case 1:
                frames.insert(at, frames[other])
            case 2 if len(frames) > 1:
                del frames[at]
            case _:
                frames[at] = holed(frames[at], rng)
    return joined(frames)


def one_frame(rng: Random) -> bytes:
    """A frame of the recorded conversation, perhaps with tags or options in it, damaged."""
    frame = rng.choice(recorded.frames())
    if rng.randrange(4) == 0:
        frame = frame[:12] + rng.choice((b"\x81\0\0\1", b"\x88\xa8\0\1\x81\0\0\2", b"\x08\x06")) + frame[12:]
    return holed(frame, rng) if rng.randrange(5) else frame


def of_packet(folder: Path) -> tuple[Make, Check]:
    """One frame taken apart: nothing in it is longer than it was."""

    def check(data: bytes, rng: Random) -> None:
        whole, packet = plain(data), dissected(data)
        assert whole is None or len(whole) <= len(data)
        if packet is not None:
            assert len(packet.data) <= len(data)
            flow._about(packet, flow.Numbers(relative=True))
            flow._inside(packet)

    return one_frame, check


def of_listener(folder: Path) -> tuple[Make, Check]:
    """A conversation is heard: no more of it than was said, and what waits is bounded."""

    def check(data: bytes, rng: Random) -> None:
        listener = Listener(recorded.SERVER[1])
        heard = [message for frame in apart(data) for message in listener.hear(frame)]
        heard += listener.end()
        for message in heard:
            assert len(message.summary) <= 6 * len(data)
            message.words  # noqa: B018 - a property that decodes
        assert len(heard) <= MOST_SHOWN
        for way in listener._ways.values():
            assert len(way.rest) <= LINE_BYTES
            assert sum(map(len, way.held.values())) <= HELD_BYTES

    return conversations, check


def of_pcap(folder: Path) -> tuple[Make, Check]:
    """A capture file of either format."""
    file = folder / "file.pcapng"
    frames = recorded.frames()[:4]
    note = option("<", 1, b"a comment") + option("<", 0, b"")
    samples = [
        recorded.capture(),
        *(pcap(order, *((1, n, each) for n, each in enumerate(frames))) for order in "<>"),
        *(section(order, note) for order in "<>"),
        recorded.capture()[:140] + block("<", 0x0A, b"TLSK") + simple("<", frames[0], len(frames[0])),
    ]

    def check(data: bytes, rng: Random) -> None:
        file.write_bytes(data)
        size = 0
        with only_sentences():
            for frame in frames_of(file):
                size += len(frame.data)
        assert size <= len(data)

    return of_samples(samples), check


def section(order: str, options: bytes) -> bytes:
    """A section in one byte order, with a frame that has a comment."""
    from tests.attacks.test_pcap import card, packet
    from tests.attacks.test_pcap import section as header

    return header(order) + card(order, option(order, 2, b"eth0")) + packet(order, recorded.frames()[0], 5, options)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """What is printed is thrown away."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def of_captures(folder: Path) -> tuple[Make, Check]:
    """What the lab says about a capture: the diagram, and every fact that a handout asks about."""
    file = folder / "control.pcapng"
    samples = [recorded.capture(), encrypted_capture()]

    def check(data: bytes, rng: Random) -> None:
        file.write_bytes(data)
        with only_sentences(), silent():
            flow.show(file, stage=0, relative=True, first=0, follow="", as_mermaid=rng.random() < 0.5)
        run = Run(stages.find(rng.choice((1, 4))), file)
        for name in run_facts.FACTS:
            with contextlib.suppress(Absent, Unreadable):
                run_facts.compute(name, run)

    return of_samples(samples), check


def handshake() -> list[tuple[bool, bytes]]:
    """A TLS connection of stage 4 in memory: who sent which bytes."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        server = tls.server_context(Path(name) / "server", Path(name) / "ca")
        client = tls.client_context(Path(name) / "ca" / "ca.pem")
        ends = [(ssl.MemoryBIO(), ssl.MemoryBIO()) for _ in range(2)]
        one = client.wrap_bio(*ends[0], server_hostname=tls.SERVER_NAME)
        other = server.wrap_bio(*ends[1], server_side=True)
        said: list[tuple[bool, bytes]] = []
        for _ in range(4):
            for own, connection, there in ((0, one, 1), (1, other, 0)):
                with contextlib.suppress(ssl.SSLWantReadError):
                    connection.do_handshake()
                    connection.write(b'{"type":"left","name":"x"}\n')
                data = ends[own][1].read()
                ends[there][0].write(data)
                said.append((own == 0, data))
    return [each for each in said if each[1]]


def encrypted_capture() -> bytes:
    """The same as a capture."""
    return recorded.as_capture(encrypted())


def encrypted() -> list[bytes]:
    """The same in frames, at stage 4's port."""
    there = (("10.13.37.21", 40001), ("10.13.37.10", TLS_PORT))
    sent = {True: 1001, False: 5001}
    packets = [segment(there, "S", 1000, 0, b""), segment(there[::-1], "SA", 5000, 1001, b"")]
    packets.append(segment(there, "A", 1001, 5001, b""))
    for by_client, data in handshake():
        for part in (data[i : i + 1400] for i in range(0, len(data), 1400)):
            ends = there if by_client else there[::-1]
            packets.append(segment(ends, "PA", sent[by_client], sent[not by_client], part))
            sent[by_client] += len(part)
    return recorded.framed(packets)


def of_tls(folder: Path) -> tuple[Make, Check]:
    """TLS off the wire: records, hellos, and what these say."""
    frames = encrypted()
    sample = joined(frames)

    def check(data: bytes, rng: Random) -> None:
        packets = [(n, p) for n, f in enumerate(apart(data)) if (p := dissected(f)) and p.transport == "TCP"]
        found = list(tls_records.records(packets, TLS_PORT))
        for kind, says in (
            (tls_records.CLIENT_HELLO, tls_records.server_name),
            (tls_records.SERVER_HELLO, tls_records.version),
        ):
            says(tls_records.hello(found, kind))
            says(data)

    return of_samples([sample, *(f[54:] for f in frames if len(f) > 100)]), check


def of_dns(folder: Path) -> tuple[Make, Check]:
    """What a name server is asked, and what a resolver is answered."""
    from dnslib import CNAME, QTYPE, RR, A, DNSRecord

    query = DNSRecord.question("server.lab.test")
    reply = query.reply()
    reply.add_answer(RR("server.lab.test", QTYPE.CNAME, rdata=CNAME("a.lab.test"), ttl=5))
    reply.add_answer(RR("a.lab.test", QTYPE.A, rdata=A("10.13.37.10"), ttl=5))
    short = dns.answer(query.pack(), ZONE)

    def check(data: bytes, rng: Random) -> None:
        answered = dns.reply_to(data, ZONE)
        if answered:
            str(answered.q.qname), bytes(answered.pack()), dns.cut_short(answered)
        came = dns._read(data)
        if came:
            dns._answers(came, query)
            with only_sentences():
                dns._address_in(came, "server.lab.test")

    return of_samples([bytes(query.pack()), bytes(reply.pack()), short]), check


def of_path(folder: Path) -> tuple[Make, Check]:
    """What flows through somebody on the path: cut into lines the same way however it arrives, and none is lost."""
    lines = b"".join(request for request, _ in recorded.SAID)

    def check(data: bytes, rng: Random) -> None:
        found = []
        for parts in ([data], pieces(data, rng)):
            cutter = Pieces()
            taken = [(piece, cutter.ending) for part in parts for piece in cutter.feed(part)]
            found.append(b"".join(piece + ending for piece, ending in taken))
        assert found[0] == found[1]
        assert data.startswith(found[0])

    return of_samples([lines, lines + b"\x16\x03\x01\0\5hello" + lines]), check


def targets() -> Iterator[Target]:
    """Frames, captures and what is made of them."""
    yield Target("packet", of_packet, 160)
    yield Target("listener", of_listener, 60)
    yield Target("pcap", of_pcap, 50)
    yield Target("captures", of_captures, 5)
    yield Target("tls", of_tls, 40)
    yield Target("dns", of_dns, 50)
    yield Target("on-path", of_path, 60)

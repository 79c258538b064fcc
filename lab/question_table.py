"""The questions of the capture lab, in the order in which they are asked: what is right, what people answer, and why.

A new question is a new entry here. `tests/lab/test_questions.py` asks every entry of real captures, compares what is
right with what tshark says, and gives every wrong answer.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from lab.answers import Question, Wrong, flag, frame_number, member, spaced
from lab.facts import Facts, Seen
from lab.reading import name_of
from lab.udp_questions import DATAGRAMS

ABSOLUTE: Final = (
    "To see headers as they are, turn off Edit > Preferences > Protocols > TCP > Relative sequence numbers."
)
RELATIVE: Final = (
    "{n} is the relative number: Wireshark counts each direction from its SYN, which is easier to read. "
    "The header itself holds another one, drawn at random."
)
NEXT: Final = (
    "{n} is relative, and belongs to the byte after the SYN, which itself has 0 there. The header itself holds another "
    "number, drawn at random."
)


def _others(number: Callable[[Seen], int], which: str) -> Callable[[Facts], Iterator[int]]:
    """The same number in the SYN, or the SYN-ACK, of every other connection."""
    return lambda f: (number(getattr(other, which)) for other in f.others)


def _numbers(frames: Sequence[Seen]) -> str:
    return ", ".join(str(each.number) for each in frames)


SEGMENTS: Final = (
    Question(
        name="syn",
        asks="Client 1 opens its first connection to the server. Which sequence number does the header of that SYN "
        "hold? (The absolute one.)",
        right=lambda f: {f.syn.seq},
        wrong=(
            Wrong(lambda f: [0, 1], RELATIVE),
            Wrong(
                lambda f: [f.syn.seq + 1], "{n} is one more: what the server acknowledges, because a SYN counts one."
            ),
            Wrong(lambda f: [f.synack.seq], "{n} is the server's own number, from its answer: each side draws one."),
            Wrong(_others(lambda each: each.seq, "syn"), "{n} is in the SYN of another connection: of another client."),
        ),
        look="Look at frame {f.syn.number}, Transmission Control Protocol, Sequence Number (raw), field tcp.seq_raw. "
        + ABSOLUTE,
        tshark="-Y 'frame.number == {f.syn.number}' -T fields -e tcp.seq_raw",
        tells=lambda f: f"The header holds {spaced(f.syn.seq)}.",
        why="Nobody can guess that number, and so nobody who hears nothing can put a segment into the connection "
        "(RFC 6528).",
        about_frame=lambda f: f.syn,
    ),
    Question(
        name="synack",
        asks="The server answers with a SYN-ACK. Which sequence number is in its header?",
        right=lambda f: {f.synack.seq},
        wrong=(
            Wrong(lambda f: [0], RELATIVE),
            Wrong(lambda f: [1], NEXT),
            Wrong(lambda f: [f.syn.seq], "{n} is client 1's number, from the SYN: the server draws one of its own."),
            Wrong(lambda f: [f.synack.ack], "{n} stands in the same header, as the acknowledgement number."),
            Wrong(lambda f: [f.synack.seq + 1], "{n} is one more: with it client 1 acknowledges the SYN-ACK."),
            Wrong(_others(lambda each: each.seq, "synack"), "{n} is in the SYN-ACK that another client got."),
        ),
        look="Look at frame {f.synack.number}, Sequence Number (raw), field tcp.seq_raw; the filter is "
        "tcp.flags.syn == 1 && tcp.flags.ack == 1. " + ABSOLUTE,
        tshark="-Y 'frame.number == {f.synack.number}' -T fields -e tcp.seq_raw",
        tells=lambda f: f"The header holds {spaced(f.synack.seq)}.",
        why="Two directions, two numbers: each side draws its own and counts its own bytes.",
        about_frame=lambda f: f.synack,
    ),
    Question(
        name="ack",
        asks="Which acknowledgement number is in the header of that SYN-ACK?",
        right=lambda f: {f.synack.ack},
        wrong=(
            Wrong(lambda f: [1], RELATIVE),
            Wrong(lambda f: [0], "{n} is relative, and the SYN's own; an acknowledgement names what is expected next."),
            Wrong(
                lambda f: [f.syn.seq],
                "{n} is the SYN's own number. What is acknowledged is what is expected next, and a SYN counts as one "
                "byte.",
            ),
            Wrong(lambda f: [f.synack.seq], "{n} stands in the same header, as the sequence number."),
            Wrong(
                lambda f: [f.synack.seq + 1],
                "{n} is the acknowledgement of the other direction: client 1 sends it in the third segment.",
            ),
            Wrong(lambda f: [f.syn.seq + 2], "{n} is one too many: a SYN counts as one byte."),
            Wrong(_others(lambda each: each.ack, "synack"), "{n} is in the SYN-ACK that another client got."),
        ),
        look="Look at frame {f.synack.number}, Acknowledgment number (raw), field tcp.ack_raw. " + ABSOLUTE,
        tshark="-Y 'frame.number == {f.synack.number}' -T fields -e tcp.ack_raw",
        tells=lambda f: f"The header holds {spaced(f.synack.ack)}.",
        why="It is the SYN's number and one: the byte that the server expects next (RFC 9293, section 3.4).",
        about_frame=lambda f: f.synack,
    ),
)

IN_THE_CLEAR: Final = "its messages cannot be told apart without a key."
SEALED: Final = "its whispers can be read as they stand; it is a question for stage 3 and above."

CONVERSATIONS: Final = (
    Question(
        name="canary",
        asks="Canary 2 is a secret in one of client 1's whispers: whisper- and twelve hexadecimal digits. Which frame "
        "carries it?",
        read=frame_number,
        right=lambda f: {each.number for each in f.secret},
        wrong=(
            Wrong(
                lambda f: [each.number for each in f.whispers], "Frame {n} is a whisper of client 1, with other words."
            ),
            Wrong(lambda f: [each.number for each in f.answers], "Frame {n} is a whisper to client 1, not from it."),
            Wrong(
                lambda f: [each.number for each in f.seen if b"room-" in each.packet.data],
                "Frame {n} carries canary 1, which begins with room- and goes to everybody.",
            ),
            Wrong(
                lambda f: [each.number for each in f.seen if each.packet.transport == "UDP"],
                "Frame {n} is UDP, but DNS: client 1 asks for the server's address.",
            ),
            Wrong(
                lambda f: [each.number for each in f.seen if each.packet.transport == "TCP"],
                "Frame {n} is TCP; a whisper goes past the server, in a datagram.",
            ),
            Wrong(
                lambda f: [n for n in range(1, f.frames + 1) if n not in {each.number for each in f.seen}],
                "Frame {n} is no IP packet: most likely ARP asks there for a network card.",
            ),
        ),
        look='The filter is frame contains "whisper-", with the hyphen: the type of the message has none.',
        tshark="-Y 'frame contains \"whisper-\"'",
        lab="stage-{f.stage.number} sniffer --read {f.path} --where type=whisper",
        tells=lambda f: f"It is frame {_numbers(f.secret)}.",
        why="On a switch the server's card does not hear it at all: whoever wants to read whispers listens elsewhere.",
        applies=lambda f: bool(f.secret),
        absent="its whispers cannot be read.",
    ),
    Question(
        name="segments",
        asks="Into how many TCP segments was client 1's third message to the room cut?",
        right=lambda f: {len(f.third.segments)} if f.third else set(),
        wrong=(
            Wrong(
                lambda f: [len(f.third.segments) + f.third.acks] if f.third and f.third.acks else [],
                "{n} is with the server's acknowledgements; those carry none of the message.",
            ),
            Wrong(
                lambda f: [3 * len(f.third.segments)] if f.third else [],
                "{n} is with the copies that the server sends on to two others; asked for is client 1's own.",
            ),
            Wrong(
                lambda f: [1],
                "{n} is what it looks like where Wireshark shows a message in the frame that completes it; look "
                "for the segments before that.",
            ),
            Wrong(lambda f: [f.third.size] if f.third else [], "{n} is how many bytes the message has."),
            Wrong(
                lambda f: [each.number for each in f.third.segments] if f.third else [],
                "{n} is the number of one of its frames; how many are there?",
            ),
        ),
        look="The filter is ip.src == {f.client[0]} && tcp.len > 0; a message ends where its line ends, at 0a.",
        tshark="-Y 'ip.src == {f.client[0]} && tcp.len > 0' -T fields -e frame.number -e tcp.len",
        tells=lambda f: (
            f"There are {len(f.third.segments)}, in the frames {_numbers(f.third.segments)}." if f.third else ""
        ),
        why="TCP carries a stream of bytes and cuts it as it fits; where a message ends is for the program to know.",
        applies=lambda f: f.third is not None,
        absent=IN_THE_CLEAR,
    ),
    Question(
        name="flag",
        asks="Which of TCP's flags ends client 1's connection?",
        read=flag,
        right=lambda f: {"FIN"} if f.ending and f.ending.packet.flags & 1 else {"RST"},
        wrong=(
            Wrong(lambda f: ["SYN"], "{n} opens a connection."),
            Wrong(lambda f: ["ACK"], "{n} is set in every segment but the first, so it ends nothing."),
            Wrong(lambda f: ["PSH"], "{n} asks that data be handed to the program at once; the connection goes on."),
            Wrong(lambda f: ["RST"], "{n} would have torn it down; here both sides took leave."),
            Wrong(lambda f: ["FIN"], "{n} would have been a farewell; here one side tore it down."),
            Wrong(lambda f: ["URG"], "{n} marks urgent data, which hardly anybody uses."),
        ),
        look="Look at the last segments: the filter is tcp.port == {f.client[1]}.",
        tshark="-Y 'tcp.port == {f.client[1]}'",
        tells=lambda f: f"It is {'FIN' if f.ending and f.ending.packet.flags & 1 else 'RST'}.",
        why="Each side says for itself that it will send no more (RFC 9293, section 3.6).",
        applies=lambda f: f.ending is not None,
        absent="client 1's connection does not end in it.",
    ),
    Question(
        name="partner",
        asks="The whispers are sealed, nothing in them can be read. Still: to whom did client 1 whisper most often? "
        "(A name or an address.)",
        read=member,
        right=lambda f: f.friends,
        wrong=(
            Wrong(lambda f: ["server"], "The {n} gets no whispers: they go past it. What goes there is the room's."),
            Wrong(lambda f: ["dns"], "The {n} is asked for an address; that is a datagram, but no whisper."),
            Wrong(lambda f: [name_of(f.client[0])], "{n} is client 1 itself."),
            Wrong(lambda f: [name for name in f.told if name not in f.friends], "{n} got fewer of them: count again."),
        ),
        look="Statistics > Conversations > UDP counts packets for every pair of hosts; "
        'the filter is udp && frame contains "whisper".',
        tshark="-q -z conv,udp",
        tells=lambda f: f"It is {' or '.join(f.friends)}.",
        why="Addresses, times and lengths stay in the open however well the words are sealed. Stage 7 is about that.",
        applies=lambda f: f.sealed,
        absent=SEALED,
    ),
    Question(
        name="whisper_count",
        asks="How many whispers did client 1 send to the one who got most of them?",
        right=lambda f: {f.most},
        wrong=(
            Wrong(
                lambda f: [f.both],
                "{n} is both directions together; asked for is what client 1 sent.",
            ),
            Wrong(lambda f: [len(f.whispers)], "{n} is to everybody together."),
            Wrong(lambda f: [len(f.whispers) + len(f.answers)], "{n} is all whispers there are, answers included."),
            Wrong(lambda f: [len(f.answers)], "{n} is how many came back."),
            Wrong(
                lambda f: [sum(each.packet.transport == "UDP" for each in f.seen)],
                "{n} is all of UDP, and some of that is DNS.",
            ),
        ),
        look="The filter is udp && ip.src == {f.client[0]}, and leave out what goes to port 53 or 5053, which is DNS.",
        tshark="-Y 'udp && ip.src == {f.client[0]}' -T fields -e frame.number -e ip.dst -e udp.dstport",
        tells=lambda f: f"There are {f.most}.",
        why="Who talks, how often and how long: that is called metadata, and often it is all that is asked for.",
        applies=lambda f: f.sealed,
        absent=SEALED,
    ),
)

QUESTIONS: Final = (*SEGMENTS, *DATAGRAMS, *CONVERSATIONS)

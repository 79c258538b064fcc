"""The questions that a lab report leaves to its author, each with where the author's own capture shows it.

A new question is an entry here. `see` must name a frame, a file or a command: no question stands without a place to
look.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lab.facts import SERVER_FILE, Facts
from lab.report_figures import Figures


@dataclass(frozen=True)
class Question:
    """A title, what is asked, and what to look at."""

    title: str
    asks: str
    see: Callable[[Figures], str]


def _names(figures: Figures) -> str:
    if not figures.dns:
        return (
            "no question to the name server is in it: it was asked before. Try `.venv/bin/lab dns` beside `make lan`."
        )
    numbers = " and ".join(str(each.number) for each in figures.dns[:2])
    return f"frames {numbers}, before frame {figures.facts.syn.number}; on the LAN, ARP stands between."


def _sockets(figures: Figures) -> str:
    f = figures.facts
    whisper = f", and in frame {f.whisper.number} UDP port {f.whisper.packet.source[1]}" if f.whispers else ""
    return f"frame {f.syn.number} has TCP ports {f.client[1]} and {f.server[1]}{whisper}. Which did a program choose?"


def _many(figures: Figures) -> str:
    f = figures.facts
    if not f.others:
        return f"frame {f.syn.number} names four numbers that tell this connection from all others. Which?"
    ports = ", ".join(f"{other.syn.packet.source[0]}:{other.syn.packet.source[1]}" for other in f.others[:3])
    return f"{SERVER_FILE} has connections from {ports} too, all to port {f.server[1]}."


def _kinds(figures: Figures) -> str:
    f = figures.facts
    end = f" and {figures.ending[0].number}" if figures.ending else ""
    whisper = f"with frame {f.whisper.number}, which stands alone" if f.whispers else "with a datagram of `make lan`"
    return f"compare frames {f.syn.number} to {f.handshake.last.number}{end} {whisper}."


def _framing(figures: Figures) -> str:
    f: Facts = figures.facts
    places = [f"frame {figures.merged[0].number} ends more than one message"] if figures.merged else []
    if f.third and len(f.third.segments) > 1:
        places.append(f"frames {', '.join(str(each.number) for each in f.third.segments)} carry one message")
    return f"{' and '.join(places) or f'frame {figures.entry} carries a message'}; look at its last byte."


def _nat(figures: Figures) -> str:
    f = figures.facts
    said = f"frame {figures.roster} tells" if figures.roster else "the roster (sealed here) tells"
    whisper = f"; frame {f.whisper.number} uses it" if f.whispers else ""
    return f"{said} every member's address and UDP port{whisper}. Would {f.client[0]} mean anything at the other end?"


QUESTIONS: Final = (
    Question(
        "Names and addresses.",
        "How did the client find the server's address, and its network card? Who could have answered instead?",
        _names,
    ),
    Question(
        "Sockets.",
        "Which calls make a TCP socket that connects, one that listens, and a UDP socket? What does bind do for each?",
        _sockets,
    ),
    Question(
        "One port, many clients.",
        "The server listens on one socket. How can it talk to many clients at once, and how does it tell them apart?",
        _many,
    ),
    Question(
        "With and without a connection.",
        "What does TCP keep between two segments that UDP does not? When is each the better choice?",
        _kinds,
    ),
    Question(
        "Threads or an event loop.",
        "Who waits for whom when one member stops reading? Explain your measured ratio, or measure it first.",
        lambda figures: "the row *Threads or loop* above; `common/threads.py` beside `common/runtime.py`.",
    ),
    Question(
        "Denial of service.",
        "What does a client that connects and says nothing cost the server? Which limit ends it, and what is left?",
        lambda f: f"between frames {f.facts.handshake.last.number} and {f.entry}; `common/limits.py` has every limit.",
    ),
    Question(
        "Messages that arrive merged.",
        "Why may two messages arrive in one recv, or one in two? Name three ways to frame them, with a price each.",
        _framing,
    ),
    Question(
        "NAT and port forwarding.",
        "The server moves behind a home router: what must be forwarded? Why do whispers fail even then? What helps?",
        _nat,
    ),
)

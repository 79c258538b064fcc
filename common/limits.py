"""How much a peer may ask of us. Every bound in the lab is one of these, so that a test can shrink it."""

from dataclasses import dataclass

LINE_BYTES = 64 * 1024
"""The longest line on TCP, its newline included."""

TEXT_BYTES = 4 * 1024
"""The longest text of a `say`, in bytes of UTF-8."""

PASSPHRASE_CHARACTERS = 256
"""The longest passphrase of a room; a password has the same bound."""

DATAGRAM_BYTES = 1200
"""The longest whisper, as a whole datagram: it fits any path without IP fragments (RFC 9000, section 14)."""

ROSTER_PAGE = 250
"""Members in one `roster`; far below LINE_BYTES even with a public key for each."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server grants its clients, and a client its server and those who whisper to it. Against whom each
    stands is in the attacks of the family `dos`.

    connections: how many may be connected at once (`MAX=`), those in a TLS handshake among them.
    gives_way: once all places are taken, who has not joined gives theirs up for somebody from elsewhere, as
        `common.places` says (silent connections, from two machines).
    connections_per_address: how many of them from one address, so that one machine cannot take all places (silent
        connections). Half of all: a class behind one address translator (NAT) is thirty, or three hundred.
    join_seconds: how long a connection may stay without having joined, its TLS handshake included; from its beginning,
        and not from its last byte (a login that drips).
    bytes_per_second, burst_bytes: how fast one client may send, and how much at once; whoever sends faster is read
        more slowly, so that a flood never becomes the backlog of the members who read.
    says_per_second: how often a member may speak to anybody within a second; the rest is read in the next. Counted is
        what comes to the one that gets most of it. So what is said to the room counts once, also where it is a message
        for each member. The first half is not looked at, which costs nothing, and is taken to be for that one.
    line_bytes: the longest line (one that never ends).
    backlog_bytes: how much may wait for a member who does not read; beyond that the member is dropped.
    waiting_for_work: how many connections of one address may wait for slow work (password hashing) at once.
    turns_by_address: those that wait for slow work take turns by address, so that a thousand logins from one machine
        are one in the queue of everybody else; and whoever has hung up loses theirs (password-hash exhaustion).
    linger_seconds: how long a refused peer has to read why, before the connection is cut.
    members: what a client grants its server: so many may be in the room at once. One that invents names without end
        would fill the client's memory.
    whisper_queues: what a client grants: for so many members, the first of the roster (and of the rosters of all
        clients in one process), the kernel keeps what they whisper in a queue of their own, which nobody else's
        datagrams fill (datagram flood). In a larger room the rest share one with whoever else sends; and so does a
        member whose whispers come from another address than the roster's. Whoever can forge a member's address can
        still fill that member's.
    """

    connections: int = 500
    gives_way: bool = True
    connections_per_address: int = 250
    join_seconds: float = 10.0
    bytes_per_second: float = 256 * 1024
    burst_bytes: float = 512 * 1024
    says_per_second: int = 100
    line_bytes: int = LINE_BYTES
    backlog_bytes: int = 1024 * 1024
    waiting_for_work: int = 200
    turns_by_address: bool = True
    linger_seconds: float = 2.0
    members: int = 20_000
    whisper_queues: int = 64

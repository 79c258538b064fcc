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
    """What one server grants its clients.

    connections: how many may be connected at once (`MAX=`).
    join_seconds: how long a connection may stay without having joined.
    bytes_per_second, burst_bytes: how fast one client may send, and how much at once; whoever sends faster is read
        more slowly, so that a flood never becomes the backlog of the members who read.
    backlog_bytes: how much may wait for a member who does not read; beyond that the member is dropped.
    waiting_for_work: how many connections may wait for slow work (password hashing) at once.
    linger_seconds: how long a refused peer has to read why, before the connection is cut.
    """

    connections: int = 500
    join_seconds: float = 10.0
    bytes_per_second: float = 256 * 1024
    burst_bytes: float = 512 * 1024
    backlog_bytes: int = 1024 * 1024
    waiting_for_work: int = 200
    linger_seconds: float = 2.0

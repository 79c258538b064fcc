"""`limits=off`: nobody is ever asked to hurry, to wait, or to stop.

Why it is wrong: whatever a stranger can take without giving anything back, somebody takes all of (CWE-770). A silent
connection holds a place for ever, a line without an end fills the memory, and a thousand logins stand in front of
everybody else's. What is left is what any machine has: so many connections, one queue for datagrams, and no more.
"""

from typing import Final

from common.limits import Limits

ENDLESS: Final = 1 << 60


def without(limits: Limits) -> Limits:
    """The same, with nothing but the number of connections."""
    return Limits(
        connections=limits.connections,
        gives_way=False,
        connections_per_address=limits.connections,
        join_seconds=1e6,
        bytes_per_second=1e15,
        burst_bytes=1e15,
        says_per_second=ENDLESS,
        line_bytes=ENDLESS,
        backlog_bytes=ENDLESS,
        waiting_for_work=ENDLESS,
        turns_by_address=False,
        linger_seconds=limits.linger_seconds,
        members=ENDLESS,
        whisper_queues=0,
    )

"""Listening to the wire: what the attacks that hear the whole network share."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from attacks import Foothold
from common.ring import ear_of

if TYPE_CHECKING:
    from attacks.listener import Heard, Reads


@contextlib.contextmanager
def frames(foothold: Foothold, take: Callable[[bytes], None]) -> Iterator[Callable[[], None]]:
    """Give `take` every frame that this host's network card hears, until the block ends.

    The block gets a function that takes, at once, all that has arrived by now.
    """
    loop = asyncio.get_running_loop()
    with ear_of(foothold.host.packet_socket()) as ear:
        if ear.why:
            foothold.note(ear.why)

        def ready() -> None:
            for frame in ear.heard():
                take(frame)

        def read() -> None:
            for frame in ear.flushed():
                take(frame)

        loop.add_reader(ear, ready)
        try:
            yield read
            read()  # the last frames may have come in the same turn of the loop as the end
        finally:
            loop.remove_reader(ear)
            if lost := ear.lost:
                foothold.note(f"{lost:,} packets were lost: this transcript has gaps")


@contextlib.contextmanager
def tapped(
    foothold: Foothold, hear: "Callable[[Heard], None]", reads: "Reads | None" = None
) -> Iterator[Callable[[], None]]:
    """Give `hear` every message in those frames, and the block the same function.

    reads: see `Listener`; for a protocol that is not the lab's.
    """
    from attacks.listener import Listener

    listener = Listener(foothold.server[1], reads)

    def take(frame: bytes) -> None:
        for heard in listener.hear(frame):
            source, target = (foothold.name_of(address) for address, _ in (heard.source, heard.target))
            foothold.note(f"{heard.transport} {source} → {target}  {heard.summary}")
            hear(heard)

    with frames(foothold, take) as read:
        yield read

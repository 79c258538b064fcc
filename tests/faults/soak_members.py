"""Those who are in the room of the soak, with the real client, and the ledger of what they said and heard.

Steady members stay from the beginning to the end, and are the judges: what another of them says comes to each exactly
once and in order. Guests come, talk and leave in order, so all of theirs has to come as well. To victims something
happens; of theirs nothing may come twice.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from pathlib import Path
from typing import Final

from common.client import TLS_NAME, Client
from common.errors import LabError
from common.hosts import ThisMachine
from common.levers import Levers
from common.session import Address, Person, Show
from stages import Stage

TEXT_BYTES: Final = 400
RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: the end is a reset."""
FAULTS: Final = ("reset", "killed", "stalled", "mad", "garbage")


class Ledger:
    """What was said, what each judge heard, and what is wrong."""

    def __init__(self) -> None:
        self.said: Counter[str] = Counter()
        self.heard: dict[tuple[str, str], int] = {}
        self.judges: set[str] = set()
        self.loose: set[str] = set()
        """Those of whom something may be lost."""
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.news = asyncio.Event()

    def text(self, sender: str) -> str:
        """The next thing that somebody says."""
        self.said[sender] += 1
        return f"{sender} {self.said[sender]} ".ljust(TEXT_BYTES, ".")

    def hears(self, judge: str, show: Show) -> None:
        """A judge's screen shows something."""
        if show.kind == "alarm" or show.text.startswith("The connection ended"):
            self.wrong.append(f"{judge} was told: {show.text}")
        self.news.set()
        if show.kind != "room":
            return
        sender, number = show.text.split()[:2]
        last, self.heard[judge, sender] = self.heard.get((judge, sender), 0), int(number)
        self.counts["deliveries to judges"] += 1
        if sender != show.sender or int(number) <= last:
            self.wrong.append(f"{judge} saw {sender} {number} after {last}, from {show.sender}")
        elif int(number) != last + 1 and sender not in self.loose:
            self.wrong.append(f"{judge} missed {sender} {last + 1} to {int(number) - 1}")

    def missing(self) -> list[str]:
        """What has not come."""
        bound = [name for name in self.said if name not in self.loose]
        return [
            f"{judge} has {self.heard.get((judge, name), 0)} of {self.said[name]} of {name}'s"
            for judge in self.judges
            for name in bound
            if name != judge and self.heard.get((judge, name), 0) != self.said[name]
        ]


class Member:
    """Somebody with the stage's own client, in a folder of their own."""

    def __init__(self, room: "Room", name: str) -> None:
        self.room = room
        self.name = name
        self.folder = room.folder / name
        self.folder.mkdir()
        self.known = False
        self.client: Client | None = None
        self._in = asyncio.Event()

    @property
    def inside(self) -> bool:
        """Is this one in the room, and able to talk?"""
        return self.client is not None and self._in.is_set() and not self.client.transport.is_closing()

    async def comes(self) -> bool:
        """Come in, and wait until it is possible to talk; False where the server sends them away."""
        stage, levers = self.room.stage, self.room.levers
        self._in.clear()

        def person(port: int) -> Person:
            return Person(self.name, port, "sesame", not self.known and stage.wants_password, self.folder, self.room.ca)

        try:
            self.client = await stage.client_program(levers).start(
                *(ThisMachine(), self.room.address, lambda port: stage.client(levers, person(port)), self.show),
                tls=stage.client_tls(levers, person(0)),
            )
        except LabError as error:
            self.room.ledger.wrong.append(f"{self.name} could not connect: {error}")
            return False
        ended = asyncio.create_task(self.client.ended.wait())
        entered = asyncio.create_task(self._in.wait())
        await asyncio.wait([ended, entered], return_when=asyncio.FIRST_COMPLETED, timeout=30)
        for waiting in (ended, entered):
            waiting.cancel()
        await asyncio.gather(ended, entered, return_exceptions=True)
        self.known = self.known or self._in.is_set()
        return self._in.is_set()

    def show(self, show: Show) -> None:
        """What the client calls."""
        if show.text.startswith("here: "):
            self._in.set()
            self.room.ledger.counts["entries"] += 1
        if self.name in self.room.ledger.judges:
            self.room.ledger.hears(self.name, show)

    def speaks(self) -> None:
        """Say something to the room."""
        assert self.client
        self.room.ledger.counts["messages"] += 1
        self.client.typed(self.room.ledger.text(self.name))

    async def leaves(self) -> None:
        """Leave in order."""
        self._in.clear()
        if self.client:
            self.client.close()
            await self.client.ended.wait()
            self.client = None

    async def suffers(self, fault: str, dice: random.Random) -> None:
        """Something happens to this one; in the end it is outside, but for a reset, after which it comes back."""
        assert self.client
        client, transport = self.client, self.client.transport
        self.room.ledger.counts[fault] += 1
        match fault:
            case "reset":
                self._in.clear()
                self.cut()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._in.wait(), 60)
                    return
                self.room.ledger.wrong.append(f"{self.name} did not come back after a reset")
            case "killed":
                client._closing = True  # as a process that is gone: nobody connects again
                self.cut()
            case "stalled":
                transport.pause_reading()
                await asyncio.sleep(dice.uniform(1, self.room.stall))
                with contextlib.suppress(RuntimeError):
                    transport.resume_reading()
            case _:
                transport.write(dice.randbytes(dice.randint(1, 200)) + b"\n")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(client.ended.wait(), 15)
        await self.leaves()

    def cut(self) -> None:
        """End the connection with a reset."""
        assert self.client
        sock = self.client.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.client.transport.abort()


class Room:
    """Where everybody comes: the stage, the server's address, and the ledger."""

    def __init__(self, stage: Stage, levers: Levers, address: Address, folder: Path) -> None:
        self.stage = stage
        self.levers = levers
        self.address = address
        self.folder = folder
        self.stall = 30.0
        """How long somebody does not read at most, in seconds."""
        self.ca = folder / "ca" / "ca.pem"
        self.ledger = Ledger()

    async def garbage(self, dice: random.Random) -> None:
        """A stranger sends what is no message, and has to be sent away."""
        self.ledger.counts["garbage"] += 1
        tls = self.stage.client_tls(self.levers, Person("nobody", 0, ca=self.ca)) if dice.random() < 0.7 else None
        rubbish = dice.choice((b"\0" * 70_000, dice.randbytes(300) + b"\n", b'{"type":"say"}\n', b'{"type":"jo'))
        try:
            incoming, outgoing = await asyncio.wait_for(
                asyncio.open_connection(*self.address, ssl=tls, server_hostname=TLS_NAME if tls else None), 15
            )
        except OSError:
            return
        try:
            outgoing.write(rubbish)
            async with asyncio.timeout(20):
                while await incoming.read(65536):
                    pass
        except TimeoutError:
            self.ledger.wrong.append("a stranger who sent garbage was let stay")
        except OSError:  # a reset is an end as well
            pass
        finally:
            outgoing.transport.abort()

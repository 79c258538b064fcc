"""Probes: what is asked of the learner's code directly, one question each. What is right is computed here, by the
reference, from values that are drawn anew each time; the child is only asked what its functions return.

A probe returns what it observed that is wrong, in a sentence, or nothing. It may raise `Trouble`.
"""

import asyncio
import contextlib
import importlib
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from common.hosts import DOMAIN
from lab.bench import Bench
from lab.exercise import lines
from lab.exercise.nursery import Nursery
from lab.exercise.program import ANSWER_SECONDS, Hosts, Program, Trouble
from lab.exercise.scene import serving
from lab.scene import Scene
from stages import Stage

FILES: Final = {
    1: "client.py",
    2: "accounts.py",
    3: "room_key.py",
    4: "tls.py",
    5: "box.py, pins.py or counters.py",
}
MORE: Final = {2: ["probes2_sessions"], 3: ["probes3_grants"]}
"""Modules with more probes of a stage."""


class Asking:
    """What a probe has: the learner's functions, and a network."""

    def __init__(self, stage: Stage, nursery: Nursery, bench: Bench, control: Scene | None) -> None:
        self.stage = stage
        self.nursery = nursery
        self.bench = bench
        self.control = control
        """The scene in which nobody attacked, where it went well."""
        self._programs: dict[str, Program] = {}
        """A program for each function, so that what opens has no memory of what was sealed."""
        self._server: Program | None = None

    async def call(self, name: str, *arguments: Any) -> Any:
        """What a function of `lab.exercise.calls` returns. Raises Trouble, also where it raises what is foreseen."""
        returned = await self.returned(name, *arguments)
        if returned.raised:
            raise Trouble(f"Your code raised {returned.raised}, where it should have gone on ({name}).")
        return returned.value

    async def refused(self, name: str, *arguments: Any) -> bool:
        """Does it raise NotOpened?"""
        returned = await self.returned(name, *arguments)
        return bool(returned.raised == "NotOpened")

    async def returned(self, name: str, *arguments: Any) -> Any:
        """What it returns, or raises of what is foreseen."""
        if name not in self._programs:
            self._programs[name] = self.nursery.program(f"Your {FILES[self.stage.number]}")
        return await self._programs[name].call(name, *arguments)

    @contextlib.asynccontextmanager
    async def server(self) -> AsyncIterator[Program]:
        """The learner's server, on its host, until the block ends."""
        network = self.bench.network
        hosts = Hosts(network.hosts["server"], network.zone, self.stage.port, serves=True)
        self._server = program = self.nursery.program("Your server", hosts)
        try:
            await serving(program, self.stage.port)
            yield program
            program.check()
        finally:
            program.close()

    def remove(self, name: str) -> None:
        """The operator of the server that runs takes an account away."""
        if self._server:
            self._server.tell(lines.Remove(name))

    async def client_meets(self, context: ssl.SSLContext | None, ca: str) -> bytes:
        """What Alice's client, who trusts this authority, sends to a server that speaks this, or no TLS; nothing if it
        refuses."""
        network = self.bench.network
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def done(data: bytes) -> None:
            if not answer.done():
                answer.set_result(data)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                done(await reader.read(1 << 16))
            writer.close()

        listener = await network.hosts["server"].listen(self.stage.port)
        server = await asyncio.start_server(serve, sock=listener, ssl=context)
        hosts = Hosts(network.hosts["alice"], network.zone, self.stage.port, serves=False)
        program = self.nursery.program("Your client (alice)", hosts)
        program.heard = lambda line: done(b"") if isinstance(line, lines.Refused) else None
        try:
            where = (f"server.{DOMAIN}", self.stage.port)
            program.tell(
                lines.Join(program.place("alice"), "alice", where, "alice", secrets.token_urlsafe(9), True, ca)
            )
            await asyncio.wait({answer, program.trouble}, timeout=ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            program.check()
            if not answer.done():
                raise Trouble("Your client neither spoke to that server nor refused to, within 5 s.")
            return answer.result()
        finally:
            program.close()
            server.close()
            await server.wait_closed()

    async def dial(self) -> socket.socket:
        """A connection to the learner's server, from Mallory's host."""
        network = self.bench.network
        return await network.hosts["mallory"].connect(network.hosts["server"].address, self.stage.port)

    async def asked(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one message to the learner's server, and return its first answer. Raises Trouble where none comes."""
        loop, got = asyncio.get_running_loop(), b""
        with await self.dial() as sock:
            await loop.sock_sendall(sock, msgspec.json.encode(message) + b"\n")
            with contextlib.suppress(TimeoutError, OSError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    while b"\n" not in got and (piece := await loop.sock_recv(sock, 1 << 16)):
                        got += piece
        try:
            return lines.decoded(msgspec.json.Decoder(dict[str, Any]), got.partition(b"\n")[0])
        except lines.Nonsense:
            raise Trouble(f"Your server gave no answer to a `{message['type']}`.") from None

    def close(self) -> None:
        """End what was started."""
        while self._programs:
            self._programs.popitem()[1].close()


class Elsewhere(Exception):
    """What is wrong is another requirement's matter: its hints help, and so does its section of the handout."""

    def __init__(self, requirement: str, observed: str) -> None:
        super().__init__(observed)
        self.requirement = requirement


Run = Callable[[Asking], Coroutine[Any, Any, str]]


@dataclass(frozen=True)
class Probe:
    """One question. `needs_scene`: it is about the conversation in which nobody attacked."""

    run: Run
    needs_scene: bool = False


_PROBES: Final[dict[str, dict[str, Probe]]] = {}


def probe(run: Run) -> Run:
    """Register a probe under its function's name, for the stage whose module it stands in."""
    _PROBES.setdefault(run.__module__, {})[run.__name__] = Probe(run)
    return run


def scene_probe(run: Run) -> Run:
    """The same, for one that needs the scene."""
    _PROBES.setdefault(run.__module__, {})[run.__name__] = Probe(run, needs_scene=True)
    return run


def probes_of(stage: Stage) -> dict[str, Probe]:
    """The probes of a stage's exercise, by name."""
    found = dict[str, Probe]()
    for module in [f"probes{stage.number}", *MORE.get(stage.number, [])]:
        importlib.import_module(f"lab.exercise.{module}")
        found |= _PROBES[f"lab.exercise.{module}"]
    return found


def prepare(stage: Stage, folder: Path) -> None:
    """Before the child is started: put beside the submission what the stage's probes need there."""
    module = importlib.import_module(f"lab.exercise.probes{stage.number}")
    if hasattr(module, "prepare"):
        module.prepare(folder)

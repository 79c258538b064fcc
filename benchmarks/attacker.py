"""An attack in a program of its own, against a scene that goes on elsewhere: what it takes of a processor, it takes of
its own process, and not of its victims'.

The scene's side is `elsewhere`; the program's is `main`. They speak in lines of JSON: the program says for which moment
it waits, and is told when it has come; at last it says what it did. `Near` is the network of both: hosts that are
addresses of 127.0.0.0/8 and nothing more, without the relay of the lab's loopback network, which would be in the way of
every byte.
"""

import asyncio
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

import msgspec

import attacks
import stages
from attacks import Attack, Claim, Foothold, Goal, Moment
from common.client import Client
from common.errors import LabError
from common.hosts import DOMAIN, Confined, connected, only_lab_or_loopback, tcp_socket
from common.lan import PLAN
from common.levers import Levers
from common.session import Address, Person, Show
from lab.hosting import start_client
from lab.network import Network
from stages import Stage

ROOT: Final = Path(__file__).parent.parent
END_SECONDS: Final = 5.0


class NearHost(Confined):
    """A host that is an address of this machine."""

    def __init__(self, name: str) -> None:
        super().__init__(f"127.0.0.{PLAN[name]}")
        self.name = name

    async def connect(self, address: str, port: int) -> socket.socket:
        sock = tcp_socket()
        sock.bind((self.address, 0))
        return await connected(sock, only_lab_or_loopback(address), port)

    async def resolve(self, name: str) -> str:
        return f"127.0.0.{PLAN[name.removesuffix(f'.{DOMAIN}')]}"


@dataclass
class Near:
    """All hosts, and a folder for what is thrown away."""

    folder: Path
    hosts: dict[str, NearHost] = field(default_factory=lambda: {name: NearHost(name) for name in PLAN})

    def as_network(self) -> Network:
        """What a scene wants of a network, it has."""
        return cast(Network, self)


class Order(msgspec.Struct):
    """What the program is to do, and what it is to know for it."""

    attack: str
    stage: int
    host: str
    server: Address
    bob: Address
    name: str = ""
    password: str = ""
    folder: str = ""


class Step(msgspec.Struct):
    """What the program says: that it waits for a moment, or, at the end, what it did."""

    until: str = ""
    did: str = ""


def elsewhere(attack: Attack, people: Callable[[], dict[str, Person]]) -> Attack:
    """The same attack, in a program of its own. `people`: those of the scene, once it has begun."""

    async def run(foothold: Foothold, goal: Goal) -> Claim:
        await foothold.until("talking")  # from then on it is known where Bob is
        order = Order(attack.name, foothold.stage.number, foothold.host.name, foothold.server, foothold.told("bob"))
        if attack.position == "insider":
            person = people()["carol"]
            order = msgspec.structs.replace(
                order, name=person.name, password=person.password, folder=str(person.folder)
            )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.attacker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        try:
            return await _conversation(process, foothold, order)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    return replace(attack, run=run)


async def _conversation(process: asyncio.subprocess.Process, foothold: Foothold, order: Order) -> Claim:
    """Hand the order over, let the program know of each moment it waits for, and wait for its claim."""
    if not (process.stdin and process.stdout):
        raise ValueError("the program is started with pipes")
    process.stdin.write(msgspec.json.encode(order) + b"\n")
    while line := await process.stdout.readline():
        step = msgspec.json.decode(line, type=Step)
        if not step.until:
            await asyncio.wait_for(process.wait(), END_SECONDS)
            return Claim(did=step.did)
        await foothold.until(cast(Moment, step.until))
        process.stdin.write(b"\n")
    raise LabError(f"The attack {order.attack} ended in the middle; run it alone to see why.")


class Distant:
    """The foothold in the program: `attacks.Foothold`, as far as attacks on availability need it."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.stage: Stage = stages.find(order.stage)
        self.host = NearHost(order.host)
        self.server = order.server

    async def enter(
        self, name: str, show: Callable[[Show], None], password: str = "", *, register: bool = False
    ) -> Client:
        """See `attacks.Foothold`. The account is made here: she has not been there before."""
        order = self.order
        person = Person(order.name, 0, order.password, register=True, folder=Path(order.folder))
        return await start_client(self.stage, Levers.parse("", self.stage.levers), self.host, self.server, person, show)

    async def until(self, moment: Moment) -> None:
        """See `attacks.Foothold`."""
        if moment == "talking":  # else there would be no order
            return
        _say(Step(until=moment))
        loop, come = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(0, come.set)
        await come.wait()
        loop.remove_reader(0)
        sys.stdin.buffer.readline()

    def told(self, member: str) -> Address:
        """See `attacks.Foothold`."""
        return self.order.bob

    def note(self, text: str) -> None:
        """Nobody watches."""


def _say(step: Step) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(step) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """The program."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    attack, foothold = attacks.find(order.attack), cast(Any, Distant(order))
    claim = asyncio.run(attack.run(foothold, attack.goals[0]))
    _say(Step(did=claim.did))


if __name__ == "__main__":
    main()

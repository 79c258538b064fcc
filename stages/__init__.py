"""The stages, found by walking this folder: `stages.find(1)`, `stages.numbers()`.

A stage is a package called `stage<N>_<name>` with the modules `server` (class `Server`), `client` (class
`ClientSession`) and `compose`, which puts them together as the levers ask. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from common.errors import LabError
from common.levers import LAN, Lever, Levers

if TYPE_CHECKING:
    import ssl

    from common.client import Client
    from common.messages import Message
    from common.session import ClientSession, Person, Server


@dataclass(frozen=True)
class Stage:
    """One stage: where it stands and how its two programs are made."""

    number: int
    package: str

    @property
    def folder(self) -> Path:
        """The stage's folder in the repository."""
        return Path(__file__).parent / self.package

    @property
    def slug(self) -> str:
        """`stage1-plaintext`: the name of its audit and of its run folders."""
        return self.package.replace("_", "-")

    @property
    def title(self) -> str:
        """The first sentence of the package's docstring."""
        return (importlib.import_module(f"stages.{self.package}").__doc__ or "").strip().splitlines()[0]

    def _module(self, name: str) -> Any:
        return importlib.import_module(f"stages.{self.package}.{name}")

    @property
    def levers(self) -> tuple[Lever, ...]:
        """The levers that it has on the bench: its own, and those of the network."""
        own: tuple[Lever, ...] = self._module("compose").LEVERS
        return (*own, *LAN)

    @property
    def wants_password(self) -> bool:
        """Is a client of this stage made with a password?"""
        return bool(self._module("compose").WANTS_PASSWORD)

    @property
    def knows_passphrase(self) -> bool:
        """Is there a lever under which a client of this stage is made with the room's passphrase?"""
        return hasattr(self._module("compose"), "wants_passphrase")

    def wants_passphrase(self, levers: Levers) -> bool:
        """Is it, under these levers?"""
        return self.knows_passphrase and bool(self._module("compose").wants_passphrase(levers))

    @property
    def wants_authority(self) -> bool:
        """Does a client of this stage trust a certification authority?"""
        return hasattr(self._module("compose"), "client_tls")

    def server(self, levers: Levers, folder: Path) -> Server:
        """A server as the levers ask for, which keeps what it must keep in this folder."""
        made: Server = self._module("compose").server(levers, folder)
        return made

    def client(self, levers: Levers, person: Person) -> ClientSession:
        """A client session as the levers ask for."""
        made: ClientSession = self._module("compose").client(levers, person)
        return made

    def server_tls(self, levers: Levers, folder: Path) -> ssl.SSLContext | None:
        """What its server speaks under the protocol; None for plain TCP."""
        make = getattr(self._module("compose"), "server_tls", None)
        made: ssl.SSLContext | None = make(levers, folder) if make else None
        return made

    def client_tls(self, levers: Levers, person: Person) -> ssl.SSLContext | None:
        """What its clients speak under the protocol; None for plain TCP."""
        make = getattr(self._module("compose"), "client_tls", None)
        made: ssl.SSLContext | None = make(levers, person) if make else None
        return made

    def client_program(self, levers: Levers) -> type[Client]:
        """What makes the connections of its clients."""
        make = getattr(self._module("compose"), "client_program", None)
        if make is None:
            from common import client

            return client.Client
        made: type[Client] = make(levers)
        return made

    @property
    def messages(self) -> dict[str, type[Message]]:
        """Every message of this stage's protocol by its `type`, as its sessions declare what they accept."""
        server, client = self._module("server").ServerSession, self._module("client").ClientSession
        accepted = (server.accepts, client.accepts, client.whispers)
        kinds = [kind for union in accepted for kind in (get_args(union) or (union,))]
        return {str(kind.__struct_config__.tag): kind for kind in kinds}

    @property
    def warning(self) -> str:
        """What whoever runs it beyond loopback is told; empty for a stage that deserves trust."""
        return str(importlib.import_module(f"stages.{self.package}").WARNING)

    @property
    def changes(self) -> tuple[str, ...]:
        """The files that differ from the stage before, as the stage itself says: the lever's own first."""
        return tuple(importlib.import_module(f"stages.{self.package}").CHANGES)

    @property
    def port(self) -> int:
        """The TCP port its server listens on where none is given."""
        return int(importlib.import_module(f"stages.{self.package}").PORT)


@cache
def catalogue() -> dict[int, Stage]:
    """Every stage there is, by number."""
    packages = (file.parent.name for file in Path(__file__).parent.glob("*/__init__.py"))
    numbered = ((re.match(r"stage(\d+)_", name), name) for name in packages)
    return dict(sorted((int(match[1]), Stage(int(match[1]), name)) for match, name in numbered if match))


def find(number: int) -> Stage:
    """The stage of this number. Raises LabError where there is none."""
    if number not in catalogue():
        there = ", ".join(f"stage-{n}" for n in catalogue())
        raise LabError(f"There is no stage-{number}; these stages exist: {there}.")
    return catalogue()[number]

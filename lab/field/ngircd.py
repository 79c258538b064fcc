"""ngircd on the lab's host `server`: configured, started, awaited, ended.

It runs as it comes from Debian, in the host's own namespaces (on loopback: at the address behind the relay), for one
scene; its files are in the scene's folder. It is the one server that the field attacks.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from common import lan_enter
from common.errors import LabError
from common.files import write_whole
from common.hosts import DOMAIN
from common.lan import LanHost
from common.levers import Levers
from common.loopback import LoopbackHost
from lab.hosting import Running
from stages.stage4_tls import tls

PORT: Final = 6667
TLS_PORT: Final = 6697
"""The port that is customary for IRC inside TLS (RFC 7194)."""
SECONDS: Final = 30.0
"""How long it may take to start: with GnuTLS it makes Diffie-Hellman parameters first."""
READY: Final = " ready."
"""How the line of its log ends that comes when it listens."""
OPERATOR: Final = "alice"

PLAIN: Final = """\
[Global]
Name = irc.{domain}
Info = the field audit of the Progressive Security Lab
AdminInfo1 = nobody
MotdPhrase = Welcome to the lab.
Listen = {address}
Ports = {port}
{password}
[Limits]
MaxPenaltyTime = 0
[Options]
DNS = no
Ident = no
PAM = no
[Operator]
Name = {operator}
Password = {operator_password}
"""
INSIDE_TLS: Final = """\
[SSL]
Ports = {port}
CertFile = {folder}/server.pem
KeyFile = {folder}/server.key
"""


def program() -> str:
    """Where ngircd is. Raises LabError where it is not installed."""
    found = shutil.which("ngircd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise LabError(
            "The field audit attacks ngircd, an IRC server, and there is none here; install it with: sudo apt install "
            "ngircd (Debian then runs it as a service, which the lab has no use for: sudo systemctl disable --now "
            "ngircd)."
        )
    return found


def version() -> str:
    """What `ngircd --version` says first. Raises LabError."""
    done = subprocess.run([program(), "--version"], check=False, capture_output=True, text=True, errors="replace")
    return (done.stdout.splitlines() or ["ngIRCd, of unknown version"])[0]


def short(version: str) -> str:
    """`ngIRCd 26.1`, without what it was built with."""
    return version.partition("-")[0]


@dataclass
class Ngircd:
    """One server, for one scene."""

    levers: Levers
    folder: Path
    log: list[str] = field(default_factory=list)
    """What it wrote, line by line."""
    pid: int = 0
    """Of the process that stands by it."""
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    def configuration(self, address: str, operator_password: str, password: str) -> str:
        """Its ngircd.conf (see its manual page). With TLS there is no port without."""
        inside = self.levers["transport"] == "tls"
        plain = PLAIN.format(
            domain=DOMAIN,
            address=address,
            port="" if inside else PORT,
            password=f"Password = {password}" if password else "",
            operator=OPERATOR,
            operator_password=operator_password,
        )
        if not inside:
            return plain
        return plain.replace("Ports = \n", "") + INSIDE_TLS.format(port=TLS_PORT, folder=self.folder)

    @contextlib.asynccontextmanager
    async def running(
        self, host: LanHost | LoopbackHost, operator_password: str, password: str = ""
    ) -> AsyncIterator[Running]:
        """Run it on this host until the block ends. Raises LabError where it does not start."""
        port = PORT
        if self.levers["transport"] == "tls":
            port = TLS_PORT
            tls.renew(self.folder, self.folder.parent / "ca")
        address = host.address if isinstance(host, LanHost) else host.private
        file = self.folder / "ngircd.conf"
        write_whole(file, self.configuration(address, operator_password, password).encode(), mode=0o600)
        process = await self._start(host, file)
        self.pid = process.pid
        reading = asyncio.create_task(self._read(process))
        try:
            await self._listens()
            if isinstance(host, LoopbackHost):
                host.network.carry_tcp(host, port)
            yield Running((f"{host.name}.{DOMAIN}", port), lambda session, effects: None)
        finally:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                process.terminate()
            await process.wait()
            await reading

    async def _start(self, host: LanHost | LoopbackHost, file: Path) -> asyncio.subprocess.Process:
        """As a process on the host; `lan_enter` stands by it, and ends it where we are killed."""
        descriptors = host.namespaces() if isinstance(host, LanHost) else []
        there = [lan_enter.__file__, "-", ",".join(map(str, descriptors))]
        try:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", *there, program(), "-n", "-f", str(file)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=descriptors,
                start_new_session=True,  # Ctrl-C is for the bench, which ends it when the scene has been cleared up
            )
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Keep what it writes, and notice when it says that it listens, or ends."""
        if process.stdout:
            async for line in process.stdout:
                self.log.append(line.decode(errors="replace").rstrip())
                if self.log[-1].endswith(READY):
                    self._settled.set()
        self._settled.set()

    async def _listens(self) -> None:
        """Wait until it does. Raises LabError where it ends instead, or says nothing of the kind."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                await self._settled.wait()
        if not any(line.endswith(READY) for line in self.log):
            raise LabError(f"ngircd did not start: {self.log[-1] if self.log else 'it said nothing'}")

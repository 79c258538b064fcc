"""`make lan`: the lab's hosts as machines to sit down at, with a stage's server running.

This program owns the LAN: it builds it, answers for names (`common.dns`) and for whoever wants to come in
(`lab.running`), and everything ends with it, however it ends. On a terminal with tmux it opens a window for each host
(`lab.lan_tmux`); leaving that is leaving the LAN. Without, it says how to open shells by hand and waits for Ctrl-C.
"""

import asyncio
import contextlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from common import lan_enter
from common.dns import NameServer
from common.errors import LabError
from common.hosts import DOMAIN
from common.lan import PLAN, Kind, Lan, LanUnavailable
from common.levers import Levers
from lab import lan_hosts
from lab.lan_tmux import Windows
from lab.running import About, Answer, Control, folder_of_its_own
from lab.runs import ROOT
from stages import Stage

END_SECONDS: Final = 1.0
"""How long a server may take to end, once it is told to."""
START_SECONDS: Final = 15.0
"""How long the stage's server may take until it listens."""

INSTEAD: Final = (
    "Without a LAN you can still run a stage in terminals of this machine (make stage-{n} server, make stage-{n} "
    "client NAME=alice) and every attack on loopback (make stage-{n} attack NETWORK=loopback)."
)


@dataclass(frozen=True)
class Wishes:
    """What a person can choose."""

    levers: str = ""
    kind: Kind = "hub"
    tmux: bool = True


@dataclass
class OpenLan:
    """A LAN with its names, that people can come into."""

    lan: Lan
    stage: Stage
    folder: Path
    about: About

    def answers(self, request: dict[str, Any]) -> Answer:
        """What the owner does when asked. Raises LabError where it cannot be done."""
        match request:
            case {"want": "enter", "host": ""}:
                return self._way_in("switch", str(self.folder), self.lan.namespaces())
            case {"want": "enter", "host": str(name)}:
                return self._way_in(name, lan_hosts.HOME, self._host(name).namespaces())
            case {"want": "packets", "host": ""}:
                return {}, [self.lan.mirror().detach()]
            case {"want": "packets", "host": str(name)}:
                return {}, [self._host(name).packet_socket().detach()]
            case {"want": "become", "kind": "hub" | "switch" as kind}:
                self.lan.become(kind)
                return {}, []
        raise LabError("The LAN does not know what that is; is it of another version of the lab?")

    def _host(self, name: str) -> Any:
        if name not in self.lan.hosts:
            raise LabError(f"There is no host {name}; there are: {', '.join(PLAN)}.")
        return self.lan.hosts[name]

    def _way_in(self, name: str, folder: str, namespaces: list[int]) -> Answer:
        environment = lan_hosts.environment(folder, name)
        if name not in PLAN:
            environment["LAB_RUNNING"] = self.about.id
        answer = {"env": environment, "path": lan_hosts.path(folder), "shell": lan_hosts.shell(folder)}
        return answer, namespaces

    def entering(self, host: str, *command: str) -> list[str]:
        """The command that runs a command on a host of this LAN."""
        return [sys.executable, "-I", "-S", lan_enter.__file__, str(self.folder / "control"), host, *command]


async def open_lan(stage: Stage, wishes: Wishes) -> int:
    """Keep a LAN until its person leaves. Raises LabError where there can be none."""
    levers = Levers.parse(wishes.levers, stage.levers)
    given = " ".join(f"{name}={setting}" for name, setting in levers.turned().items())
    loop, leave = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, leave.set)
    async with opened(stage, given, wishes.kind) as there:
        ready = there.lan.hosts["server"].unix_socket(lan_hosts.NOTIFY)
        with ready:
            try:
                if why := _no_windows(wishes):
                    await _by_hand(there, ready, leave, why)
                else:
                    await _in_windows(there, ready, leave)
            except LabError:
                if not leave.is_set():  # whoever leaves while the server starts is told of no fault of it
                    raise
    with contextlib.suppress(OSError):  # the terminal may be what has ended
        print("The LAN has ended; nothing of it is left.", flush=True)
    return 0


@contextlib.asynccontextmanager
async def opened(stage: Stage, levers: str, kind: Kind) -> AsyncIterator[OpenLan]:
    """A LAN, furnished and answering, until the block ends. Raises LabError."""
    with folder_of_its_own(stage.number, time.strftime("%H:%M")) as (folder, about):
        try:
            lan = Lan.build(sweep=folder)
        except LanUnavailable as why:
            raise LabError(f"{str(why).rstrip('.')}. {INSTEAD.format(n=stage.number)}") from None
        names = NameServer({f"{name}.{DOMAIN}": host.address for name, host in lan.hosts.items()})
        control: Control | None = None
        try:
            lan.become(kind)
            for name, host in lan.hosts.items():
                host.furnish(lan_hosts.files(name, stage, levers), lan_hosts.etc())
            lan_hosts.furnish_switch(folder)
            if warning := lan_hosts.unnamed():
                print(warning, file=sys.stderr, flush=True)
            await names.start(lan.hosts["dns"])
            there = OpenLan(lan, stage, folder, about)
            control = Control(folder, there.answers)
            yield there
        finally:
            if control is not None:
                control.close()
            names.close()
            lan.close()
            await asyncio.sleep(0)


def _no_windows(wishes: Wishes) -> str:
    """Why there are no windows; empty where there can be."""
    if not wishes.tmux:
        return "As you asked, without windows."
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "There is no terminal here, so there are no windows."
    if shutil.which("tmux") is None:
        return "With tmux there would be a window for each host (sudo apt install tmux)."
    return ""


async def _by_hand(there: OpenLan, ready: socket.socket, leave: asyncio.Event, why: str) -> None:
    """Run the server here, say how to come in, and wait."""
    print(f"The LAN of stage {there.stage.number} is up: LAN {there.about.id}. {why}", flush=True)
    command = there.entering("server", "server")
    # In a session of its own: Ctrl-C is for us. A Python that is just starting answers it with a traceback.
    server = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL, start_new_session=True)
    ends = [asyncio.create_task(server.wait()), asyncio.create_task(leave.wait())]
    try:
        await _listening(there, ready, asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED))
        print(how_to_come_in(there), flush=True)
        await leave.wait()
    finally:
        ends[1].cancel()
        with contextlib.suppress(ProcessLookupError):
            server.terminate()
        await asyncio.wait(ends[:1], timeout=END_SECONDS)
        there.lan.close()  # which ends whatever has not ended
        await ends[0]


async def _in_windows(there: OpenLan, ready: socket.socket, leave: asyncio.Event) -> None:
    """Open the windows, and wait until their person leaves them."""
    windows = Windows(there.folder, there.stage, there.about, there.entering)
    await windows.open()
    await _listening(there, ready, leave.wait(), windows.what_the_server_says)
    await windows.open_members()
    client = await windows.attach()
    over = asyncio.create_task(leave.wait())
    ended = asyncio.create_task(client.wait())
    try:
        await asyncio.wait([over, ended], return_when=asyncio.FIRST_COMPLETED)
    finally:
        there.lan.close()  # and with it tmux's server, which lets the terminal go
        over.cancel()
        await ended
    if client.returncode and not leave.is_set():
        raise LabError("tmux cannot use this terminal; without windows it is: make lan ARGS=--no-tmux")


async def _nothing() -> str:
    return ""


async def _listening(
    there: OpenLan,
    ready: socket.socket,
    over: Coroutine[Any, Any, Any],
    says: Callable[[], Coroutine[Any, Any, str]] = _nothing,
) -> None:
    """Wait until the server says that it listens, and hand its authority's certificate to all others, out of band, as
    somebody would who walks from machine to machine. Raises LabError where it ends, or takes too long."""
    listens = asyncio.ensure_future(asyncio.get_running_loop().sock_recv(ready, 64))
    ended = asyncio.ensure_future(over)
    done, _ = await asyncio.wait([listens, ended], timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for waiting in (listens, ended):
        waiting.cancel()
    if listens not in done:
        raise LabError(f"The server of stage {there.stage.number} did not start. {await says()}".rstrip())
    if there.stage.wants_authority:
        path = lan_hosts.authority(there.stage)
        certificate = there.lan.hosts["server"].run("cat", path)
        for name in PLAN.keys() - {"server", "dns"}:
            there.lan.hosts[name].put(path, certificate)


def how_to_come_in(there: OpenLan) -> str:
    """The lines that open a shell on each host, and the programs of its members."""
    lab = command()
    lines = [f"  {lab} exec {name}" for name in PLAN]
    programs = [f"  {lab} exec {name} client" for name, what in lan_hosts.PROGRAMS.items() if what == "client"]
    return "\n".join(
        [
            "A shell on each host, each in a terminal of its own:",
            *lines,
            "The members' clients:",
            *programs,
            f"Frames as they come: {lab} capture eve; questions for names: {lab} dns. Ctrl-C ends the LAN.",
        ]
    )


def command() -> str:
    """How the command `lab` is typed from here."""
    launcher = ROOT / ".venv" / "bin" / "lab"
    if launcher.exists() and Path(sys.executable).parent == launcher.parent:
        with contextlib.suppress(ValueError):
            launcher = launcher.relative_to(Path.cwd())
        return shlex.quote(str(launcher))
    return shlex.join([sys.executable, "-m", "lab"])

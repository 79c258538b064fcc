"""The windows of `make lan`: one for each host, the first one an overview, in a tmux server of the LAN's own.

The server's socket lies in the LAN's folder and its configuration is this file, so the person's own tmux is neither
asked nor changed, and `make lan` works inside it too. It runs as a process of the LAN and ends with it. Leaving it in
any way (detaching, closing the last window or the terminal) ends the LAN.
"""

import asyncio
import os
import shlex
import shutil
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable
from pathlib import Path
from typing import Final

from common import lan_enter
from common.errors import LabError
from common.lan import PLAN, PREFIX
from lab import lan_hosts
from lab.running import About
from stages import Stage

ORDER: Final = ("server", "alice", "bob", "carol", "eve", "mallory", "dns")
"""The windows after the overview; F2 is the first of them."""


class Windows:
    """tmux, on a socket of its own. `entering` makes the command that runs a command on a host."""

    def __init__(self, folder: Path, stage: Stage, about: About, entering: Callable[..., list[str]]) -> None:
        self._folder = folder
        self._stage = stage
        self._about = about
        self._entering = entering
        self._prefix = "C-a" if os.environ.get("TMUX") else "C-b"  # C-b is the outer tmux's
        # A window takes its PATH from whoever asks for it. What a window runs is written for sh, and tmux would give it
        # to the person's own shell: fish reads it otherwise, and where that is nologin no window stays.
        changes = {"TMUX": None, "TMUX_PANE": None, "SHELL": "/bin/sh"}
        self._environment = lan_enter.environment(changes, lan_hosts.path(str(folder)))

    async def open(self) -> None:
        """Start tmux with the overview and the server's window. Raises LabError."""
        size = shutil.get_terminal_size()
        (self._folder / "overview").write_text(overview(self._stage, self._about, self._prefix), encoding="utf-8")
        (self._folder / "here").write_text(self._shell_of_this_window(), encoding="utf-8")
        shell = shlex.join(lan_hosts.shell(str(self._folder)))
        first = f"cat {shlex.quote(str(self._folder / 'overview'))}; exec {shell}"
        session = ["new-session", "-d", "-s", "lab", "-n", "overview", "-x", str(size.columns), "-y", str(size.lines)]
        await self._tmux(*session, first, inside=True)
        for setting in self._settings():
            await self._tmux(*setting)
        await self._window("dns", None, "questions for names")  # before anybody asks
        await self._window("server", lan_hosts.then_a_shell("server"), "the stage's server")

    async def open_members(self) -> None:
        """The other windows, once the server listens."""
        for name in ORDER[1:]:
            if lan_hosts.PROGRAMS.get(name) == "client":
                await self._window(name, lan_hosts.then_a_shell("client"), f"{name}'s client")
        await self._window("eve", [], "a shell on eve")
        await self._window("mallory", [], "a shell on mallory")
        await self._tmux("select-window", "-t", "lab:overview")

    async def attach(self) -> Process:
        """Show it on this terminal."""
        command = ["tmux", "-S", self._socket, "attach-session", "-t", "lab"]
        return await asyncio.create_subprocess_exec(*command, env=self._environment)

    async def what_the_server_says(self) -> str:
        """The last line in the server's pane."""
        said = (await self._tmux("capture-pane", "-p", "-t", "lab:server.0")).strip().splitlines()
        return f"It says: {said[-1]}" if said else ""

    @property
    def _socket(self) -> str:
        return str(self._folder / "tmux")

    async def _window(self, name: str, command: list[str] | None, title: str) -> None:
        """A host's window: its program above and a shell below, or only a shell. None: what `lab dns` shows."""
        top = ["sh", "-c", "lab dns"] if command is None else self._entering(name, *command)
        await self._tmux("new-window", "-d", "-t", f"lab:{ORDER.index(name) + 2}", "-n", name, shlex.join(top))
        await self._tmux("set-option", "-p", "-t", f"lab:{name}.0", "@what", title)
        if command != []:
            await self._tmux("split-window", "-d", "-v", "-t", f"lab:{name}.0", shlex.join(self._entering(name)))

    def _settings(self) -> list[list[str]]:
        keys = [["bind-key", "-n", f"F{n}", "select-window", "-t", f"lab:{n}"] for n in range(1, len(ORDER) + 2)]
        options = {
            "prefix": self._prefix,
            "mouse": "on",
            "base-index": "1",
            "escape-time": "20",
            "history-limit": "10000",
            "default-command": f"sh {shlex.quote(str(self._folder / 'here'))}",
            "status-left": f"stage {self._stage.number} ",
            "status-right": "",
            "status-style": "bg=colour236,fg=colour252",
        }
        of_windows = {
            "window-status-format": "F#I #W",
            "window-status-current-format": "#[reverse]F#I #W#[noreverse]",
            "pane-border-status": "top",
            "pane-border-format": " #{?@what,#{@what},a shell on #W} ",
            "automatic-rename": "off",
            "allow-rename": "off",
        }
        return [
            ["bind-key", self._prefix, "send-prefix"],
            ["bind-key", "c", "new-window", "-n", "switch"],
            ["move-window", "-s", "lab:0", "-t", "lab:1"],
            *keys,
            *(["set-option", "-g", name, value] for name, value in options.items()),
            *(["set-option", "-g", "-w", name, value] for name, value in of_windows.items()),
            ["set-option", "-p", "-t", "lab:overview.0", "@what", f"LAN {self._about.id}: outside all hosts"],
        ]

    def _shell_of_this_window(self) -> str:
        """What a pane runs that the person opens: a shell on the host after which its window is called."""
        hosts = "|".join(PLAN)
        on_a_host = shlex.join(self._entering("HOST")).replace("HOST", '"$window"')
        outside = shlex.join(lan_hosts.shell(str(self._folder)))
        asked = "window=$(tmux display-message -p -t \"$TMUX_PANE\" '#W')"
        return f"{asked}\ncase $window in {hosts}) exec {on_a_host} ;; *) exec {outside} ;; esac\n"

    async def _tmux(self, *words: str, inside: bool = False) -> str:
        """One tmux command; `inside`: as a process of the LAN, as the server has to be that it starts."""
        command = ["tmux", "-f", "/dev/null", "-S", self._socket, *words]
        client = await asyncio.create_subprocess_exec(
            *(self._entering("", *command) if inside else command),
            env=self._environment,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
        )
        said = (await client.communicate())[0].decode(errors="replace")
        if client.returncode:
            raise LabError(f"tmux cannot be used here ({said.strip()}); without windows it is: make lan ARGS=--no-tmux")
        return said


def overview(stage: Stage, about: About, prefix: str) -> str:
    """The first window: who is where, what to try, how to leave; for 80 columns and 24 rows."""
    roles = {
        "server": f"the stage's server, port {stage.port}",
        **dict.fromkeys(("alice", "bob", "carol"), "a member: the client, and a shell"),
        "eve": "listens",
        "mallory": "attacks",
        "dns": "the name server: who asks for which name",
    }
    hosts = [f"  F{n}  {name:8} {PREFIX}.{PLAN[name]:<3} {roles[name]}" for n, name in enumerate(ORDER, 2)]
    key = prefix.replace("C-", "Ctrl-")
    lines = [
        f"Stage {stage.number}: {stage.title.partition(':')[0]}",
        "",
        *hosts,
        "",
        *_to_try(stage),
        "",
        f'The mouse works. {key} o: other pane, {key} ": another shell, {key} [: scroll',
        f"{key} d, or closing this terminal, ends the LAN: nothing of it stays.",
        "",
    ]
    return "\n".join(lines)


def _to_try(stage: Stage) -> list[str]:
    ear = f"tcpdump -nA -i eth0 port {stage.port}" if shutil.which("tcpdump") else "lab capture"
    mallory = [f"  F7  as mallory:  lab stage-{stage.number} audit says what still works at this stage"]
    if stage.number == 1:
        mallory = [
            f"  F7  as mallory:  nc server {stage.port}, and type",
            '        {"type":"join","name":"mallory","udp_port":9}',
            '        {"type":"say","from":"alice","text":"I owe Mallory 100."}',
        ]
    return [
        "Try this:",
        "  F3  say something as alice, and /whisper bob something; F4: what does bob see?",
        f"  F6  as eve:      {ear}",
        *mallory,
        "  F3  as alice:    ping -c1 bob; ip neigh; getent hosts server",
        "  F1  here:        lab become switch, and eve goes deaf; lab become hub",
    ]

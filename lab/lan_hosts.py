"""What a host of `make lan` has that the machine has not: names from the lab's DNS, a prompt, `client`, `server`.

Everything here is text for files under the host's own /run, which vanishes with it: the shell's history, the keys and
accounts of whoever chats there, a password. So nothing that is done on a host is kept, and no two hosts share a file
there, though all see the person's home and this repository.
"""

import os
import pwd
import secrets
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

from common.hosts import DOMAIN
from common.lan import PLAN, PREFIX
from lab.runs import ROOT
from stages import Stage

HOME: Final = "/run/lab"
"""The folder on every host that is the host's own."""
NOTIFY: Final = f"{HOME}/ready"
"""Where the server says that it listens."""
DATA: Final = f"{HOME}/data"
PROGRAMS: Final = {"server": "server"} | dict.fromkeys(("alice", "bob", "carol"), "client")
"""What runs on a host from the beginning."""
Files = dict[str, tuple[int, str]]
"""Files by path: mode and text."""


def etc() -> dict[str, str]:
    """What stands in for the machine's own /etc: the lab's name server, and no other source of names."""
    return {
        "resolv.conf": f"nameserver {PREFIX}.{PLAN['dns']}\nsearch {DOMAIN}\n",
        "hosts": "127.0.0.1 localhost\n",
        "nsswitch.conf": _names_from_dns(Path("/etc/nsswitch.conf")),
    }


def _names_from_dns(path: Path) -> str:
    """The machine's own file, which also says where its users are listed, with another line about hosts."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    kept = [line for line in lines if not line.lstrip().startswith("hosts:")]
    return "\n".join([*kept, "hosts: files dns", ""])


def unnamed() -> str:
    """Why names cannot be looked up on the hosts of this machine; empty where they can.

    A file can stand in for one that the machine has, or be put where its link points under /run, which is the host's.
    """
    real = os.path.realpath("/etc/resolv.conf")
    if os.path.exists(real) or real.startswith("/run/"):
        return ""
    return f"There is no {real}, so hosts have addresses and no names; an empty one is enough: sudo touch {real}"


def files(host: str, stage: Stage, levers: str) -> Files:
    """A host's own files."""
    program = PROGRAMS.get(host, "client")
    own = shell_files(HOME, host)
    own[f"{HOME}/history"] = (0o600, f"{program}\n" if host in PROGRAMS else "")
    if host == "server":
        own[f"{HOME}/bin/server"] = (0o755, _server(stage, levers))
    elif host != "dns":
        own[f"{HOME}/bin/client"] = (0o755, _client(stage, levers, host))
        if stage.wants_password:
            own[f"{HOME}/password"] = (0o600, secrets.token_urlsafe(9) + "\n")
    return own


def shell_files(folder: str, host: str) -> Files:
    """What a shell needs: the command `lab`, and a prompt that says where one is."""
    code = f"import sys; sys.argv[0] = 'lab'; sys.path.insert(0, {str(ROOT)!r}); "
    code += "from lab.__main__ import main; sys.exit(main())"
    launcher = f'#!/bin/sh\nexec {shlex.join([sys.executable, "-P", "-c", code])} "$@"\n'
    return {
        f"{folder}/bin/lab": (0o755, launcher),
        f"{folder}/bashrc": (0o644, "PS1='\\u@\\h:\\W\\$ '\n"),
    }


def furnish_switch(folder: Path) -> None:
    """The same for a shell outside all hosts, in the LAN's folder."""
    for path, (mode, text) in shell_files(str(folder), "switch").items():
        file = Path(path)
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)


def environment(folder: str, host: str) -> dict[str, str | None]:
    """How a program's environment on a host, or on the switch, differs from the person's own; None: not there."""
    shell: dict[str, str | None] = {"HISTFILE": f"{folder}/history", "PS1": f"{_user()}@{host}$ "}  # PS1 is for sh
    if host not in PLAN:
        return shell
    gone = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "TMUX", "TMUX_PANE", "LAB_RUNNING")
    return {**shell, "LAB_HOST": host, "XDG_DATA_HOME": DATA, **dict.fromkeys(gone)}


def path(folder: str) -> list[str]:
    """Where commands are looked for first: ours, and this Python's, which has scapy."""
    return [f"{folder}/bin", str(Path(sys.executable).parent)]


def shell(folder: str) -> list[str]:
    """The shell: plain, without what the person's own start-up files do on their own machine."""
    return ["bash", "--rcfile", f"{folder}/bashrc", "-i"] if shutil.which("bash") else ["sh", "-i"]


def then_a_shell(program: str) -> list[str]:
    """A host's program, and a shell when it has ended, by Ctrl-C too."""
    return ["sh", "-c", f'trap : INT; {program}; trap - INT; exec "$@"', "sh", *shell(HOME)]


def authority(stage: Stage) -> str:
    """Where a host keeps the certificate of the authority that it trusts: where the stage's client looks for it."""
    return f"{DATA}/progressive-security-lab/{stage.package}/ca/ca.pem"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "you"


def _server(stage: Stage, levers: str) -> str:
    command = ["lab", f"stage-{stage.number}", "server", "--listen", f"{PREFIX}.{PLAN['server']}"]
    return _script(command, levers, f"export NOTIFY_SOCKET={NOTIFY}")


def _client(stage: Stage, levers: str, name: str) -> str:
    """At the first start it makes an account; where that fails, also at the next."""
    command = ["lab", f"stage-{stage.number}", "client", "--name", name, "--server", f"server.{DOMAIN}"]
    if not stage.wants_password:
        return _script(command, levers)
    once = f'[ -e {HOME}/registered ] || set -- --register "$@"'
    return _script([*command, "--password-file", f"{HOME}/password"], levers, once, f" && : >{HOME}/registered")


def _script(command: list[str], levers: str, before: str = ":", after: str = "") -> str:
    command += ["--levers", levers] if levers else []
    shown = shlex.join(command)
    return f'#!/bin/sh\n{before}\necho "\\$ {shown} $*"\n{shown} "$@"{after}\n'

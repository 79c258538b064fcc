"""Who the lab is measured against: what people would pick instead, and programs in C that show the machine's limit.

Those in C are compiled where a benchmark is run (gcc, libssl-dev, libsodium-dev); the others are Debian packages:
nats-server, mosquitto, inspircd, nginx-light with libnginx-mod-stream. What is not there is left out, and said.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from common.errors import LabError

HERE: Final = Path(__file__).parent
START_SECONDS: Final = 60.0
SEARCHED: Final = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

IRC: Final = """
<server name="irc.lab.test" description="lab" network="lab">
<bind address="127.0.0.1" port="{port}" type="clients">
<connect allow="*" timeout="600" useident="no" resolvehostnames="no" commandrate="0" fakelag="off" threshold="100000000"
  hardsendq="1G" softsendq="1G" recvq="100M" localmax="100000" globalmax="100000" pingfreq="3600">
<performance somaxconn="4096" softlimit="100000" clonesonconnect="no">
<options casemapping="ascii">
<class name="none"><type name="none" class="none">
<files motd="/dev/null"><pid file="{folder}/inspircd.pid">
<path configdir="{folder}" datadir="{folder}" logdir="{folder}" runtimedir="{folder}">
"""
MOSQUITTO: Final = """
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_queued_messages 0
log_type none
"""
NGINX: Final = """
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events {{ worker_connections 20000; }}
stream {{
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {folder}/server.pem;
    ssl_certificate_key {folder}/server.key;
    ssl_protocols TLSv1.3;
    ssl_session_tickets on;
    tcp_nodelay on;
    proxy_pass 127.0.0.1:{behind};
  }}
}}
"""


@dataclass
class Peer:
    """A server that runs: its processes and its port."""

    port: int
    processes: list[int] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """What its processes have taken of a processor, their threads included (proc(5), schedstat: in nanoseconds)."""
        tasks = (task for pid in self.processes for task in Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9

    def memory(self) -> int:
        """Its resident memory, in bytes."""
        pages = (int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) for pid in self.processes)
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def missing(*programs: str) -> list[str]:
    """Those of the programs that this machine has not."""
    return [program for program in programs if not shutil.which(program, path=SEARCHED)]


def compiled(folder: Path, name: str, *libraries: str) -> Path:
    """One of the programs in C. Raises LabError where there is no compiler, or no library to compile with."""
    binary = folder / name
    command = ["cc", "-O2", "-Wno-format-overflow", "-o", str(binary), str(HERE / f"{name}.c")]
    command += libraries or ("-lssl", "-lcrypto")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LabError("The benchmarks need a C compiler: sudo apt install gcc libc6-dev libssl-dev") from None
    if done.returncode:
        why = done.stderr.strip().splitlines()[0]
        raise LabError(f"{name}.c cannot be compiled ({why}); are libssl-dev and libsodium-dev there?")
    return binary


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def onto_the_first_core() -> None:
    """Where servers run. Of the processors that this process may use, which on a shared machine need not be all."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def onto_the_last_core() -> None:
    """Where the load runs."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


@contextlib.contextmanager
def running(command: Sequence[str], port: int) -> Iterator[Peer]:
    """A server on the first core, until the block ends. Raises LabError where it does not listen in time."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, "PATH": SEARCHED},
            preexec_fn=onto_the_first_core,  # noqa: PLW1509 - no thread runs here
        )
        try:
            _wait_until_it_listens(process, port)
            yield Peer(port, [process.pid, *_children(process.pid)])
        except LabError as error:
            said.seek(0)
            raise LabError(f"{error} It said: {said.read()[-300:].decode(errors='replace').strip()}") from None
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_it_listens(process: "subprocess.Popen[bytes]", port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)  # a program that is not ours tells nobody when it listens
    raise LabError(f"{process.args!r} does not listen on port {port}.")


def _children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(child) for child in children]


@contextlib.contextmanager
def nats(folder: Path) -> Iterator[Peer]:
    """nats-server, as it comes."""
    port = free_port()
    with running(["nats-server", "-a", "127.0.0.1", "-p", str(port)], port) as peer:
        yield peer


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[Peer]:
    """mosquitto, with nothing kept and nothing dropped."""
    port = free_port()
    (folder / "mosquitto.conf").write_text(MOSQUITTO.format(port=port), encoding="utf-8")
    with running(["mosquitto", "-c", str(folder / "mosquitto.conf")], port) as peer:
        yield peer


@contextlib.contextmanager
def inspircd(folder: Path) -> Iterator[Peer]:
    """InspIRCd, without its limits of speed."""
    port = free_port()
    (folder / "inspircd.conf").write_text(IRC.format(port=port, folder=folder), encoding="utf-8")
    command = ["inspircd", "--config", str(folder / "inspircd.conf"), "--nofork", "--runasroot"]
    with running(command, port) as peer:
        yield peer


@contextlib.contextmanager
def in_c(folder: Path, way: str = "batch") -> Iterator[Peer]:
    """The server in C: `batch`, or `each`."""
    port = free_port()
    with running([str(compiled(folder, "epoll_server")), str(port), way], port) as peer:
        yield peer


@contextlib.contextmanager
def nginx_before_c(folder: Path) -> Iterator[Peer]:
    """nginx, which ends TLS, before the server in C; the certificate is one of stage 4's. Both on one core."""
    from common.levers import Levers
    from stages import find

    find(4).server_tls(Levers.parse("", find(4).levers), folder)
    port = free_port()
    with in_c(folder) as behind:
        (folder / "nginx.conf").write_text(NGINX.format(port=port, behind=behind.port, folder=folder), encoding="utf-8")
        with running(["nginx", "-c", str(folder / "nginx.conf")], port) as front:
            yield Peer(port, front.processes + behind.processes)


@contextlib.contextmanager
def lab(folder: Path, stage: int = 1, members: int = 0, levers: str | None = None) -> Iterator[Peer]:
    """A stage's own server, with these levers turned; where there are none, with a hash that takes no time."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.serve", str(stage), str(port), str(folder), str(members)]
    command += [] if levers is None else [levers]
    with running(command, port) as peer:
        yield peer

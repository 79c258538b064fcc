"""A thread for each client, or one event loop: the two settings of the lever `runtime`, measured side by side.

    python -m benchmarks.runtimes [--members 100] [--json]

The server of stage 1 is started as a program of its own, once with each setting, on a free port of 127.0.0.1. Plain
sockets are its members. Four figures, each with the ratio of the two:

- threads: how many the server has once all members are there (Linux: `Threads` in /proc/PID/status)
- memory: what each member added to the server's resident memory (`VmRSS`, the same place), in KiB
- spread: how long one message takes until all members have read it, in milliseconds, the median of 50
- wait: the longest that Bob waits for a word of Alice's while one member has stopped reading and another talks without
  end; after FROZEN milliseconds without a word that is what is said, since it may be for ever

Messages go one at a time, so that both settings write once for each member. In a burst the event loop would be far
ahead, since it gathers what is due to a member into one write (`python -m benchmarks.room`).
"""

import argparse
import contextlib
import json
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from common.errors import LabError
from common.messages import Join, Say
from common.wire import encode

SETTINGS: Final = ("threads", "asyncio")
MESSAGES: Final = 50
FROZEN: Final = 3000.0
WORDS: Final = 30
TITLES: Final = {
    "threads": "threads",
    "memory": "KiB a member",
    "spread": "one message, ms",
    "wait": "longest wait, ms",
}
FLOOD: Final = encode(Say(sender="flood", text="x" * 1000)) * 100


class Member:
    """A plain socket that has joined."""

    def __init__(self, port: int, name: str, *, buffer: int = 0) -> None:
        self.name = name
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(FROZEN / 1000)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(encode(Join(name=name, udp_port=9)))
        self.socket.recv(1 << 16)  # the roster: it is inside before the next comes

    def line(self, text: str) -> bytes:
        """What it says, as it goes over the wire."""
        return encode(Say(sender=self.name, text=text))

    def hears(self, line: bytes) -> bool:
        """Read until this line has come; False where nothing comes for FROZEN milliseconds."""
        heard, until = b"", time.perf_counter() + FROZEN / 1000
        with contextlib.suppress(TimeoutError):
            while time.perf_counter() < until:
                heard = heard[-len(line) :] + self.socket.recv(1 << 16)
                if line in heard:
                    return True
        return False


@contextlib.contextmanager
def served(setting: str) -> Iterator[tuple[int, int]]:
    """The process id and the port of a server with this setting. Raises LabError."""
    command = [sys.executable, "-m", "stages.stage1_plaintext.server", "--port", "0", "--levers", f"runtime={setting}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as server:
        try:
            found = re.search(r"port (\d+)", server.stdout.readline() if server.stdout else "")
            if found is None:
                raise LabError("The server did not start; what does it say? make stage-1 server")
            yield server.pid, int(found[1])
        finally:
            server.kill()


def status(pid: int, field: str) -> int:
    """A number from /proc/PID/status; 0 where there is no such file."""
    try:
        found = re.search(rf"^{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def crowd(setting: str, number: int) -> dict[str, float]:
    """Threads, memory and speed with so many members."""
    with served(setting) as (pid, port), contextlib.ExitStack() as stack:
        before = status(pid, "VmRSS")
        members = [Member(port, f"member-{n}") for n in range(number)]
        for member in members:
            stack.enter_context(member.socket)
        spread(members, "everybody is here")
        found = {"threads": status(pid, "Threads"), "memory": (status(pid, "VmRSS") - before) / number}
        return found | {"spread": statistics.median(spread(members, f"message {n} is it") for n in range(MESSAGES))}


def spread(members: Sequence[Member], text: str) -> float:
    """Milliseconds until all the others have heard what the first one says. Raises LabError where they do not."""
    first, *others = members
    start = time.perf_counter()
    first.socket.sendall(first.line(text))
    if not all(member.hears(first.line(text)) for member in others):
        raise LabError("Not everybody heard a message; is this machine very busy? Try again.")
    return (time.perf_counter() - start) * 1000


def longest_wait(setting: str) -> float:
    """Milliseconds that Bob waits for a word of Alice's at worst, while one member sleeps and one floods."""
    with served(setting) as (_, port):
        sleeper, flood = Member(port, "sleeper", buffer=4096), Member(port, "flood")
        alice, bob = Member(port, "alice"), Member(port, "bob")
        over = threading.Event()
        tasks = [threading.Thread(target=talk, args=(flood.socket, over), daemon=True)]
        tasks += [threading.Thread(target=read, args=(m.socket, over), daemon=True) for m in (alice, flood)]
        for task in tasks:
            task.start()
        waits = []
        for number in range(WORDS):
            start = time.perf_counter()
            alice.socket.sendall(alice.line(f"word {number}"))
            came = bob.hears(alice.line(f"word {number}"))
            waits.append((time.perf_counter() - start) * 1000 if came else FROZEN)
            if not came:
                break
            over.wait(0.1)  # nobody talks faster than that
        over.set()
        for member in (sleeper, flood, alice, bob):
            with contextlib.suppress(OSError):
                member.socket.shutdown(socket.SHUT_RDWR)
            member.socket.close()
        for task in tasks:
            task.join()
        return max(waits)


def talk(sock: socket.socket, over: threading.Event) -> None:
    """Say as much as the server takes."""
    while not over.is_set():
        try:
            sock.send(FLOOD)
        except TimeoutError:
            continue
        except OSError:
            return


def read(sock: socket.socket, over: threading.Event) -> None:
    """Read whatever comes, so that nobody but the sleeper is asleep."""
    while not over.is_set():
        try:
            if not sock.recv(1 << 16):
                return
        except TimeoutError:
            continue
        except OSError:
            return


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A thread for each client, or one event loop.")
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = {name: crowd(name, options.members) | {"wait": longest_wait(name)} for name in SETTINGS}
    if options.json:
        print(json.dumps({"members": options.members, "frozen": FROZEN, **found}))
        return
    print(f"{options.members} members; longest wait: four members, one of them asleep")
    print(f"{'':<22}{'threads':>12}{'asyncio':>12}{'ratio':>10}")
    for name, title in TITLES.items():
        threads, loop = (found[setting][name] for setting in SETTINGS)
        if name == "wait" and threads >= FROZEN:
            print(f"{title:<22}{'frozen':>12}{loop:>12,.1f}")
        else:
            print(f"{title:<22}{threads:>12,.1f}{loop:>12,.1f}{threads / loop if loop else float('inf'):>10.1f}")


if __name__ == "__main__":
    main()

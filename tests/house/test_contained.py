"""Nothing leaves the lab: no attack at a target outside, no host of either network; and a run fetches nothing."""

import ast
import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import attacks
from common.errors import LabError
from common.hosts import Confined, Host
from common.lan import Lan
from common.loopback import Loopback
from lab.cli import run
from tests.guard import Escaped, inside, standing

REPOSITORY = Path(__file__).resolve().parents[2]
OUTSIDE = (
    *("192.0.2.1", "198.51.100.7:5001", "10.0.0.1:5001", "10.13.37.10:5001", "172.16.0.1", "192.168.1.1:22"),
    *("169.254.169.254:80", "100.64.0.1", "0.0.0.0:5001", "0", "255.255.255.255:5001", "224.0.0.1:5001", "240.0.0.1"),
    *("2001:db8::1", "[2001:db8::1]:5001", "fe80::1%eth0", "ff02::1", "::ffff:192.0.2.1", "[::ffff:c000:201]:5001"),
    *("example.com", "example.com:5001", "server.lab.test", "localhost", "localhost.example.com", "127.0.0.1.nip.io"),
    *("3221225985", "0xc0000201", "0300.0.2.1", "030000001001", "192.0.513", "192.513", "0xc0.0.2.1", "192.0.2.01"),
    *("2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.1", "127.0.0.01", "128.0.0.1", "126.255.255.255"),
    *("127.0.0.1@192.0.2.1", "192.0.2.1#127.0.0.1", "127.0.0.1 192.0.2.1", "１２７.0.0.1", "127.0.0.1\0.example.com"),
)
"""Addresses outside and names that lead there; and odd spellings of loopback, which are refused too: what is not
written as four numbers is not taken, so nobody has to wonder how another program reads it."""


@pytest.mark.parametrize("attack", attacks.names())
def test_attack_is_refused_a_target_outside_before_anything_is_sent(
    attack: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for target in OUTSIDE:
        with standing():
            assert run(["stage-1", attack, "--target", target]) == 2, target
        assert "127.0.0.0/8" in (told := capsys.readouterr().err) or "with a port from 1 to 65535" in told, target


@pytest.mark.parametrize("address", [each for each in OUTSIDE if ":" not in each])
def test_host_of_an_attack_by_hand_reaches_nothing_outside(address: str) -> None:
    async def trying() -> None:
        host = Confined()
        with standing():
            with pytest.raises(LabError, match=r"127\.0\.0\.0/8"):
                await host.connect(address, 9)
            with pytest.raises(LabError, match=r"127\.0\.0\.0/8"):
                await host.resolve(address)

    asyncio.run(trying())


def refused_datagrams(host: Host, *addresses: str) -> None:
    """The kernel itself sends nothing from this host to these."""

    async def trying() -> None:
        with await host.bind_udp() as udp:
            for address in addresses:
                with pytest.raises(OSError, match=r"Invalid argument|Network is unreachable|Permission denied"):
                    udp.sendto(b"hello", (address, 9))

    asyncio.run(trying())


def test_kernel_sends_no_datagram_outside_for_an_attack_by_hand() -> None:
    refused_datagrams(Confined(), "192.0.2.1", "10.13.37.10", "255.255.255.255", "198.51.100.7")


def refused_connections(host: Host) -> None:
    async def trying() -> None:
        for address in ("192.0.2.1", "255.255.255.255", "224.0.0.1"):
            with pytest.raises(LabError, match="Cannot reach"):
                (await host.connect(address, 9)).close()

    asyncio.run(trying())


def test_no_host_of_the_loopback_network_reaches_anything_outside() -> None:
    async def trying() -> None:
        network = Loopback()
        try:
            for host in network.hosts.values():
                for address in ("192.0.2.1", "255.255.255.255", "224.0.0.1"):
                    with pytest.raises(LabError, match="Cannot reach"):
                        (await host.connect(address, 9)).close()
                with await host.bind_udp() as udp, pytest.raises(OSError, match=r"Invalid argument|unreachable"):
                    udp.sendto(b"hello", ("192.0.2.1", 9))
        finally:
            network.close()

    asyncio.run(trying())


def test_no_host_of_the_lan_reaches_anything_outside(lan: Lan) -> None:
    for host in lan.hosts.values():
        refused_connections(host)
        refused_datagrams(host, "192.0.2.1", "198.51.100.7", "172.16.0.1")


def test_no_attack_makes_a_socket_of_its_own() -> None:
    """Sockets come from the host that the bench hands over; it cannot reach further."""
    forbidden = {
        "socket",
        "create_server",
        "create_datagram_endpoint",
        "getaddrinfo",
        "urlopen",
        "L3socket",
    }
    for file in sorted((REPOSITORY / "attacks").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                assert name not in forbidden, f"{file.name}:{node.lineno}"
                opens = name in ("open_connection", "create_connection", "start_server")
                assert not opens or any(word.arg == "sock" for word in node.keywords), f"{file.name}:{node.lineno}"


def test_guard_lets_nothing_pass() -> None:
    with standing():
        for address in ("192.0.2.1", "10.0.0.1", "255.255.255.255"):
            with socket.socket() as tcp, pytest.raises(Escaped):
                tcp.connect((address, 9))
            with socket.socket(type=socket.SOCK_DGRAM) as udp, pytest.raises(Escaped):
                udp.sendto(b"", (address, 9))
        with socket.socket(socket.AF_INET6) as tcp, pytest.raises(Escaped):
            tcp.connect(("2001:db8::1", 9))
        with pytest.raises(Escaped):
            socket.getaddrinfo("example.com", 80)
    assert inside("127.0.0.1")
    assert not inside("::ffff:127.0.0.1")


def test_every_attack_runs_on_the_loopback_network_and_nothing_leaves_it_or_is_fetched(tmp_path: Path) -> None:
    done = guarded(tmp_path, sys.executable, "-m", "tests.guard", "stage-1", "attack", "--network", "loopback")
    assert "Escaped" not in done.stderr
    assert done.returncode in (0, 3), done.stderr
    assert "HELD" in done.stdout


def test_demo_needs_no_network_at_all(needs: Callable[[str], str], tmp_path: Path) -> None:
    """In a namespace where there is no route and no name server, only `lo`: what is needed at run time is here."""
    alone = (
        needs("unshare"),
        "--user",
        "--map-root-user",
        "--net",
        "/bin/sh",
        "-c",
        'ip link set lo up && exec "$@"',
        "sh",
    )
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs user namespaces, which are forbidden here")
    done = guarded(
        tmp_path, *alone, sys.executable, "-m", "lab", "stage-1", "demo", "--network", "loopback", "--goal", "room"
    )
    assert done.returncode == 0, done.stderr
    assert "BROKEN" in done.stdout


def guarded(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the lab in a folder of its own."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "XDG_DATA_HOME": str(folder), "PATH": path}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        stdin=subprocess.DEVNULL,
    )

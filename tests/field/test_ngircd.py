"""ngircd itself: started, awaited, ended, nothing of it left; and what it does with what no client of ours sends."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import LabError
from common.lan import Lan
from common.levers import Levers
from common.loopback import Loopback
from lab import cli
from lab.field import NGIRCD
from lab.field.ngircd import Ngircd
from tests.lan.test_lan import descendants, watching
from tests.programs import Program
from tests.room import run

Network = Lan | Loopback
LEVERS = Levers.parse("", NGIRCD.levers)


@pytest.fixture(autouse=True)
def _ngircd(needs: Callable[[str], str]) -> None:
    needs("ngircd")


async def until(sock: socket.socket, words: bytes) -> bytes:
    """All that comes up to these words."""
    came = b""
    async with asyncio.timeout(10):
        while words not in came:
            data = await asyncio.get_running_loop().sock_recv(sock, 4096)
            assert data, came
            came += data
    return came


@pytest.mark.parametrize("levers", ["", "transport=tls", "access=password"])
@pytest.mark.parametrize("kind", ["lan", "loopback"])
def test_server_listens_when_it_says_so_and_is_gone_when_it_is_over(
    kind: str, levers: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    async def scene() -> None:
        network: Network = request.getfixturevalue("lan") if kind == "lan" else Loopback()
        server = Ngircd(Levers.parse(levers, NGIRCD.levers), tmp_path / "server")
        server.folder.mkdir()
        password = "everybody" if levers == "access=password" else ""
        with contextlib.closing(network):
            host = network.hosts["server"]
            async with contextlib.AsyncExitStack() as stack:
                running = await stack.enter_async_context(server.running(host, "operator", password))
                ours = {server.pid} | descendants(server.pid)
                with watching(ours) as all_ended:
                    (await network.hosts["alice"].connect(host.address, running.address[1])).close()
                    await stack.aclose()
                    assert all_ended() == 2  # whoever stands by, and ngircd

    run(scene())


def test_server_does_not_believe_a_prefix_that_a_client_sends(network: Network, tmp_path: Path) -> None:
    async def scene() -> None:
        server = Ngircd(LEVERS, tmp_path)
        host, loop = network.hosts["server"], asyncio.get_running_loop()
        async with server.running(host, "operator") as running:
            bob, carol = [await network.hosts[n].connect(host.address, running.address[1]) for n in ("bob", "carol")]
            with bob, carol:
                for name, sock in (("bob", bob), ("carol", carol)):
                    await loop.sock_sendall(sock, f"NICK {name}\r\nUSER {name} 0 * x\r\nJOIN #lab\r\n".encode())
                    await until(sock, b" 366 ")
                await loop.sock_sendall(carol, b":bob PRIVMSG #lab :Send money.\r\n")
                assert b"ERROR :Spoofed prefix" in await until(carol, b"ERROR")
                assert b"Send money" not in await until(bob, b"QUIT")

    run(scene())


def test_server_that_does_not_start_is_one_sentence(network: Network, tmp_path: Path) -> None:
    async def scene() -> None:
        host = network.hosts["server"]
        async with Ngircd(LEVERS, tmp_path).running(host, "operator"):
            with pytest.raises(LabError, match=r"^ngircd did not start: "):
                async with Ngircd(LEVERS, tmp_path).running(host, "operator"):
                    pass

    run(scene())


@pytest.mark.parametrize("kind", ["lan", "loopback"])
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_a_run_that_was_killed(
    start: Callable[..., Program], kind: str, sent: signal.Signals, request: pytest.FixtureRequest
) -> None:
    if kind == "lan":
        request.getfixturevalue("lan")  # or the test is skipped, with the reason
    program = start(sys.executable, "-m", "lab", "field", "sniffer", "-v", "--network", kind)
    while "here: alice" not in program.line():
        pass
    with watching(descendants(program.process.pid)) as all_ended:
        _, _, err = program.ends(sent)
        assert all_ended() >= 2  # on the LAN its hosts as well
    assert "Traceback" not in err


def test_lab_field_says_what_to_install_where_there_is_no_ngircd(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    assert cli.run(["field"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "sudo apt install ngircd" in err
    assert err.count("\n") == 1

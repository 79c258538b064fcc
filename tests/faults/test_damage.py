"""Files damaged at random: every start ends in one sentence, or everything is as it was. Never a traceback, and never
something else that looks right."""

import contextlib
import random
import shutil
import ssl
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import stages
from common.errors import LabError
from common.levers import Levers
from common.session import Person
from stages import Stage
from stages.stage5_box.accounts import Accounts
from stages.stage5_box.client import ClientSession
from stages.stage5_box.what_if.password_hash import SaltedSha256
from tests.stage4.test_tls import shake_hands

PEOPLE = [f"name-{number}" for number in range(30)]


def damaged(data: bytes, dice: random.Random) -> bytes:
    """The same bytes, but for what a bad disk, a crash of the machine or a slip of a hand does to them."""
    at = dice.randrange(len(data))
    run = dice.randint(1, max(1, len(data) // 4))
    match dice.choice(("flip", "flip", "flip", "cut", "zero", "noise", "twice", "gone")):
        case "flip":
            return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]
        case "cut":
            return data[:at]
        case "zero":
            return data[:at] + bytes(len(data[at : at + run])) + data[at + run :]
        case "noise":
            return data[:at] + dice.randbytes(len(data[at : at + run])) + data[at + run :]
        case "twice":
            return data[: at + run] + data[at:]
        case _:
            return data[:at] + data[at + run :]


def at_random(file: Path, dice: random.Random, rounds: int, look: Callable[[], str]) -> Counter[str]:
    """Damage a file again and again, look what comes of it each time, and put everything back: how often came what."""
    folder, kept = file.parent.parent, file.parent.parent.with_name("kept")
    shutil.copytree(folder, kept)
    came: Counter[str] = Counter()
    for number in range(rounds):
        if (broken := damaged(file.read_bytes(), dice)) == file.read_bytes():
            continue
        file.write_bytes(broken)
        try:
            came[look()] += 1
        except LabError as error:
            came["several lines" if "\n" in str(error) else "one sentence"] += 1
        except BaseException:
            print(f"round {number}: {broken!r}")
            raise
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
    print(f"{file.name}: {dict(came)}")
    assert came["several lines"] == 0
    return came


@pytest.fixture
def rounds(whole: bool) -> int:
    """How often each file is damaged."""
    return 2000 if whole else 40


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """The folders of a server, an authority and two clients at stage 5, all of which have been used."""
    stage, house = stages.find(5), tmp_path / "house"
    for name in ("server", "alice"):
        (house / name).mkdir(parents=True)
    accounts = Accounts(house / "server" / "accounts.sqlite", SaltedSha256())
    assert all(accounts.register(name, name) for name in PEOPLE)
    stage.server_tls(Levers(known=stage.levers), house / "server")
    shutil.copy(house / "ca" / "ca.pem", tmp_path / "given.pem")
    alice = client(house)
    for number, name in enumerate(PEOPLE):
        assert alice.pins.meet(name, bytes([number]) * 32) == "first"
        alice.counters.accept(bytes([number]) * 32, "room", (number, 7))
    alice.pins.pin("name-3", bytes([3]) * 32, verified=True)
    return house


def client(house: Path) -> ClientSession:
    """Alice starts her client."""
    stage = stages.find(5)
    made = stage.client(Levers(known=stage.levers), Person("alice", 9, "sesame", folder=house / "alice"))
    assert isinstance(made, ClientSession)
    return made


@pytest.mark.parametrize("name", ["identity", "pins.json", "seen.json", "session"])
def test_clients_file_is_what_it_was_or_one_sentence(house: Path, name: str, rounds: int, dice: random.Random) -> None:
    before = client(house)

    def look() -> str:
        now = client(house)
        assert bytes(now.own) == bytes(before.own), "another key, and nobody was told"
        assert now.pins.known == before.pins.known, "another pin, and nobody was told"
        assert now.counters.seen == before.counters.seen, "another counter, and nobody was told"
        assert now.counters.session == before.counters.session + 1, "another session number, and nobody was told"
        return "as it was"

    came = at_random(house / "alice" / name, dice, rounds, look)
    assert came["one sentence"] > 0


def test_database_lets_nobody_in_who_has_no_right_and_is_otherwise_one_sentence(
    house: Path, rounds: int, dice: random.Random
) -> None:
    def look() -> str:
        accounts = Accounts(house / "server" / "accounts.sqlite", SaltedSha256())
        asked = dice.sample(PEOPLE, 8)
        assert not any(accounts.verify(name, "another password") for name in asked)
        assert not accounts.verify("nobody", "nobody")
        assert accounts.register("newcomer", "x")
        assert accounts.verify("newcomer", "x")
        return "as it was" if all(accounts.verify(name, name) for name in PEOPLE) else "somebody's hash"

    came = at_random(house / "server" / "accounts.sqlite", dice, rounds, look)
    assert came["one sentence"] > 0


@pytest.mark.parametrize("name", ["server/server.key", "server/server.pem", "ca/ca.pem", "ca/ca.key"])
@pytest.mark.parametrize("number", [4, 5])
def test_server_with_a_damaged_key_or_certificate_convinces_its_clients_or_says_why_not(
    house: Path, name: str, number: int, rounds: int, dice: random.Random
) -> None:
    stage = stages.find(number)
    levers = Levers(known=stage.levers)
    trusted = stage.client_tls(levers, Person("alice", 9, ca=house.with_name("given.pem")))
    assert trusted

    def look() -> str:
        context = stage.server_tls(levers, house / "server")
        assert context
        shake_hands(context, trusted)
        return "convinced"

    at_random(house / name, dice, rounds // 2, look)


@pytest.mark.parametrize("number", [4, 5])
def test_client_with_a_damaged_ca_pem_meets_its_server_or_nobody(
    house: Path, number: int, rounds: int, dice: random.Random
) -> None:
    stage = stages.find(number)
    levers = Levers(known=stage.levers)
    right = stage.server_tls(levers, house / "server")
    stage.server_tls(levers, house.with_name("stranger") / "server")
    wrong = stage.server_tls(levers, house.with_name("stranger") / "server")
    assert right
    assert wrong
    authority = house / "ca" / "ca.pem"

    def look() -> str:
        context = stage.client_tls(levers, Person("alice", 9, ca=authority))
        assert context
        with pytest.raises(ssl.SSLError):
            shake_hands(wrong, context)
        with contextlib.suppress(ssl.SSLError):
            shake_hands(right, context)
            return "met"
        return "nobody"

    at_random(authority, dice, rounds // 2, look)


def started(stage: Stage, folder: Path) -> int:
    """The session number with which a client of stages 3 and 4 starts."""
    made = stage.client(Levers(known=stage.levers), Person("alice", 9, "sesame", folder=folder))
    return int(getattr(made, "counters").session)  # noqa: B009 - another class at each stage


@pytest.mark.parametrize("number", [3, 4])
def test_session_number_before_stage_5_never_goes_back_unnoticed(
    tmp_path: Path, number: int, rounds: int, dice: random.Random
) -> None:
    folder = tmp_path / "house" / "alice"
    folder.mkdir(parents=True)
    stage = stages.find(number)
    last = [started(stage, folder) for _ in range(12)][-1]

    def look() -> str:
        assert started(stage, folder) == last + 1
        return "as it was"

    assert at_random(folder / "session", dice, rounds, look)["one sentence"] > 0

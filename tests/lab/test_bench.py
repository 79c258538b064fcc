"""The bench: whoever attacks takes turns with the scene, a crash is no verdict, and a capture is a capture."""

import asyncio
import gc
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import attacks
import stages
from attacks import Attack, Claim, Foothold, Goal, Moment
from common import threads
from common.errors import LabError
from common.lan import Lan, LanHost, LanUnavailable
from common.levers import Levers
from common.session import Show
from common.what_if.framing_none import WhateverArrives
from lab import scene as scenes
from lab import weak_password
from lab.bench import Bench, Cell
from lab.matrix import unproven
from lab.referee import RULES
from stages.stage1_plaintext.client import ClientSession
from stages.stage1_plaintext.server import Server

STAGE = stages.find(1)
NETWORK = os.environ.get("NETWORK") or "auto"
GOAL = Goal("room", "anything", wins="forged-room", expected="B")


def judged(run: attacks.Run, *, goal: Goal = GOAL) -> Cell:
    """The cell of an attack that only this test knows."""

    async def once() -> Cell:
        async with Bench.open(NETWORK) as bench:
            return await bench.cell(STAGE, Levers(), Attack("made_up", "outsider", (goal,), "", run), goal)

    return asyncio.run(once())


def test_attack_that_does_nothing_and_claims_everything_is_held() -> None:
    async def boast(foothold: Foothold, goal: Goal) -> Claim:
        await foothold.until("over")
        return Claim(read=["everything"], did="everything")

    cell = judged(boast)
    assert (cell.verdict, cell.told) == ("held", False)


def test_attack_that_crashes_is_no_verdict() -> None:
    async def crash(foothold: Foothold, goal: Goal) -> Claim:
        await foothold.until("talking")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        judged(crash)


def test_attack_whose_callback_crashes_is_no_verdict() -> None:
    async def crash(foothold: Foothold, goal: Goal) -> Claim:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await foothold.until("over")
        return Claim()

    with pytest.raises(RuntimeError, match="Exception in callback"):
        judged(crash)


def test_attack_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "ATTACK_SECONDS", 0.1)

    async def dawdle(foothold: Foothold, goal: Goal) -> Claim:
        await asyncio.get_running_loop().create_future()
        return Claim()

    with pytest.raises(LabError, match="did not come to an end"):
        judged(dawdle)


def test_scene_stands_still_while_the_attack_works_and_goes_on_while_it_waits() -> None:
    seen: list[tuple[Moment, bool]] = []

    async def look(foothold: Foothold, goal: Goal) -> Claim:
        for moment in ("talking", "alice-left", "over"):
            await foothold.until(moment)
            for _ in range(20):  # turns of the loop in which the scene could run on, if it did not wait
                await asyncio.sleep(0)
            seen.append((moment, foothold.told("alice")[1] != 9))  # port 9, discard, where nobody is there
        return Claim()

    judged(look)
    assert seen == [("talking", True), ("alice-left", False), ("over", False)]


def test_goal_that_does_not_apply_says_why_and_is_not_run() -> None:
    async def never(foothold: Foothold, goal: Goal) -> Claim:
        raise AssertionError("it was run")

    cell = judged(never, goal=Goal("passwords", "", wins="read-room", expected="-", absent="nobody has one"))
    assert (cell.verdict, cell.reason) == ("not-applicable", "nobody has one")


WHAT_IF = Goal("x", "", wins="forged-room", expected="-", absent="why", what_ifs={1: {"framing=none": "H"}})


def test_goal_that_does_not_apply_is_run_under_the_levers_that_it_names_and_under_more() -> None:
    async def nothing(foothold: Foothold, goal: Goal) -> Claim:
        return Claim(did="nothing")

    async def verdicts() -> list[tuple[str, str]]:
        attack = Attack("made_up", "outsider", (WHAT_IF,), "", nothing)
        async with Bench.open(NETWORK) as bench:
            turned = [Levers.parse(words) for words in ("", "display=raw", "framing=none", "framing=none display=raw")]
            ran = [await bench.cell(STAGE, levers, attack, WHAT_IF) for levers in turned]
        return [(cell.verdict, cell.expected) for cell in ran]

    not_applicable = ("not-applicable", "not-applicable"), ("not-applicable", "")
    assert asyncio.run(verdicts()) == [*not_applicable, ("held", "held"), ("held", "")]


def test_what_ifs_of_a_cell_are_run_once_each_and_written_with_what_was_expected() -> None:
    runs: list[str] = []
    goal = Goal("x", "", wins="forged-room", expected="H", ablation="framing=none", what_ifs={1: {"framing=none": "B"}})

    async def count(foothold: Foothold, goal: Goal) -> Claim:
        runs.append(goal.name)
        return Claim()

    async def ran() -> Cell:
        attack = Attack("made_up", "outsider", (goal,), "", count)
        async with Bench.open(NETWORK) as bench:
            cell = await bench.cell(STAGE, Levers(), attack, goal)
            assert "what_ifs" not in cell.to_json()
            await bench.what_ifs(cell, STAGE, attack, goal)
            return cell

    cell = asyncio.run(ran())
    assert len(runs) == 2, "the cell itself, and once under the levers that two ask for"
    (written,) = cell.to_json()["what_ifs"]
    assert (written["levers"], written["expected"], written["verdict"]) == ("framing=none", "broken", "held")
    assert [fault.partition(" is ")[2].partition(":")[0] for fault in unproven(cell)] == [
        "still held under framing=none",
        "held under framing=none, not broken",
    ]


@pytest.mark.parametrize(
    ("stage", "levers", "expected"),
    [
        (1, "a=b", ""),
        (2, "a=b", "broken"),
        (2, "a=b c=d", ""),
        (2, "g=h e=f", "held"),
        (3, "c=d", "held"),
        (3, "a=b", ""),
    ],
)
def test_expectation_under_turned_levers_is_what_is_written_down(stage: int, levers: str, expected: str) -> None:
    goal = Goal("x", "", wins="", expected="-HB", ablation="a=b", remedy={3: "c=d"}, what_ifs={2: {"e=f g=h": "H"}})
    assert goal.expected_under(stage, dict(word.split("=") for word in levers.split())) == expected


def test_case_has_a_letter_of_its_own_in_a_what_if() -> None:
    goal = Goal("x", "", wins="", expected="H", cases={"one": "a=b", "two": "c=d"}, what_ifs={1: {"a=b": "BH"}})
    assert [goal.what_ifs_at(1, case) for case in ("one", "two")] == [{"a=b": "broken"}, {"a=b": "held"}]
    assert [goal.expected_under(1, {"a": "b"}, case) for case in ("one", "two")] == ["broken", "held"]


def test_members_are_told_one_passphrase_that_people_choose_and_only_where_it_is_wanted() -> None:
    stage = stages.find(3)

    async def told(words: str) -> set[str]:
        async with Bench.open(NETWORK) as bench:
            scene = await bench.control(stage, Levers.parse(words, stage.levers))
            return {person.passphrase for person in scene.people.values()}

    (drawn,) = asyncio.run(told("key_exchange=passphrase"))
    assert weak_password.FIRST_RANK <= weak_password.rank(drawn) <= weak_password.LAST_RANK
    assert asyncio.run(told("")) == {""}


def test_attack_gets_only_what_its_position_has() -> None:
    async def grab(foothold: Foothold, goal: Goal) -> Claim:
        with pytest.raises(LabError, match="Only the position thief"):
            foothold.loot  # noqa: B018 - to look is to ask for it
        with pytest.raises(LabError, match="Only the position server"):
            foothold.taken  # noqa: B018
        with pytest.raises(LabError, match="may try registrations"):
            await foothold.enter("mallory", lambda show: None, register=True)
        return Claim(did="got nothing")

    assert judged(grab).did == "got nothing"


def test_work_that_an_attack_does_is_counted_and_waiting_is_not() -> None:
    async def spent(work: attacks.Run) -> float:
        async with Bench.open(NETWORK) as bench:
            made = bench._set(STAGE, Levers(), lambda place, text: None)
            await made.play(Attack("made_up", "outsider", (GOAL,), "", work), GOAL)
            return made.cpu_seconds

    async def works(foothold: Foothold, goal: Goal) -> Claim:
        await foothold.until("talking")
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
        return Claim()

    async def waits(foothold: Foothold, goal: Goal) -> Claim:
        await foothold.until("talking")
        await asyncio.sleep(0.3)
        return Claim()

    assert asyncio.run(spent(works)) >= 0.3
    assert asyncio.run(spent(waits)) < 0.2


def test_control_run_that_fails_is_an_error_and_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.bench.PATIENCE", 0.1)
    monkeypatch.setattr(
        ClientSession, "hear", lambda self, message: [Show("room", message.text + " (sic)", sender=message.sender)]
    )

    async def control() -> None:
        async with Bench.open(NETWORK) as bench:
            await bench.control(STAGE, Levers())

    with pytest.raises(LabError, match="Without any attack the scene already fails"):
        asyncio.run(control())


def test_canaries_are_fresh_in_every_scene() -> None:
    async def twice() -> list[dict[str, str]]:
        async with Bench.open(NETWORK) as bench:
            return [(await bench.control(STAGE, Levers())).canaries for _ in range(2)]

    first, second = asyncio.run(twice())
    assert not set(first.values()) & set(second.values())


def test_capture_opens_in_tshark_and_shows_the_conversation(tmp_path: Path, needs: Callable[[str], str]) -> None:
    tshark = needs("tshark")

    async def record() -> str:
        async with Bench.open(NETWORK) as bench:
            scene = await bench.control(STAGE, Levers())
            bench.recordings["control"].write(tmp_path / "control.pcapng")
            return scene.canaries["room"]

    canary = asyncio.run(record())
    command = [tshark, "-r", str(tmp_path / "control.pcapng"), "-q", "-z", "follow,tcp,ascii,0"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f'{{"type":"say","from":"alice","text":"Good morning! The door code is {canary}."}}' in shown


def test_man_in_the_middle_puts_the_victims_back() -> None:
    async def neighbours() -> tuple[dict[str, str], dict[str, str]]:
        async with Bench.open("lan") as bench:
            assert isinstance(bench.network, Lan)
            hosts = bench.network.hosts
            mitm = attacks.find("mitm")
            await bench.cell(STAGE, Levers(), mitm, mitm.goal("read"))
            tables = {name: host.run("ip", "neigh", "show") for name, host in hosts.items() if name != "eve"}
            mallory = hosts["mallory"]
            left = mallory.run("ip", "rule", "show") + mallory.run("ip", "route", "show", "table", "all")
            return tables, {"mallory": left, "mac": mallory.mac}

    try:
        tables, mallory = asyncio.run(neighbours())
    except LanUnavailable as error:
        pytest.skip(f"needs the LAN: {error}")
    entries = [line.split() for name, table in tables.items() if name != "mallory" for line in table.splitlines()]
    at_mallory = [entry[0] for entry in entries if mallory["mac"] in entry]
    assert set(at_mallory) <= {"10.13.37.99"}, "a victim still believes that another host is at Mallory's card"
    assert len(entries) >= 8
    assert "lookup 10" not in mallory["mallory"]
    assert "table 10" not in mallory["mallory"]


def test_network_that_cannot_be_had_is_replaced_and_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbidden(names: list[str] | None = None, sweep: Path | None = None) -> Lan:
        raise LanUnavailable("The LAN needs user namespaces, and they are forbidden here.")

    monkeypatch.setattr(Lan, "build", forbidden)
    monkeypatch.delenv("NETWORK", raising=False)
    from lab.cli import run

    assert run(["stage-1", "spoofed_whisper"]) == 0
    assert capsys.readouterr().out.count("Running on the loopback network. The LAN needs user namespaces") == 1
    assert run(["stage-1", "spoofed_whisper", "--network", "lan"]) == 2
    assert "forbidden here" in capsys.readouterr().err


def test_every_host_of_a_lan_is_a_machine_of_its_own() -> None:
    async def cards() -> set[str]:
        async with Bench.open("lan") as bench:
            return {host.mac for host in bench.network.hosts.values() if isinstance(host, LanHost)}

    try:
        assert len(asyncio.run(cards())) == 7
    except LanUnavailable as error:
        pytest.skip(f"needs the LAN: {error}")


def test_victim_who_is_warned_is_counted_as_told() -> None:
    async def clumsy(foothold: Foothold, goal: Goal) -> Claim:
        await foothold.until("talking")
        with await foothold.host.bind_udp() as sock:
            await asyncio.get_running_loop().sock_sendto(sock, b"no whisper", foothold.told("bob"))
        await foothold.until("over")
        return Claim()

    cell = judged(clumsy)
    assert (cell.verdict, cell.told) == ("held", True)


def test_held_says_so_where_the_line_was_only_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.bench.PATIENCE", 0.05)
    monkeypatch.setattr(Server, "session", _deaf(Server.session))

    async def nothing(foothold: Foothold, goal: Goal) -> Claim:
        return Claim()

    cell = judged(nothing)
    assert cell.verdict == "held"
    assert cell.reason.endswith("things that were said never arrived")


def _deaf(session: Callable[..., Any]) -> Callable[..., Any]:
    """A server that relays nothing."""

    def made(self: Any, address: str) -> Any:
        deaf = session(self, address)
        deaf.relay = lambda message: []
        return deaf

    return made


def test_server_that_crashes_in_a_thread_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(self: Any, message: Any) -> Any:
        raise ZeroDivisionError

    async def threaded() -> None:
        async with Bench.open(NETWORK) as bench:
            await bench.control(STAGE, Levers.parse("runtime=threads"), patience=0.05)

    monkeypatch.setattr("stages.stage1_plaintext.server.ServerSession.relay", crash)
    with pytest.raises(RuntimeError, match="A thread crashed"):
        asyncio.run(threaded())


@pytest.mark.parametrize(("lever", "threaded"), [("", False), ("runtime=threads", True)])
def test_the_lever_runtime_decides_who_serves(monkeypatch: pytest.MonkeyPatch, lever: str, threaded: bool) -> None:
    served: list[threads.ThreadServer] = []
    honest = threads.ThreadServer.serve

    def serve(self: threads.ThreadServer, listener: Any) -> None:
        served.append(self)
        honest(self, listener)

    monkeypatch.setattr(threads.ThreadServer, "serve", serve)

    async def control() -> None:
        async with Bench.open(NETWORK) as bench:
            await bench.control(STAGE, Levers.parse(lever))

    asyncio.run(control())
    assert bool(served) == threaded


def test_the_lever_framing_decides_how_the_server_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[bytes] = []
    honest = WhateverArrives.feed

    def feed(self: WhateverArrives, data: bytes) -> list[bytes]:
        fed.append(data)
        return honest(self, data)

    monkeypatch.setattr(WhateverArrives, "feed", feed)

    async def control() -> None:
        async with Bench.open(NETWORK) as bench:
            await bench.control(STAGE, Levers.parse("framing=none"))

    asyncio.run(control())
    assert any(data.startswith(b'{"type":"join"') for data in fed), "the server's reader"
    assert any(data.startswith(b'{"type":"roster"') for data in fed), "the clients' reader"


def test_attacks_on_the_path_are_run_on_a_switch_and_taps_on_a_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    async def kinds() -> dict[str, str]:
        found: dict[str, str] = {}
        async with Bench.open(NETWORK) as bench:
            for name, goal in (("sniffer", "room"), ("mitm", "read")):
                attack = attacks.find(name)
                await bench.cell(STAGE, Levers(), attack, attack.goal(goal))
                found[name] = bench.network.kind
        return found

    assert asyncio.run(kinds()) == {"sniffer": "hub", "mitm": "switch"}


def test_many_scenes_leave_no_descriptor_open() -> None:
    async def grown() -> int:
        async with Bench.open("loopback") as bench:
            await bench.control(STAGE, Levers())
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(5):
                await bench.control(STAGE, Levers())
            gc.collect()  # what stands before a member's UDP socket goes when that socket object is gone
            for _ in range(100):  # turns of the loop, in which tasks that were cancelled end
                await asyncio.sleep(0)
            return len(os.listdir("/proc/self/fd")) - before

    assert asyncio.run(grown()) <= 0


def test_every_goal_is_judged_by_a_rule_that_exists() -> None:
    assert {goal.wins for attack in attacks.catalogue() for goal in attack.goals if "B" in goal.expected} <= set(RULES)


def test_two_loopback_networks_stand_side_by_side() -> None:
    async def both() -> None:
        async with Bench.open("loopback") as one, Bench.open("loopback") as other:
            await one.control(STAGE, Levers())
            await other.control(STAGE, Levers())

    asyncio.run(both())

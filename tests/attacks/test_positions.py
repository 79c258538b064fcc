"""Getting on the path: what flows through Mallory, what stops her, and that nothing is left behind."""

import asyncio
import re
from collections.abc import Callable

import pytest

import attacks
import stages
from attacks import Attack, Claim, Foothold, Goal, arp
from attacks.position import position
from common.errors import LabError
from common.lan import Lan, LanHost, LanUnavailable
from common.levers import Levers
from lab import scene as scenes
from lab.bench import Bench, Cell
from lab.cli import run as lab_command

MALLORY = "02:00:00:00:00:63"
VICTIMS = ("dns", "server", "alice", "bob", "carol")

Saw = list[tuple[str, str]]


def judged(attack: str | Attack, number: int = 1, words: str = "", goal: str = "", **how: object) -> Cell:
    """One cell on the LAN."""
    return seen_and_judged(attack, number, words, goal, **how)[0]


def seen_and_judged(
    attack: str | Attack, number: int = 1, words: str = "", goal: str = "", **how: object
) -> tuple[Cell, Saw]:
    """One cell on the LAN, and what a person who watched it would have seen."""
    saw: Saw = []

    async def once() -> Cell:
        async with Bench.open("lan") as bench:
            stage = stages.find(number)
            chosen = attacks.find(attack) if isinstance(attack, str) else attack
            at = chosen.goal(goal) if goal else chosen.goals[0]
            levers = Levers.parse(words, stage.levers)
            return await bench.cell(stage, levers, chosen, at, lambda *row: saw.append(row), **how)  # type: ignore[arg-type]

    try:
        return asyncio.run(once()), saw
    except LanUnavailable as error:
        pytest.skip(f"needs the LAN: {error}")


def at_mallory(lan: Lan) -> set[str]:
    """Who believes of somebody else that they are at Mallory's card."""
    tables = {name: lan.hosts[name].run("ip", "neigh", "show").splitlines() for name in VICTIMS}
    return {name for name, rows in tables.items() for row in rows if MALLORY in row and "10.13.37.99 " not in row}


# What each way gains


@pytest.mark.parametrize("number", [1, 4])
@pytest.mark.parametrize("way", attacks.WAYS)
def test_each_way_leads_onto_the_path_at_every_stage(way: str, number: int) -> None:
    cell = judged(way, number)
    assert cell.verdict == "broken", cell.reason
    assert not cell.told
    assert all(evidence.frames for evidence in cell.evidence)


@pytest.mark.parametrize("way", attacks.WAYS)
def test_man_in_the_middle_reads_by_every_way_where_the_protocol_trusts_the_path(way: str) -> None:
    assert judged("mitm", 3, goal="read", via=way).verdict == "broken"


@pytest.mark.parametrize("way", attacks.WAYS)
def test_being_on_the_path_gains_no_content_from_stage_4_on(way: str) -> None:
    assert judged(way, 5).verdict == "broken"
    assert judged("mitm", 5, goal="read", via=way).verdict == "held"


def test_dns_is_spoofed_behind_the_gateway_as_well() -> None:
    assert judged("dns_spoofing", via="gateway").verdict == "broken"


def test_listener_hears_all_on_a_hub_and_on_a_switch_only_when_she_has_lied_herself_onto_the_path() -> None:
    assert judged("sniffer").verdict == "broken"
    assert judged("sniffer", words="lan=switch").verdict == "held"
    assert judged("sniffer", words="lan=switch", via="arp_spoofing").verdict == "broken"


def test_attack_that_takes_no_position_is_not_said_to_be_on_the_path() -> None:
    async def idle(foothold: Foothold, goal: Goal) -> Claim:
        await foothold.until("over")
        return Claim(did="says that everything flowed through her")

    goal = Goal("path", "", wins="flowed-through", expected="BBBBB", lan_only="yes")
    cell = judged(Attack("idle", "on-path", (goal,), "", idle))
    assert (cell.verdict, cell.reason) == ("held", "not one forged ARP frame of Mallory's crossed the switch")


def test_spoofer_who_forwards_nothing_is_not_said_to_be_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.bench.PATIENCE", 0.2)
    monkeypatch.setattr("common.dns.SECONDS_A_TRY", 0.2)  # no answer comes, to any of them
    monkeypatch.setattr(LanHost, "sysctl", _without_forwarding(LanHost.sysctl))
    cell = judged("arp_spoofing")
    assert cell.verdict == "held"


def _without_forwarding(honest: Callable[[LanHost, str, str], None]) -> Callable[[LanHost, str, str], None]:
    def sysctl(self: LanHost, name: str, value: str) -> None:
        honest(self, name, "0" if name == "ipv4/ip_forward" else value)

    return sysctl


# What stops it


@pytest.mark.parametrize(
    ("way", "words", "why"),
    [
        ("arp_spoofing", "arp=static", r"^Alice has a static entry for 10\.13\.37\.10: what she was told"),
        ("arp_spoofing", "arp_inspection=on", r"^not one forged ARP frame .*: in 1 s no answer came to what she told"),
        ("dns_spoofing", "arp=static", r"^Alice has a static entry for 10\.13\.37\.2: what she was told"),
        ("dns_spoofing", "dns=pinned-answer", r"^Alice knows the server's address beforehand"),
    ],
)
def test_defence_of_the_lan_holds_the_way_and_the_verdict_says_why(
    way: str, words: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arp, "TAKING_SECONDS", 1.0)
    cell = judged(way, words=words)
    assert cell.verdict == "held"
    assert re.search(why, cell.reason), cell.reason


def test_no_defence_of_the_lan_helps_against_whoever_is_the_router() -> None:
    assert judged("gateway", words="arp=static arp_inspection=on dns=pinned-answer").verdict == "broken"


def test_static_arp_holds_the_man_in_the_middle_where_the_protocol_does_not() -> None:
    cell = judged("mitm", words="arp=static", goal="read", via="arp_spoofing")
    assert cell.verdict == "held"
    assert "Mallory did not get on the path: not one connection came to her card" in cell.reason


def test_defences_are_taken_back_for_the_next_scene() -> None:
    async def in_turn() -> list[str]:
        async with Bench.open("lan") as bench:
            stage, spoofing = stages.find(1), attacks.find("arp_spoofing")
            turns = ("arp=static", "", "arp_inspection=on", "")
            levers = [Levers.parse(words, stage.levers) for words in turns]
            cells = [await bench.cell(stage, turned, spoofing, spoofing.goals[0]) for turned in levers]
            router = attacks.find("gateway")
            cells += [await bench.cell(stage, levers[1], router, router.goals[0])]
            cells += [await bench.cell(stage, levers[1], spoofing, spoofing.goals[0])]
            return [cell.verdict for cell in cells]

    try:
        assert asyncio.run(in_turn()) == ["held", "broken", "held", "broken", "broken", "broken"]
    except LanUnavailable as error:
        pytest.skip(f"needs the LAN: {error}")


# That the victims are put back


class OnLan:
    """A foothold on a LAN without a scene: what `position` asks for."""

    slow = False
    via = ""

    def __init__(self, lan: Lan) -> None:
        self.lan = lan
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)

    missed = note

    async def explain(self, text: str) -> None:
        self.said.append(text)

    def name_of(self, address: str) -> str:
        return next((host.name for host in self.lan.hosts.values() if host.address == address), address)


async def talk(lan: Lan) -> None:
    """Every victim sends something to every other, so that all have an entry to lose."""
    for name in VICTIMS:
        with await lan.hosts[name].bind_udp() as sock:
            for other in VICTIMS:
                await asyncio.get_running_loop().sock_sendto(sock, b"hello", (lan.hosts[other].address, 9))


async def rounds(lan: Lan, number: int) -> None:
    """Wait until Alice has been told of all the others so many times."""
    with lan.hosts["alice"].packet_socket() as ear:
        lies = number * len(arp.SLOWLY) * (len(VICTIMS) - 1)
        while lies:
            frame = await asyncio.get_running_loop().sock_recv(ear, 1 << 16)
            lies -= frame[6:14] == bytes.fromhex(MALLORY.replace(":", "")) + b"\x08\x06"


def test_victims_caches_are_put_right_also_where_the_spoofer_is_cancelled(lan: Lan) -> None:
    async def conversation() -> tuple[set[str], set[str]]:
        on_the_path, foothold = asyncio.Event(), OnLan(lan)

        async def spoof() -> None:
            async with position(foothold, lan.hosts["mallory"], "arp_spoofing"):  # type: ignore[arg-type]
                on_the_path.set()
                await asyncio.get_running_loop().create_future()

        spoofing = asyncio.create_task(spoof())
        await on_the_path.wait()
        await talk(lan)
        lied_to = at_mallory(lan)
        spoofing.cancel()
        await asyncio.wait([spoofing])
        return lied_to, at_mallory(lan)

    lied_to, still = asyncio.run(conversation())
    assert lied_to == set(VICTIMS)
    assert still == set()
    assert lan.hosts["mallory"].run("cat", "/proc/sys/net/ipv4/ip_forward").strip() == "0"


@pytest.mark.parametrize("way", attacks.WAYS)
def test_nothing_of_an_attack_from_the_path_is_left_on_the_lan(way: str) -> None:
    async def before_and_after() -> tuple[str, str, set[str]]:
        async with Bench.open("lan") as bench:
            assert isinstance(bench.network, Lan)
            mallory, mitm = bench.network.hosts["mallory"], attacks.find("mitm")

            def state() -> str:
                commands = (["ip", "rule", "show"], ["ip", "route", "show", "table", "all"])
                forwards = mallory.run("cat", "/proc/sys/net/ipv4/ip_forward")
                return "".join(mallory.run(*command) for command in commands) + forwards

            before = state()
            levers = Levers.parse("", stages.find(1).levers)
            cell = await bench.cell(stages.find(1), levers, mitm, mitm.goal("whispers"), via=way)
            assert cell.verdict == "broken"
            return before, state(), at_mallory(bench.network)

    try:
        before, after, lied_to = asyncio.run(before_and_after())
    except LanUnavailable as error:
        pytest.skip(f"needs the LAN: {error}")
    assert after == before
    assert lied_to == set()


def test_victim_that_leaves_while_it_is_spoofed_changes_nothing_for_the_others(lan: Lan) -> None:
    async def conversation() -> set[str]:
        async with position(OnLan(lan), lan.hosts["mallory"], "arp_spoofing"):  # type: ignore[arg-type]
            await talk(lan)
            lan.hosts["carol"].run("ip", "link", "set", "eth0", "down")
            await rounds(lan, 2)  # into a cable that ends nowhere
            assert at_mallory(lan) >= {"alice", "server"}
        return at_mallory(lan)

    assert asyncio.run(conversation()) - {"carol"} == set()


def test_host_that_is_not_there_is_one_sentence(lan: Lan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arp, "TAKING_SECONDS", 0.3)
    lan.hosts["carol"].run("ip", "link", "set", "eth0", "down")

    async def conversation() -> None:
        async with position(OnLan(lan), lan.hosts["mallory"], "arp_spoofing"):  # type: ignore[arg-type]
            pytest.fail("she is between hosts that are not there")

    with pytest.raises(LabError, match=r"^Nobody answers ARP for 10\.13\.37\.23 \(carol\); there is no such host"):
        asyncio.run(conversation())


def test_dns_garbage_is_carried_on_and_forged_answers_are_only_for_the_servers_name() -> None:
    from dnslib import DNSRecord

    from attacks.position import forging

    forge = forging("server.lab.test", "10.13.37.99", lambda text: None)
    assert [forge(data) for data in (b"", b"\xff" * 40, bytes(DNSRecord.question("bob.lab.test").pack()))] == [b""] * 3
    forged = DNSRecord.parse(forge(bytes(DNSRecord.question("server.lab.test").pack())))
    assert [str(record.rdata) for record in forged.rr] == ["10.13.37.99"]


# For people


def test_slow_run_explains_every_frame_before_the_fast_part_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "SECONDS_A_LETTER", 0.0)
    cell, saw = seen_and_judged("arp_spoofing", slow=True)
    for frame in ("who has alice? tell server, at", "who has server? tell server, at", "“server is at"):
        assert sum(f"{frame} {MALLORY}" in text for place, text in saw if place == "wire") == 1
    assert cell.verdict == "broken"


def test_queries_are_shown_as_they_come() -> None:
    _, saw = seen_and_judged("impersonation")
    asked = [text for place, text in saw if place == "dns"]
    assert "10.13.37.21 asks for server.lab.test. (A): 10.13.37.10" in asked


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["mitm", "--via", "aeroplane"],
            "mitm cannot be told to go via aeroplane; it can take arp_spoofing, dns_spoofing",
        ),
        (["arp_spoofing", "--via", "gateway"], "arp_spoofing is itself a way onto the path; leave out VIA=."),
        (["enumerate_users", "--via", "gateway"], "enumerate_users cannot be told to go via gateway; it needs none"),
        (
            ["sniffer", "--lan", "token-ring"],
            "The lever lan has no setting token-ring; it has: by-position, hub, switch.",
        ),
        (
            ["mitm", "--levers", "arp=static", "--network", "loopback"],
            "The loopback network has no ARP, so there is no",
        ),
    ],
)
def test_way_that_does_not_exist_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab_command(["stage-1", *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith(sentence)
    assert said.count("\n") == 1


@pytest.mark.parametrize("way", attacks.WAYS)
def test_no_way_applies_on_loopback_and_each_says_why(way: str) -> None:
    async def both() -> list[Cell]:
        async with Bench.open("loopback") as bench:
            stage, alone, mitm = stages.find(1), attacks.find(way), attacks.find("mitm")
            return [
                await bench.cell(stage, Levers(), alone, alone.goals[0]),
                await bench.cell(stage, Levers(), mitm, mitm.goal("read"), via=way),
            ]

    for cell in asyncio.run(both()):
        assert (cell.verdict, cell.expected) == ("not-applicable", "not-applicable")
        assert cell.reason.startswith("loopback has no ")

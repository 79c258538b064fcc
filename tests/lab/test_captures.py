"""Captures: what a run leaves of the wire says when, where and what; and what opens TLS goes nowhere else."""

import asyncio
import json
import os
import re
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from scapy.utils import PcapNgReader, rdpcap

import attacks
import stages
from attacks import Attack, Claim, Foothold, Goal
from attacks import dissect as layers
from attacks.listener import Heard
from common.errors import LabError
from common.lan import PLAN
from common.levers import Levers
from lab import capture as captures
from lab import wireshark
from lab.bench import Bench, Cell
from lab.capture import Recording
from lab.cli import run as lab
from lab.pcapng import SECRETS, Frame, write
from lab.referee import RULES, Evidence, Finding
from lab.remarks import ScreenRow, remark
from lab.scene import CANARIES, Scene
from tests.lab.captures import Ends, Row, Sent, fields, messages, rows_of, tshark
from tests.programs import Program, listening

NETWORK = os.environ.get("NETWORK") or "auto"
STAGES = list(stages.catalogue().values())
IN_TLS = [stage for stage in STAGES if stage.wants_authority]
IN_THE_CLEAR = [stage for stage in STAGES if not stage.wants_authority]

each_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.slug)
each_in_tls = pytest.mark.parametrize("stage", IN_TLS, ids=lambda stage: stage.slug)
each_in_the_clear = pytest.mark.parametrize("stage", IN_THE_CLEAR, ids=lambda stage: stage.slug)


@dataclass
class Run:
    """What one cell of `sniffer` left, and what was really sent in it."""

    plain: Path
    cell: Cell
    sent: Sent
    recording: Recording

    @property
    def opened(self) -> Path:
        """The copy with the TLS secrets, where there is one."""
        return wireshark.preferred(self.plain)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Run]:
    """A run of the sniffer at every stage."""
    sniffer = attacks.find("sniffer")

    async def run_all() -> dict[int, Run]:
        found = {}
        async with Bench.open(NETWORK) as bench:
            for stage in STAGES:
                with pytest.MonkeyPatch.context() as patch:
                    sent = Sent()
                    sent.watch(patch)
                    cell = await bench.cell(stage, Levers(known=stage.levers), sniffer, sniffer.goal("room"))
                recording = bench.recordings[cell.id]
                path = tmp_path_factory.mktemp(stage.slug) / "sniffer-room.pcapng"
                recording.write_all(path, per_host=True)
                found[stage.number] = Run(path, cell, sent, recording)
        return found

    return asyncio.run(run_all())


@each_stage
def test_tshark_shows_every_message_that_was_sent_and_no_other(runs: dict[int, Run], stage: stages.Stage) -> None:
    run = runs[stage.number]
    sent = run.sent.rows()
    assert {len(ends) for ends in (sent, messages(run.opened))} == {7}, (
        "three members to the server and back; a whisper"
    )
    assert messages(run.opened) == sent


@each_stage
def test_tshark_names_the_stage_of_every_message_and_marks_none(runs: dict[int, Run], stage: stages.Stage) -> None:
    found = fields(runs[stage.number].opened, "lab.stage", "lab.malformed")
    assert {number for stages_, _ in found for number in stages_.split(",")} == {str(stage.number)}
    assert {malformed for _, malformed in found} == {""}


@each_in_tls
def test_tshark_sees_nothing_but_whispers_in_a_capture_without_the_secrets(
    runs: dict[int, Run], stage: stages.Stage
) -> None:
    assert {ends[2] for ends in messages(runs[stage.number].plain)} == {"UDP"}


@each_stage
def test_filter_finds_what_one_member_said(runs: dict[int, Run], stage: stages.Stage) -> None:
    run = runs[stage.number]
    found = fields(run.opened, "lab.type", "lab.from", where='lab.type == "say" && lab.from == "bob"')
    said = [row for ends, lines in run.sent.rows().items() for row in lines if ends[2] == "TCP"]
    expected = sum({("lab.type", "say"), ("lab.from", "bob")} <= set(row) for row in said)
    assert sum(len(types.split(",")) for types, _ in found) == expected > 0


@each_stage
def test_decrypted_capture_gives_python_the_same_messages(
    runs: dict[int, Run], stage: stages.Stage, needs: Callable[[str], str]
) -> None:
    needs("tshark")
    run = runs[stage.number]
    assert _by_ends(heard for _, heard in wireshark.decrypted(run.opened)) == run.sent.rows()


def test_file_that_tshark_cannot_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs: Callable[[str], str]
) -> None:
    needs("tshark")
    (tmp_path / "words").write_text("This is no capture.\n")
    with pytest.raises(LabError, match=r"^tshark cannot read .*words \(.*\); give a pcap or pcapng file\.$"):
        list(wireshark.decrypted(tmp_path / "words"))
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(LabError, match="install it with: sudo apt install tshark"):
        list(wireshark.decrypted(tmp_path / "words"))


@each_in_the_clear
def test_scapy_layer_finds_the_same_messages(runs: dict[int, Run], stage: stages.Stage) -> None:
    run = runs[stage.number]
    assert _by_ends(layers.messages(rdpcap(str(run.plain)), stage.port)) == run.sent.rows()


def _by_ends(found: Iterator[Heard]) -> dict[Ends, list[list[Row]]]:
    by_ends: dict[Ends, list[list[Row]]] = {}
    for heard in found:
        ends = (heard.source[0], heard.target[0], heard.transport)
        by_ends.setdefault(ends, []).append(list(rows_of(heard.fields)))
    return by_ends


def test_frames_that_the_referee_names_say_what_was_read_and_by_whom(runs: dict[int, Run]) -> None:
    run = runs[1]
    (evidence,) = run.cell.evidence
    said = {int(n): text for n, text in fields(run.plain, "frame.number", "frame.comment", where="frame.comment")}
    assert evidence.frames
    assert all("canary 1 (room), read by Eve" in said[number] for number in evidence.frames)
    assert "Alice has just typed canary 1 (room)" in said[evidence.frames[0]]
    assert sum("has just typed canary 2 (whisper)" in text for text in said.values()) == 1
    assert not re.search(rf"({'|'.join(CANARIES)})-[0-9a-f]", "".join(said.values())), "a secret itself"


def test_secret_that_was_read_where_nobody_can_see_it_is_told_where_it_was_typed() -> None:
    attack = attacks.find("key_substitution")

    async def once() -> tuple[Cell, Recording]:
        async with Bench.open(NETWORK) as bench:
            stage = stages.find(4)
            cell = await bench.cell(stage, Levers(known=stage.levers), attack, attack.goal("first_contact"))
            return cell, bench.recordings[cell.id]

    cell, recording = asyncio.run(once())
    assert cell.verdict == "broken"
    assert [evidence.frames for evidence in cell.evidence] == [[]]
    told = [text for texts in recording.comments.values() for text in texts if "read by" in text]
    assert len(told) == 1
    assert re.fullmatch(r"canary \d \([a-z-]+\), read by the server, though not in the clear here", told[0])


def test_words_that_came_up_and_cannot_be_read_on_the_wire_are_told_where_they_came_up() -> None:
    recording = Recording([(n, b"sealed") for n in range(5)])
    rows = [
        ScreenRow(2, "alice", "alice> The code is room-0123."),
        ScreenRow(3, "bob", "alice: The code is room-0123."),
        ScreenRow(5, "bob", "alice: Another, and so long that it does not fit on one row of the screen,"),
    ]
    long = "alice: Another, and so long that it does not fit on one row of the screen, room-0123"
    evidence = [
        Evidence("alice's screen", "alice> The code is room-0123.", []),
        Evidence("bob's screen", "alice: The code is room-0123.", []),
        Evidence("bob's screen", long, []),
    ]
    remark(recording, "on-path", {"room": "room-0123"}, rows, evidence)
    assert recording.comments == {
        2: [
            "Alice has just typed canary 1 (room)",
            "after this, on bob's screen: alice: The code is ‹canary 1 (room)›.",
        ],
        4: [f"after this, on bob's screen: {long.replace('room-0123', '‹canary 1 (room)›')}"],
    }


def test_file_names_its_interface_its_program_and_no_path_of_this_machine(runs: dict[int, Run]) -> None:
    for name, interface in (("sniffer-room", "lan"), ("sniffer-room.server", "server eth0")):
        path = runs[1].plain.with_name(f"{name}.pcapng")
        assert {row[0] for row in fields(path, "frame.interface_name", where="frame")} == {interface}
    data = runs[1].plain.read_bytes()
    assert b"Progressive Security Lab" in data
    for own in (str(Path.home()), os.getcwd(), os.uname().nodename):
        assert own.encode() not in data


def test_times_are_those_of_the_run_in_nanoseconds_and_in_order(runs: dict[int, Run]) -> None:
    times = [when for when, _ in runs[1].recording.frames]
    assert times == sorted(times)
    shown = [row[0] for row in fields(runs[1].plain, "frame.time_epoch", where="frame")]
    assert [int(time.replace(".", "")) for time in shown] == times


@each_stage
def test_only_the_copy_has_secrets_and_only_its_owner_can_read_it(runs: dict[int, Run], stage: stages.Stage) -> None:
    run = runs[stage.number]
    kinds = {path.name: _blocks(path) for path in run.plain.parent.glob("*.pcapng")}
    copies = {name for name, found in kinds.items() if SECRETS in found}
    assert copies == ({"sniffer-room.with-secrets.pcapng"} if stage in IN_TLS else set())
    for name in kinds:
        mode = (run.plain.parent / name).stat().st_mode & 0o777
        assert mode == (0o600 if name in copies else 0o644)
    if copies:
        found = kinds["sniffer-room.with-secrets.pcapng"]
        assert found.index(SECRETS) < found.index(6), "they stand before the first frame that needs them"
        assert b"TRAFFIC_SECRET" not in run.plain.read_bytes()


def _blocks(path: Path) -> list[int]:
    """The kinds of a file's blocks, read by their lengths."""
    data, at, kinds = path.read_bytes(), 0, []
    while at < len(data):
        kinds.append(int.from_bytes(data[at : at + 4], "little"))
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        assert data[at + length - 4 : at + length] == data[at + 4 : at + 8]
        at += length
    return kinds


def test_scapy_reads_a_copy_with_secrets(runs: dict[int, Run]) -> None:
    with PcapNgReader(str(runs[4].opened)) as file:
        assert len(list(file)) == len(runs[4].recording.frames)


def test_tls_at_a_port_of_no_stage_is_shown_where_a_person_says_what_it_is(
    runs: dict[int, Run], tmp_path: Path
) -> None:
    """As for a server that was started by hand with another port."""
    here, there = (port.to_bytes(2, "big") for port in (5004, 6004))
    moved = []
    for when, frame in runs[4].recording.frames:
        ports = b"".join(there if port == here else port for port in (frame[34:36], frame[36:38]))
        moved.append(Frame(when, frame[:34] + ports + frame[38:]))
    made = tmp_path / "made.pcapng"
    write(made, "lan", moved, runs[4].recording.secrets)
    said = ["-d", "tcp.port==6004,lab_tcp", "-d", "tls.port==6004,lab"]
    types = tshark(made, *said, "-Y", "tcp && lab.line", "-T", "fields", "-e", "lab.type").split()
    sent = [row for ends, lines in runs[4].sent.rows().items() for row in lines if ends[2] == "TCP"]
    assert Counter(",".join(types).split(",")) == Counter(dict(row)["lab.type"] for row in sent)


@each_in_tls
def test_tls_1_2_is_opened_too(stage: stages.Stage, tmp_path: Path) -> None:
    async def once() -> Recording:
        async with Bench.open(NETWORK) as bench:
            await bench.control(stage, Levers.parse("transport=tls-1.2-static-rsa", stage.levers))
            return bench.recordings["control"]

    asyncio.run(once()).write_all(tmp_path / "control.pcapng")
    types = fields(tmp_path / "control.with-secrets.pcapng", "lab.type", where="tls && lab.type")
    assert {"register", "roster", "say"} <= set(",".join(row[0] for row in types).split(","))


def test_host_of_a_switch_has_its_own_frames_and_those_for_all() -> None:
    cards = {name: f"02:00:00:00:00:0{n}" for n, name in enumerate(("alice", "bob", "eve"), 1)}
    alice, bob, eve = (bytes.fromhex(card.replace(":", "")) for card in cards.values())
    recording = Recording([(n, to + by) for n, (to, by) in enumerate([(bob, alice), (alice, bob), (b"\xff" * 6, bob)])])
    recording.cards = cards
    assert [frame.when for frame in recording.heard_by("alice")] == [0, 1, 2]
    assert [frame.when for frame in recording.heard_by("eve")] == [2]
    recording.hub = True
    assert [frame.when for frame in recording.heard_by("eve")] == [0, 1, 2]
    assert eve not in b"".join(frame for _, frame in recording.frames)


def test_file_of_a_host_is_what_its_card_heard_on_the_real_switch() -> None:
    """Eve's and Bob's own cards, listened to in a run, against what is said of them afterwards. (The bridge itself says
    something now and then, which is nobody's.)"""
    heard: dict[str, list[bytes]] = {"bob": [], "eve": []}
    stage = stages.find(1)

    async def once() -> Recording:
        async with Bench.open(NETWORK) as bench:
            bench.network.become("switch")
            cards = {name: bench.network.hosts[name].packet_socket() for name in heard}
            await bench.control(stage, Levers(known=stage.levers))
            for name, card in cards.items():
                with card:
                    try:
                        while True:
                            heard[name].append(card.recv(captures.MAX_FRAME))
                    except BlockingIOError:
                        pass
            return bench.recordings["control"]

    recording = asyncio.run(once())
    hosts = {bytes.fromhex(card.replace(":", "")) for card in recording.cards.values()}
    for name, frames in heard.items():
        said = sorted(frame.data for frame in recording.heard_by(name) if frame.data[6:12] in hosts)
        assert said == sorted(frame for frame in frames if frame[6:12] in hosts), name
    assert len(heard["bob"]) > len(heard["eve"])


def test_every_host_has_a_file_of_its_own_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lab(["stage-4", "spoofed_whisper", "--per-host", "--json", "--network", NETWORK]) == 3
    names = {path.name for path in Path(json.loads(capsys.readouterr().out)["run"]).glob("spoofed_whisper-*")}
    middles = ("", ".with-secrets", *(f".{host}" for host in PLAN))
    assert names == {f"spoofed_whisper-whisper{middle}.pcapng" for middle in middles}


def test_file_that_cannot_be_finished_is_not_there(tmp_path: Path) -> None:
    def frames() -> Iterator[Frame]:
        yield Frame(0, b"\0" * 60)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "half.pcapng", "lan", frames())
    assert list(tmp_path.iterdir()) == []


# Whose secrets, and who sees them


def test_only_members_sessions_can_be_opened_and_not_the_attackers_own() -> None:
    attack = attacks.find("member_forges")  # Carol is the attacker, with a client of her own

    async def once() -> Recording:
        async with Bench.open(NETWORK) as bench:
            stage = stages.find(4)
            cell = await bench.cell(stage, Levers(known=stage.levers), attack, attack.goal("room"))
            return bench.recordings[cell.id]

    recording = asyncio.run(once())
    hellos = [frame for _, frame in recording.frames if re.search(rb"\x16\x03\x01..\x01", frame, re.DOTALL)]
    assert len(hellos) == 3
    assert recording.secrets.count(b"CLIENT_TRAFFIC_SECRET_0 ") == 2


def test_what_opens_a_session_has_no_name_and_goes_with_a_bench_that_is_killed(tmp_path: Path) -> None:
    secrets = captures.TlsSecrets(str(tmp_path))
    secrets.log(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    assert list(tmp_path.iterdir()) == []
    secrets.close()


def test_neither_the_attack_nor_the_referee_ever_sees_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thief reads every file around what was stolen, a rule looks where the contexts write: nothing is there."""
    stage, honest = stages.find(4), captures.TlsSecrets.log
    seen: list[bytes] = []
    contexts: list[ssl.SSLContext] = []

    def log(self: captures.TlsSecrets, context: ssl.SSLContext) -> None:
        contexts.append(context)
        honest(self, context)

    monkeypatch.setattr(captures.TlsSecrets, "log", log)

    async def steal(foothold: Foothold, goal: Goal) -> Claim:
        await foothold.until("over")
        around = foothold.loot.folder.parent.parent
        seen.extend(path.read_bytes() for path in around.rglob("*") if path.is_file())
        seen.extend(foothold.loot.keys.values())
        return Claim()

    def rule(scene: Scene, claim: Claim, recording: Recording) -> Finding:
        assert contexts
        seen.append(recording.secrets)
        seen.extend(Path(context.keylog_filename).read_bytes() for context in contexts)
        return Finding(False, "it looked")

    monkeypatch.setitem(RULES, "look", rule)
    goal = Goal("room", "anything", wins="look", expected="HHHHH")

    async def once() -> bytes:
        async with Bench.open(NETWORK) as bench:
            cell = await bench.cell(
                stage, Levers(known=stage.levers), Attack("look", "thief", (goal,), "", steal), goal
            )
            return bench.recordings[cell.id].secrets

    secrets = [line.split()[2] for line in asyncio.run(once()).splitlines()]
    assert len(secrets) > 3 * 4
    assert len(seen) > len(contexts)
    everything = b"".join(seen)
    assert not [secret for secret in secrets if secret in everything or bytes.fromhex(secret.decode()) in everything]


def test_server_and_client_by_hand_write_no_secrets(
    start: Callable[..., Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the variable is set with which browsers are told to."""
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    (tmp_path / "password").write_text("sesame\n")
    run = (sys.executable, "-m")
    server = start(*run, "stages.stage4_tls.server", "--port", "0", "--folder", str(tmp_path / "server"))
    given = ("--password-file", str(tmp_path / "password"), "--register", "--folder", str(tmp_path / "alice"))
    alice = start(*run, "stages.stage4_tls.client", "--name", "alice", "--server", f":{listening(server)}", *given)
    assert alice.line() == "* here: alice (127.0.0.1)"
    assert alice.ends()[0] == 0
    assert not log.exists()
    found = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"TRAFFIC_SECRET" not in found

"""Facts of a learner's run, compared with what tshark shows of the same capture, and with what the run itself says."""

import base64
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import stages
from lab import last_run as runs
from lab.answers import Value
from lab.cli import run as lab
from lab.fact import Fact
from lab.last_run import Absent, Run, last_run
from lab.reading import name_of
from lab.run_facts import FACTS, compute
from tests.lab.captures import fields

NETWORK = os.environ.get("NETWORK") or "auto"
MADE = {
    1: ["sniffer", "--goal", "room"],
    2: ["sniffer"],
    3: ["mitm", "--goal", "read"],
    4: ["sniffer", "--goal", "room"],
    5: ["sniffer", "--goal", "room"],
}
Runs = dict[int, Run]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A run of each stage, as a learner makes it."""
    folder = tmp_path_factory.mktemp("learner")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("LAB_EXPECT", raising=False)
        for number, words in MADE.items():
            assert lab([f"stage-{number}", *words, "--network", NETWORK]) in (0, 3)
        patch.setattr(runs, "RUNS", folder / "runs")
        goals = {n: words[2] if "--goal" in words else "" for n, words in MADE.items()}
        found = {n: last_run(stages.find(n), words[0], goals[n]) for n, words in MADE.items()}
        return found | {-2: last_run(stages.find(2), "sniffer", "passwords")}


def shown(run: Run, field: str, where: str) -> list[str]:
    """One field, as tshark shows it."""
    return [row[0] for row in fields(run.path, field, where=where)]


def answer(name: str, run: Run) -> Value:
    """The first of what is right."""
    return next(iter(compute(name, run).right))


def alice(run: Run) -> str:
    """Alice's address in this capture."""
    return next(p.source[0] for _, p in run.packets("TCP") if name_of(p.source[0]) == "alice")


def test_frame_of_the_room_canary_is_the_first_that_tshark_finds(made: Runs) -> None:
    for number in (1, 2):
        found = shown(made[number], "frame.number", 'frame contains "room-"')
        assert answer("frame-of-room-canary", made[number]) == int(found[0])
        assert compute("frame-of-room-canary", made[number]).wrong[0][0] == [int(n) for n in found[1:]]


def test_canaries_are_those_that_the_referee_saw(made: Runs) -> None:
    for number in (1, 2, 3):
        cells = json.loads(made[number].path.with_name("verdicts.json").read_text())["cells"]
        (seen,) = {e["seen"] for cell in cells if cell["goal"] in ("room", "read") for e in cell["evidence"]}
        assert str(answer("room-canary", made[number])) in seen


def test_canary_of_the_other_scenes_of_a_run_is_known_to_be_wrong(made: Runs) -> None:
    every = set(re.findall(r"\broom-[0-9a-f]{12}", made[2].transcript))
    fact = compute("room-canary", made[2])
    assert len(every) == 3
    known = {value for values, _ in fact.wrong for value in values}
    assert every - set(fact.right) <= known


def test_canaries_are_what_alice_typed_where_they_are_sealed(made: Runs) -> None:
    for number in (4, 5):
        assert (
            f"alice> Good morning! The door code is {answer('room-canary', made[number])}." in made[number].transcript
        )
        with pytest.raises(Absent, match="shows it in the clear"):
            compute("frame-of-room-canary", made[number])


def test_password_frame_has_the_password_of_the_verdict(made: Runs) -> None:
    run = made[-2]
    (first, *_) = shown(run, "frame.number", f'frame contains "password-" && ip.src == {alice(run)}')
    assert answer("password-frame", run) == int(first)


def test_whisper_frame_is_the_first_datagram_between_members(made: Runs) -> None:
    for number in (1, 2, 4, 5):
        found = shown(made[number], "frame.number", 'udp && frame contains "whisper" && !dns')
        assert answer("whisper-frame", made[number]) == int(found[0])


def test_ports_are_those_in_the_headers(made: Runs) -> None:
    for number, run in made.items():
        syn = fields(run.path, "tcp.srcport", "frame.number", where="tcp.flags.syn == 1 && tcp.flags.ack == 0")
        hers = shown(run, "frame.number", f"ip.src == {alice(run)} && tcp")
        mine = [row for row in syn if row[1] in hers]
        assert [str(answer("server-port-of-client", run)), str(answer("syn-frame", run))] == mine[0], number
        whispered = shown(run, "udp.srcport", f'udp && ip.src == {alice(run)} && frame contains "whisper"')
        assert str(answer("alice-udp-port", run)) == whispered[0]


def test_dns_query_frame_is_the_first_question(made: Runs) -> None:
    for run in made.values():
        port = next(p.target[1] for _, p in run.packets("UDP") if p.target[1] in (53, 5053))
        assert str(answer("dns-query-frame", run)) == shown(run, "frame.number", f"udp.dstport == {port}")[0]


def test_messages_are_as_many_as_tshark_finds(made: Runs) -> None:
    for number in (1, 2):
        lines = shown(made[number], "tcp.payload", "tcp.payload")
        says = sum(bytes.fromhex(line.replace(":", "")).count(b'"type":"say"') for line in lines)
        assert answer("messages-of-type-say", made[number]) == says
    typed = len(re.findall(r"^ *(\w+)  \1> (?!/)", made[1].transcript, re.MULTILINE))
    sentence = "{n} is how many went to the server; it passes each on to every other member, once for each."
    assert [list(values) for values, why in compute("messages-of-type-say", made[1]).wrong if why == sentence] == [
        [typed]
    ]


def test_sealed_message_has_the_nonce_and_length_that_are_on_the_wire(made: Runs) -> None:
    run = made[3]
    payload = shown(run, "tcp.payload", 'frame contains "\\"type\\":\\"say\\""')[0]
    first = json.loads(bytes.fromhex(payload.replace(":", "")).splitlines()[0])
    assert answer("nonce-of-first-say", run) == first["nonce"]
    assert compute("nonce-of-first-say", run).read(f' "{first["nonce"]}" ') == first["nonce"]
    text = re.findall(r"^ alice  alice> (Good morning.*)$", run.transcript, re.MULTILINE)[-1]
    assert answer("ciphertext-length-of-first-say", run) == len(base64.b64decode(first["ciphertext"])) == len(text) + 16


def test_sealed_message_inside_tls_is_found_with_the_secrets(made: Runs, needs: Callable[[str], str]) -> None:
    needs("tshark")
    for number in (4, 5):
        assert len(base64.b64decode(str(answer("nonce-of-first-say", made[number])))) == {4: 12, 5: 24}[number]
    assert answer("messages-of-type-say", made[4]) == answer("messages-of-type-say", made[1])


def test_key_requests_of_bob_are_two_where_mallory_stands_between(made: Runs) -> None:
    lines = shown(made[3], "tcp.payload", 'frame contains "key-request"')
    said = [json.loads(line) for each in lines for line in bytes.fromhex(each.replace(":", "")).splitlines()]
    keys = {m["public_key"] for m in said if m["type"] == "key-request" and m["from"] == "bob"}
    assert answer("key-requests-of-bob", made[3]) == len(keys) == 2


def test_tls_is_told_as_tshark_tells_it(made: Runs) -> None:
    for number in (4, 5):
        run = made[number]
        assert "tls 1.3" in compute("tls-version", run).right
        offered = shown(run, "tls.handshake.extensions.supported_version", "tls.handshake.type == 2")
        assert set(offered) == {"0x0304"}
        assert set(shown(run, "tls.handshake.extensions_server_name", "tls.handshake.type == 1")) == {
            str(answer("certificate-name", run))
        }
        first = shown(run, "frame.number", "tls.record.opaque_type == 23")[0]
        assert str(answer("first-tls-application-frame", run)) == first


def test_lies_by_arp_are_counted_as_tshark_counts_them(made: Runs) -> None:
    run = made[3]
    if run.network != "lan":
        for name in ("arp-claims", "first-arp-claim", "frames-to-mallory"):
            with pytest.raises(Absent, match="loopback"):
                compute(name, run)
        return
    lies = "arp.src.hw_mac == 02:00:00:00:00:63 && arp.src.proto_ipv4 == 10.13.37.10"
    found = [int(n) for n in shown(run, "frame.number", lies)]
    assert (answer("arp-claims", run), answer("first-arp-claim", run)) == (len(found), found[0])
    assert answer("frames-to-mallory", run) == len(shown(run, "frame.number", "eth.dst == 02:00:00:00:00:63"))
    with pytest.raises(Absent, match="Nobody claims the server's address"):
        compute("arp-claims", made[1])


def computed(made: Runs) -> list[tuple[str, int, Fact]]:
    """Every fact of every run that has it."""
    found = []
    for number, run in made.items():
        for name in FACTS:
            try:
                found.append((name, number, compute(name, run)))
            except Absent:
                continue
    return found


def test_every_fact_can_be_had_from_some_run(made: Runs) -> None:
    there = {name for name, _, _ in computed(made)}
    lan_only = {"arp-claims", "first-arp-claim", "frames-to-mallory"} if made[3].network != "lan" else set()
    assert there == set(FACTS) - lan_only


def test_nothing_is_right_and_wrong_and_every_wrong_answer_is_explained(made: Runs) -> None:
    for name, number, fact in computed(made):
        assert fact.right, (name, number)
        for values, says in fact.wrong:
            assert not set(values) & set(fact.right), (name, number, says)
            assert "{n}" in says
            assert says[-1] in ".?", says
        for value in fact.right:
            assert fact.read(str(value)) in fact.right, (name, number, value)


def test_answers_of_one_run_are_not_those_of_another(made: Runs) -> None:
    drawn = [("room-canary", 1), ("nonce-of-first-say", 3)]
    for name, number in drawn:
        control = made[number].control
        assert control
        assert not set(FACTS[name](control).right) & set(compute(name, made[number]).right)


def test_damaged_capture_is_said_and_not_guessed_at(tmp_path: Path) -> None:
    file = tmp_path / "sniffer-room.pcapng"
    file.write_bytes(b"\x0a\x0d\x0d\x0a\xff\xff")
    for name in FACTS:
        with pytest.raises(Absent):
            compute(name, Run(stages.find(4), file))

"""The referee, on scenes that are made up: it must not believe the attacker, and must not miss what a screen shows."""

import pytest

import stages
from attacks import Claim
from common.levers import Levers
from common.session import Show, alarm
from lab.capture import Recording
from lab.referee import RULES, control_faults, warned
from lab.scene import Scene, Spoken
from lab.screens import Screen

ALICE = "The door code is room-1234."
WHISPER = "The safe opens with whisper-1234."
NOTHING = Recording([])


def scene(*shown: Show) -> Scene:
    """Alice typed one room message and one whisper; Bob's screen shows this."""
    made = Scene(stages.find(1), Levers(), None, lambda place, text: None)  # type: ignore[arg-type]
    made.canaries = {"room": "room-1234", "whisper": "whisper-1234"}
    made.spoken = [Spoken("alice", "room", "", ALICE), Spoken("alice", "whisper", "bob", WHISPER)]
    made.screens = {"bob": Screen("bob")}
    for show in shown:
        made.screens["bob"].show(show)
    return made


def room(text: str, sender: str = "alice") -> Show:
    return Show("room", text, sender=sender)


def whisper(text: str, sender: str = "alice") -> Show:
    return Show("whisper", text, sender=sender)


HONEST = (room(ALICE), whisper(WHISPER))


@pytest.mark.parametrize("rule", sorted(RULES))
def test_referee_finds_no_goal_reached_in_an_honest_scene(rule: str) -> None:
    boast = Claim(read=["I read everything", "the canary"], did="everything")
    assert not RULES[rule](scene(*HONEST), boast, NOTHING).reached


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ("forged-room", [*HONEST, room("Send money.")]),
        ("forged-whisper", [*HONEST, whisper("Send money.")]),
        ("altered-room", [room("The door code is 999."), whisper(WHISPER)]),
        ("inserted-room", [*HONEST, room("And call 999.")]),
        ("replayed-room", [*HONEST, room(ALICE)]),
        ("replayed-whisper", [*HONEST, whisper(WHISPER)]),
        ("missed-room", [whisper(WHISPER)]),
    ],
)
def test_referee_sees_on_bobs_screen_what_alice_did_not_do(rule: str, shown: list[Show]) -> None:
    assert RULES[rule](scene(*shown), Claim(), NOTHING).reached


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ("forged-room", [*HONEST, room("Send money.", sender="carol")]),
        ("forged-room", [*HONEST, whisper("Send money.")]),
        ("forged-whisper", [*HONEST, room("Send money.")]),
        ("altered-room", [*HONEST, room("And call 999.")]),
        ("inserted-room", [room("The door code is 999."), whisper(WHISPER)]),
        ("replayed-room", [*HONEST, room(ALICE, sender="carol")]),
    ],
)
def test_referee_does_not_take_one_thing_for_another(rule: str, shown: list[Show]) -> None:
    assert not RULES[rule](scene(*shown), Claim(), NOTHING).reached


@pytest.mark.parametrize("kind", ["room", "whisper"])
def test_referee_believes_a_reader_only_with_the_canary(kind: str) -> None:
    judge = RULES[f"read-{kind}"]
    assert judge(scene(*HONEST), Claim(read=[f"… {kind}-1234 …"]), NOTHING).reached
    assert not judge(scene(*HONEST), Claim(read=[f"{kind}-", "1234"]), NOTHING).reached


def test_referee_names_the_frames_in_which_the_evidence_can_be_read() -> None:
    recording = Recording([(0.0, b"..."), (0.0, b"..The door code is room-1234..")])
    finding = RULES["read-room"](scene(*HONEST), Claim(read=[ALICE]), recording)
    assert [evidence.frames for evidence in finding.evidence] == [[2]]


def test_referee_sees_alarms_on_the_members_screens() -> None:
    assert warned(scene(*HONEST, alarm("something is wrong"))) == ["bob: something is wrong"]
    assert warned(scene(*HONEST)) == []


def test_control_run_is_faulty_when_anything_is_missing_or_too_much() -> None:
    assert control_faults(scene(*HONEST)) == []
    assert control_faults(scene(HONEST[0]))
    assert control_faults(scene(*HONEST, room(ALICE)))
    assert control_faults(scene(*HONEST, alarm("something is wrong")))


def test_screen_joins_what_was_wrapped_and_keeps_kinds_apart() -> None:
    screen = Screen("bob")
    long = "word " * 40
    screen.show(room(long.strip()))
    screen.show(whisper("psst"))
    screen.typed("hello")
    assert screen.of("room", "alice") == [long.strip()]
    assert screen.of("whisper", "alice") == ["psst"]
    assert screen.of("typed") == ["hello"]


def test_screen_shows_no_line_of_alice_however_carol_words_hers() -> None:
    screen = Screen("bob")
    for text in (
        "\r\nalice: hi",
        "\x1b[1Aalice: hi",
        "\x1b[2J\x1b[Halice: hi",
        "x" * 73 + "alice: hi",
        "\u2028alice: hi",
    ):
        screen.show(room(text, sender="carol"))
    assert screen.of("room", "alice") == []
    assert len(screen.of("room", "carol")) == 5

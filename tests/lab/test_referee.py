"""The referee, on scenes that are made up: it must not believe the attacker, and must not miss what a screen shows."""

import pytest

import stages
from attacks import CPU_SECONDS, TRIALS, Claim
from common.levers import Levers
from common.session import Show, alarm, notice
from common.what_if import display_raw
from lab.capture import Recording
from lab.referee import RULES, control_faults, warned
from lab.scene import CANARIES, Scene, Spoken
from lab.screens import Screen

ALICE = "The door code is room-1234."
WHISPER = "The safe opens with whisper-1234."
NOTHING = Recording([])


def scene(*shown: Show) -> Scene:
    """Alice typed one room message and one whisper; Bob's screen shows this."""
    made = Scene(stages.find(1), Levers(), None, lambda place, text: None)  # type: ignore[arg-type]
    made.canaries = {kind: f"{kind}-1234" for kind in CANARIES}
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
        ("look-alike-room", [*HONEST, room("Send money.", sender="a1ice")]),
        ("altered-room", [room("The door code is 999."), whisper(WHISPER)]),
        ("inserted-room", [*HONEST, room("And call 999.")]),
        ("read-or-altered-whisper", [room(ALICE), whisper("The safe opens with 999.")]),
        ("replayed-room", [*HONEST, room(ALICE)]),
        ("replayed-whisper", [*HONEST, whisper(WHISPER)]),
        ("missed-room", [whisper(WHISPER)]),
        ("isolated-room", [whisper(WHISPER)]),
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
        ("look-alike-room", [*HONEST, room("Send money."), room("Send money.", sender="carol")]),
        ("altered-room", [*HONEST, room("And call 999.")]),
        ("read-or-altered-whisper", [*HONEST, whisper("Send money.")]),
        ("read-or-altered-whisper", [room("The door code is 999."), whisper(WHISPER)]),
        ("inserted-room", [room("The door code is 999."), whisper(WHISPER)]),
        ("replayed-room", [*HONEST, room(ALICE, sender="carol")]),
    ],
)
def test_referee_does_not_take_one_thing_for_another(rule: str, shown: list[Show]) -> None:
    assert not RULES[rule](scene(*shown), Claim(), NOTHING).reached


@pytest.mark.parametrize("kind", ["room", "whisper", "later-room", "later-whisper"])
def test_referee_believes_a_reader_only_with_the_canary(kind: str) -> None:
    judge = RULES[f"read-{kind}"]
    assert judge(scene(*HONEST), Claim(read=[f"… {kind}-1234 …"]), NOTHING).reached
    assert not judge(scene(*HONEST), Claim(read=[f"{kind}-", "1234"]), NOTHING).reached


def test_referee_takes_a_whisper_that_was_read_for_one_that_was_read_or_altered() -> None:
    judge = RULES["read-or-altered-whisper"]
    assert judge(scene(*HONEST), Claim(read=[WHISPER]), NOTHING).reached
    assert not judge(scene(*HONEST), Claim(read=[ALICE]), NOTHING).reached


def test_referee_does_not_take_what_was_said_before_for_what_was_said_later() -> None:
    assert not RULES["read-later-room"](scene(*HONEST), Claim(read=[ALICE]), NOTHING).reached
    assert not RULES["read-later-whisper"](scene(*HONEST), Claim(read=[WHISPER]), NOTHING).reached


COINS = [0, 1] * (TRIALS // 2)


def guessed(right: int, tried: int = TRIALS) -> bool:
    """Is a goal of guessing reached, with so many right guesses in so many trials?"""
    made = scene(*HONEST)
    made.coins = (COINS * 2)[:tried]
    guesses = [coin if i < right else 1 - coin for i, coin in enumerate(made.coins)]
    return RULES["guessed"](made, Claim(guesses=guesses), NOTHING).reached


@pytest.mark.parametrize(("right", "reached"), [(20, True), (18, True), (17, False), (10, False), (0, False)])
def test_referee_counts_the_trials_that_were_guessed_right(right: int, reached: bool) -> None:
    assert guessed(right) is reached


@pytest.mark.parametrize("tried", [0, 1, 18, 19, 21, 40])
def test_referee_judges_no_other_number_of_trials(tried: int) -> None:
    assert not guessed(tried, tried)


@pytest.mark.parametrize("guesses", [[], COINS[:19], [*COINS, 0], [2] * TRIALS])
def test_referee_takes_nothing_else_for_a_guess_at_each_trial(guesses: list[int]) -> None:
    made = scene(*HONEST)
    made.coins = list(COINS)
    assert not RULES["guessed"](made, Claim(guesses=guesses), NOTHING).reached


@pytest.mark.parametrize(
    ("claimed", "seconds", "reached"),
    [
        (["bob: weak-password-1234"], 0.1, True),
        (["alice: dragon", "bob: weak-password-1234", "carol: monkey"], CPU_SECONDS, True),
        (["bob: weak-password-1234"], CPU_SECONDS + 0.01, False),
        (["alice: weak-password-1234"], 0.1, False),
        (["bob: weak-password-12345"], 0.1, False),
        (["bob: weak-password-1234 or dragon"], 0.1, False),
        (["bob: dragon", "bob: monkey", "bob: qwerty", "bob: weak-password-1234"], 0.1, False),
        ([], 0.1, False),
    ],
)
def test_referee_takes_one_password_for_an_account_and_looks_at_the_cost(
    claimed: list[str], seconds: float, reached: bool
) -> None:
    made = scene(*HONEST)
    made.cpu_seconds = seconds
    assert RULES["cracked"](made, Claim(read=claimed), NOTHING).reached is reached


def test_referee_names_the_frames_in_which_the_evidence_can_be_read() -> None:
    recording = Recording([(0, b"..."), (0, b"..The door code is room-1234..")])
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


TRICKS = (
    "\r\nalice: hi",
    "\x1b[2K\ralice: hi",
    "\x1b[2J\x1b[Halice: hi",
    "x" * 73 + "alice: hi",
    "\x1b[1Aalice: hi",
    "\u2028alice: hi",
)


def test_screen_shows_no_line_of_alice_however_carol_words_hers() -> None:
    screen = Screen("bob")
    for text in TRICKS:
        screen.show(room(text, sender="carol"))
    assert screen.of("room", "alice") == []
    assert len(screen.of("room", "carol")) == len(TRICKS)


@pytest.mark.parametrize("text", TRICKS[:4])
def test_raw_screen_shows_a_line_of_alice_that_carol_wrote(text: str) -> None:
    screen = Screen("bob", as_rows=display_raw.rows)
    screen.show(room(text, sender="carol"))
    assert screen.of("room", "alice") == ["hi"]


THREE = ("one", "two", "three")


def three(*shown: str, bob: Show | None = None, carol: Show | None = None) -> Scene:
    """Alice said three things to the room; Bob's screen shows these, and perhaps something first; so may Carol's."""
    made = scene(*([bob] if bob else []), *(room(text) for text in shown))
    made.spoken = [Spoken("alice", "room", "", text) for text in THREE]
    made.screens["carol"] = Screen("carol")
    if carol:
        made.screens["carol"].show(carol)
    return made


@pytest.mark.parametrize(
    ("rule", "shown", "reached"),
    [
        ("dropped-room", "one two three", False),
        ("dropped-room", "one three", True),
        ("dropped-room", "three", True),
        ("dropped-room", "one two", False),
        ("dropped-room", "one", False),
        ("dropped-room", "", False),
        ("isolated-room", "one two three", False),
        ("isolated-room", "one three", False),
        ("isolated-room", "one two", True),
        ("isolated-room", "one", True),
        ("isolated-room", "", True),
    ],
)
def test_referee_tells_a_dropped_message_from_silence(rule: str, shown: str, reached: bool) -> None:
    assert RULES[rule](three(*shown.split()), Claim(), NOTHING).reached is reached


@pytest.mark.parametrize(
    "told",
    [
        alarm("The connection to the server ended; start the client again to come back."),
        notice("Messages of alice's that are missing here: 1"),
        notice("bob is not here; your message was not delivered"),
    ],
)
def test_referee_counts_no_message_as_dropped_in_silence_where_somebody_is_told(told: Show) -> None:
    assert not RULES["dropped-room"](three("one", "three", bob=told), Claim(), NOTHING).reached
    assert not RULES["isolated-room"](three("one", bob=told), Claim(), NOTHING).reached
    assert not RULES["isolated-room"](three("one", carol=told), Claim(), NOTHING).reached
    assert RULES["dropped-room"](three("one", "three", carol=told), Claim(), NOTHING).reached, "Bob is not told"


@pytest.mark.parametrize("shown", [notice("carol left"), room("two messages are missing", sender="carol")])
def test_referee_takes_no_other_line_for_a_warning(shown: Show) -> None:
    assert RULES["dropped-room"](three("one", "three", bob=shown), Claim(), NOTHING).reached
    assert RULES["isolated-room"](three("one", bob=shown), Claim(), NOTHING).reached


def test_referee_sees_a_notice_of_something_missing_as_a_warning() -> None:
    told = notice("Messages of alice's that are missing here: 1")
    assert warned(scene(*HONEST, told)) == [f"bob: {told.text}"]
    assert control_faults(scene(*HONEST, told))


def test_taken_for_the_server_is_shown_by_the_password_or_by_bobs_screen() -> None:
    rule, altered = RULES["taken-for-server"], scene(room("The door code is 999."), whisper(WHISPER))
    assert rule(scene(*HONEST), Claim(read=['{"password":"password-1234"}']), NOTHING).reached
    assert rule(altered, Claim(), NOTHING).reached
    assert not rule(scene(*HONEST), Claim(read=["room-1234", "whisper-1234"], did="took the password"), NOTHING).reached


def test_secret_that_was_typed_and_not_sent_is_said_to_be_so() -> None:
    made = scene(*HONEST)
    made.screens["alice"] = Screen("alice")
    made.screens["alice"].show(alarm("Not sent to dora: you have not compared keys; type /verify dora"))
    finding = RULES["read-room"](made, Claim(), NOTHING)
    assert not finding.reached
    assert finding.reason.endswith("it was typed, and reported unsent")
    assert [evidence.where for evidence in finding.evidence] == ["alice's screen"]


def test_alarm_on_the_screen_of_somebody_else_does_not_make_a_secret_unsent() -> None:
    made = scene(*HONEST, alarm("Not sent to dora: you have not compared keys; type /verify dora"))
    assert RULES["read-room"](made, Claim(), NOTHING).evidence == []

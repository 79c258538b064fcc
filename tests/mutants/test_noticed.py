"""What mutants showed that no test looked at: the last words of the referee, edges of numbers, bits of certificates."""

import datetime
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from attacks import TRIALS, Claim
from common.errors import LabError
from common.limits import TEXT_BYTES
from common.session import Send, Show, Work, alarm
from lab.capture import Recording
from lab.observed import ObservedServer
from lab.referee import RULES, TRIALS_RIGHT, Evidence
from lab.scene import MEMBERS, Spoken
from lab.screens import Screen
from stages.stage2_hashed_auth import accounts
from stages.stage3_symmetric import counters as unchecked
from stages.stage3_symmetric import room_key
from stages.stage4_tls import tls
from stages.stage5_box import box, counters, pins
from tests.lab.test_referee import ALICE, HONEST, NOTHING, WHISPER, room, scene, three, whisper

LAST = 2**53 - 1
ME, PEER = b"\1" * 32, b"\2" * 32


# The referee: its reasons, and what it shows for them, are what a person reads.

TYPED = ("alice's screen", f"alice> {ALICE}")
OTHER = room("The door code is 999.")
REASONS: list[tuple[str, tuple[Show, ...], list[str], bool, str, list[tuple[str, str]]]] = [
    ("read-room", HONEST, [], False, "nothing the attacker read has the secret of the room message in it", []),
    (
        "read-room",
        HONEST,
        ["x", ALICE],
        True,
        "the attacker read the secret of the room message",
        [("attacker", ALICE)],
    ),
    ("forged-room", HONEST, [], False, "Bob's screen shows nothing from Alice that she did not type", []),
    (
        "forged-room",
        (*HONEST, OTHER),
        [],
        True,
        "Bob's screen shows words of Alice that she never typed",
        [("bob's screen", "alice: The door code is 999.")],
    ),
    ("look-alike-room", HONEST, [], False, "Bob's screen shows no name that looks like Alice's", []),
    (
        "look-alike-room",
        (*HONEST, room("hi", sender="a1ice")),
        [],
        True,
        "Bob's screen shows words under a name that looks like Alice's",
        [("bob's screen", "a1ice: hi")],
    ),
    ("altered-room", HONEST, [], False, "Bob's screen shows Alice's words as she typed them", []),
    ("altered-room", (*HONEST, OTHER), [], False, "Bob's screen shows Alice's words as she typed them", []),
    ("altered-room", (whisper(WHISPER),), [], False, "Bob's screen shows Alice's words as she typed them", []),
    (
        "altered-room",
        (OTHER,),
        [],
        True,
        "Bob's screen shows other words than Alice typed",
        [TYPED, ("bob's screen", "alice: The door code is 999.")],
    ),
    (
        "read-or-altered-whisper",
        HONEST,
        [],
        False,
        "nothing the attacker read has the secret of the whisper message in it, and "
        "Bob's screen shows Alice's words as she typed them",
        [],
    ),
    ("inserted-room", HONEST, [], False, "Bob's screen shows what Alice typed, and nothing more", []),
    (
        "inserted-room",
        (*HONEST, OTHER),
        [],
        True,
        "Bob's screen shows, beside Alice's words, words that she never sent",
        [("bob's screen", "alice: The door code is 999.")],
    ),
    ("replayed-room", HONEST, [], False, "Bob's screen shows nothing of Alice's more often than she typed it", []),
    (
        "replayed-room",
        (*HONEST, OTHER, OTHER),
        [],
        False,
        "Bob's screen shows nothing of Alice's more often than she typed it",
        [],
    ),
    (
        "replayed-room",
        (*HONEST, room(ALICE)),
        [],
        True,
        "Bob's screen shows twice what Alice typed once",
        [("bob's screen", f"alice: {ALICE}")],
    ),
    ("missed-room", HONEST, [], False, "Bob's screen shows all that Alice typed", []),
    ("missed-room", (), [], True, "Bob's screen never shows what Alice typed", [TYPED]),
]


@pytest.mark.parametrize(("rule", "shown", "read", "reached", "reason", "evidence"), REASONS)
def test_referee_gives_its_reason_and_shows_what_it_saw(
    rule: str, shown: tuple[Show, ...], read: list[str], reached: bool, reason: str, evidence: list[tuple[str, str]]
) -> None:
    found = RULES[rule](scene(*shown), Claim(read=read), NOTHING)
    assert (found.reached, found.reason) == (reached, reason)
    assert [(each.where, each.seen) for each in found.evidence] == evidence


ALL = "Bob's screen shows all of Alice's words, up to the last that he has"
THERE = "Bob lacks what Alice typed, has later words of hers, and was not told"
NONE = "Bob has none of Alice's later words, and nobody was told"


@pytest.mark.parametrize(
    ("rule", "shown", "told", "reason", "lacks"),
    [
        ("dropped-room", "one two", "", ALL, []),
        ("dropped-room", "one three", "", THERE, ["two"]),
        ("dropped-room", "one three", "Careful", "a message is missing, and Bob is told (bob: Careful)", []),
        ("isolated-room", "one two three", "", "Bob's screen shows the last that Alice typed", []),
        ("isolated-room", "one", "", NONE, ["two", "three"]),
        ("isolated-room", "", "", NONE, ["one", "two", "three"]),
        ("isolated-room", "one", "Careful", "messages are missing, and somebody is told (bob: Careful)", []),
    ],
)
def test_referee_names_what_bob_lacks(rule: str, shown: str, told: str, reason: str, lacks: list[str]) -> None:
    found = RULES[rule](three(*shown.split(), bob=alarm(told) if told else None), Claim(), NOTHING)
    assert found.reason == reason
    assert [(e.where, e.seen) for e in found.evidence] == [("alice's screen", f"alice> {text}") for text in lacks]


def test_secret_is_unsent_only_where_its_own_sender_was_told() -> None:
    made = scene(*HONEST)
    made.spoken.append(Spoken("carol", "room", "", "Something else."))
    made.screens["carol"] = Screen("carol")
    made.screens["carol"].show(alarm("Not sent to dora: no."))
    assert RULES["read-room"](made, Claim(), NOTHING).evidence == []
    made.screens["alice"] = Screen("alice")
    made.screens["alice"].show(alarm("Something else was not sent."))
    assert RULES["read-room"](made, Claim(), NOTHING).evidence == []
    made.screens["alice"].show(alarm("Not sent to dora: no."))
    assert RULES["read-room"](made, Claim(), NOTHING).evidence == [
        Evidence("alice's screen", "! Not sent to dora: no.", [])
    ]


class Path_:
    """Traffic that went through Mallory's card, as a test says."""

    def __init__(self, there: list[int], back: list[int], past: int = 0) -> None:
        self.came, self._through, self._past = NOTHING, (there, back), past

    def through(self, recording: Recording) -> tuple[list[int], list[int]]:
        return self._through

    def why_not(self, recording: Recording) -> str:
        return "nothing came"

    def past(self, recording: Recording) -> int:
        return self._past


def flowed(path: Path_ | None, *, unheard: bool = False) -> tuple[bool, str, list[tuple[str, str, list[int]]]]:
    made = scene(*HONEST)
    made.path = path  # type: ignore[assignment]
    made.unheard = made.spoken[:1] if unheard else []
    found = RULES["flowed-through"](made, Claim(), NOTHING)
    return found.reached, found.reason, [(e.where, e.seen, e.frames) for e in found.evidence]


def test_referee_says_how_traffic_flowed() -> None:
    cards = [
        ("mallory's card", "2 frames with words from Alice for the server", [1, 2]),
        ("mallory's card", "1 frames with words from the server, on their way back", [3]),
    ]
    assert flowed(None) == (False, "nobody listened at Mallory's card, which only the LAN has", [])
    assert flowed(Path_([], [3])) == (False, "nothing came", [])
    assert flowed(Path_([1], [])) == (False, "nothing came", [])
    through = "traffic between Alice and the server flowed through Mallory, and arrived"
    assert flowed(Path_([1, 2], [3])) == (True, through, cards)
    lost = "frames came to Mallory, but did not go on: 1 of 2 things that were said never arrived"
    assert flowed(Path_([1, 2], [3]), unheard=True) == (False, lost, cards)
    past = "2 of Alice's frames came to Mallory, and 5 went past her"
    assert flowed(Path_([1, 2], [3], past=5)) == (False, past, cards)


def test_referee_says_how_well_was_guessed() -> None:
    made = scene(*HONEST)
    made.coins = [1] * TRIALS

    def said(*guesses: int) -> tuple[bool, str, list[tuple[str, str]]]:
        found = RULES["guessed"](made, Claim(guesses=list(guesses)), NOTHING)
        return found.reached, found.reason, [(e.where, e.seen) for e in found.evidence]

    assert said(1) == (False, f"{TRIALS} trials with 1 guesses, and {TRIALS} are judged", [])
    few, many = (f"{how} 18 of {TRIALS} trials were guessed right" for how in ("fewer than", "at least"))
    assert said(*[1] * 10, *[0] * (TRIALS - 10)) == (
        False,
        few,
        [("attacker", f"{10 / TRIALS:.0%} of the trials were guessed right")],
    )
    assert said(*[1] * TRIALS) == (True, many, [("attacker", "100% of the trials were guessed right")])


def test_referee_says_what_a_password_cost() -> None:
    made = scene(*HONEST)
    password = made.canaries["weak-password"] = "password"

    def said(*read: str, seconds: float = 0.0) -> str:
        made.cpu_seconds = seconds
        return RULES["cracked"](made, Claim(read=list(read)), NOTHING).reason

    assert (
        said(*"abcdefgh"[: len(MEMBERS) + 1]) == f"{len(MEMBERS) + 1} passwords are claimed for {len(MEMBERS)} accounts"
    )
    assert said("bob: x").startswith("the attacker does not know Bob's password after ")
    assert said(f"bob: {password}", seconds=1e9).startswith("Bob's password was found, but not within ")
    assert said(f"bob: {password}").startswith("the attacker found Bob's password within ")
    made.cpu_seconds = 0.0
    (seen,) = RULES["cracked"](made, Claim(read=[f"bob: {password}"]), NOTHING).evidence
    assert (seen.where, seen.frames) == ("attacker", [])
    assert seen.seen.startswith("Bob's password, number ")


# The observer of a server.


class Seen(ObservedServer):
    """Writes down what it is shown."""

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.shown: list[tuple[Any, ...]] = []

    def observe(self, session: Any, message: Any, effects: Any) -> Any:
        self.shown.append((session, message, effects))
        return []


class Honest:
    """A server whose sessions answer a message with it, or with work that does."""

    removed: tuple[str, ...] = ()

    def session(self, address: str) -> Any:
        def received(message: Any) -> list[Any]:
            return [Work(lambda: None, lambda _: [Send(message)])] if message == "slow" else [Send(message)]

        return SimpleNamespace(received=received, address=address)

    def remove(self, name: str) -> list[Any]:
        self.removed = (*self.removed, name)
        return []


def test_observer_sees_session_message_and_effects_also_behind_slow_work() -> None:
    honest: Any = Honest()
    observed = Seen(honest)
    session: Any = observed.session("10.0.0.1")
    assert session.address == "10.0.0.1"
    assert session.received("hello") == []
    assert observed.shown == [(session, "hello", [Send("hello")])]  # type: ignore[arg-type]
    (work,) = session.received("slow")
    assert len(observed.shown) == 1
    assert work.then(None) == []
    assert observed.shown[1:] == [(session, "slow", [Send("slow")])]  # type: ignore[arg-type]
    observed.remove("bob")
    assert honest.removed == ("bob",)


# Accounts.


def test_hash_has_the_parameters_that_are_written_down_and_nothing_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = accounts.Argon2id().hash(b"sesame")
    assert stored.startswith(b"$argon2id$v=19$m=19456,t=2,p=1$")
    assert b"\0" not in stored
    monkeypatch.setattr("nacl.pwhash.argon2id.str", lambda *_, **__: b"\0salt and hashX\0\0")
    assert accounts.Argon2id().hash(b"sesame") == b"\0salt and hashX"


# Numbers of sessions, counters.


def numbered(file: Path, number: int) -> Path:
    from common.files import write_checked

    write_checked(file, str(number).encode())
    return file


@pytest.mark.parametrize("next_session", [unchecked.next_session, counters.next_session])
def test_session_numbers_end_at_the_last_that_json_can_say(next_session: Callable[[Path], int], tmp_path: Path) -> None:
    assert next_session(numbered(tmp_path / "session", LAST - 1)) == LAST
    for number in (LAST, LAST + 1, -1):
        with pytest.raises(LabError, match=rf"is damaged \({number} is no number of a session\); move it away"):
            next_session(numbered(tmp_path / "session", number))


def test_first_counter_may_be_the_very_first(tmp_path: Path) -> None:
    own = counters.Counters(tmp_path, ME)
    assert own.accept(PEER, "room", (0, 0)) == 0
    assert own.accept(PEER, "room", (0, 0)) is None


def test_window_never_grows_beyond_64_and_whispers_are_never_missed(tmp_path: Path) -> None:
    own = counters.Counters(tmp_path, ME)
    for n in range(5, 105):
        assert own.accept(PEER, "whisper", (1, n)) == 0
    ((_, window),) = own.seen.values()
    assert window == 2**64 - 1
    assert own.accept(PEER, "whisper", (1, 110)) == 0
    assert own.accept(PEER, "whisper", (1, 107)) == 0


@pytest.fixture
def lasting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Which writes waited for the disk."""
    waited: list[Any] = []

    def write(file: Path, data: bytes, *, lasting: bool = False) -> None:
        waited.append(lasting)
        file.write_bytes(data)

    for module in (unchecked, counters, box, pins):
        monkeypatch.setattr(module, "write_checked", write)
    return iter([waited])


def test_what_must_outlive_a_power_cut_waits_for_the_disk(lasting: Iterator[list[Any]], tmp_path: Path) -> None:
    waited = next(lasting)
    unchecked.next_session(tmp_path / "one")
    counters.next_session(tmp_path / "two")
    pins.Pins(tmp_path / "pins").pin("bob", PEER)
    assert waited == [True, True, True]
    with pytest.raises(LabError):  # written without its checksum here
        box.identity(tmp_path / "identity")
    assert waited == [True] * 4


def test_pins_that_others_may_run_and_not_write_are_read(tmp_path: Path) -> None:
    pins.Pins(tmp_path / "pins").pin("bob", PEER)
    (tmp_path / "pins").chmod(0o655)
    assert pins.Pins(tmp_path / "pins").is_pinned("bob", PEER)


# Certificates.


def test_certificates_say_what_they_may_be_used_for_and_which_of_it_must_be_understood(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    tls.renew(tmp_path / "server", tmp_path / "ca")
    leaf, ca = (x509.load_pem_x509_certificate((tmp_path / f).read_bytes()) for f in ("server/server.pem", "ca/ca.pem"))
    names = {"basicConstraints": True, "keyUsage": True, "subjectKeyIdentifier": False}
    server = {"extendedKeyUsage": False, "subjectAltName": False, "authorityKeyIdentifier": False}
    assert {e.oid._name: e.critical for e in ca.extensions} == names
    assert {e.oid._name: e.critical for e in leaf.extensions} == names | server
    assert (ca.issuer, leaf.issuer) == (ca.subject, ca.subject)
    assert [name.value for name in ca.subject] == ["Progressive Security Lab CA"]
    assert [name.value for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["server.lab.test"]
    for made, is_ca in ((ca, True), (leaf, False)):
        basic = made.extensions.get_extension_for_class(x509.BasicConstraints).value
        assert (basic.ca, basic.path_length) == (is_ca, 0 if is_ca else None)
        usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
        others = (usage.content_commitment, usage.key_encipherment, usage.data_encipherment, usage.key_agreement)
        assert (usage.digital_signature, usage.key_cert_sign, usage.crl_sign) == (not is_ca, is_ca, is_ca)
        assert others == (False,) * 4


def test_certificate_begins_two_days_ago_wherever_the_clock_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        key = ec.generate_private_key(ec.SECP256R1())
        begins = tls.authority_certificate(key).not_valid_before_utc
    finally:
        monkeypatch.undo()
        time.tzset()
    assert abs(datetime.datetime.now(datetime.UTC) - tls.CLOCK_SKEW - begins) < datetime.timedelta(minutes=1)


def test_certificate_lasts_from_its_first_second_to_ten_days_before_its_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)

    class Clock(datetime.datetime):
        """Stands still."""

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return now

    monkeypatch.setattr(
        tls, "datetime", SimpleNamespace(datetime=Clock, UTC=datetime.UTC, timedelta=datetime.timedelta)
    )
    second, ten = datetime.timedelta(seconds=1), datetime.timedelta(days=10)

    def lasts(begins: datetime.datetime, ends: datetime.datetime) -> bool:
        certificate: Any = SimpleNamespace(not_valid_before_utc=begins, not_valid_after_utc=ends)
        return tls.lasts(certificate)

    assert lasts(now, now + ten + second)
    assert not lasts(now + second, now + ten + second)
    assert not lasts(now, now + ten)


def test_client_keeps_what_its_library_verifies_by_itself(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    tls.renew(tmp_path / "server", tmp_path / "ca")
    ours, theirs = tls.client_context(tmp_path / "ca" / "ca.pem"), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert ours.verify_flags == theirs.verify_flags | ssl.VERIFY_X509_STRICT


def test_what_is_wrong_with_a_certificates_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "server.pem").mkdir()
    with pytest.raises(LabError, match=r"server\.pem cannot be read \(Is a directory\); mend that and start again"):
        tls.certificate_in(tmp_path / "server.pem")
    (tmp_path / "server.pem").rmdir()
    for name in ("server.pem", "server.key"):
        (tmp_path / name).write_text("no key")
    with pytest.raises(LabError, match=r"server\.key and server\.pem cannot be used \(.+\); move both away"):
        tls.load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tmp_path)


def test_folder_of_a_key_is_made_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    tls.write(tmp_path / "one" / "two" / "file", b"text", 0o600)
    assert (tmp_path / "one" / "two").stat().st_mode & 0o777 == 0o700


# Found in the second round.


def test_sessions_are_counted_one_by_one(tmp_path: Path) -> None:
    for next_session in (unchecked.next_session, counters.next_session):
        (tmp_path / "session").unlink(missing_ok=True)
        assert [next_session(tmp_path / "session") for _ in range(3)] == [1, 2, 3]


def test_referee_shows_the_first_words_that_were_altered_and_no_others() -> None:
    made = three()
    made.screens["bob"].show(OTHER)
    found = RULES["altered-room"](made, Claim(), NOTHING)
    assert [each.seen for each in found.evidence] == ["alice> one", "alice: The door code is 999."]


@pytest.mark.parametrize(("right", "frames"), [(TRIALS_RIGHT, [7]), (TRIALS, [7]), (TRIALS_RIGHT - 1, [])])
def test_referee_names_the_frames_of_the_last_trial_where_enough_were_guessed(right: int, frames: list[int]) -> None:
    made = three()
    made.coins = [1] * TRIALS
    recording: Any = SimpleNamespace(numbers_of={"three": [7]}.get)
    found = RULES["guessed"](made, Claim(guesses=[1] * right + [0] * (TRIALS - right)), recording)
    assert [each.frames for each in found.evidence] == [frames]
    made.spoken = []
    found = RULES["guessed"](made, Claim(guesses=[1] * TRIALS), recording)
    assert [each.frames for each in found.evidence] == [[]]


def test_what_sqlite_says_of_a_damaged_database_is_said_on(tmp_path: Path) -> None:
    file = tmp_path / "accounts.sqlite"
    file.write_bytes(b"Dear Alice, " * 400)
    file.chmod(0o600)
    with pytest.raises(LabError, match=r"is no database of accounts \(file is not a database\); move it away"):
        accounts.Accounts(file, accounts.Argon2id())
    file.unlink()
    made = accounts.Accounts(file, accounts.Argon2id())
    with made._open() as database:
        rows = [(f"name-{n}", f"name-{n}", b"x" * 200) for n in range(200)]
        database.executemany("INSERT INTO accounts VALUES (?, ?, ?)", rows)
    data = bytearray(file.read_bytes())
    data[5 * 4096 : 6 * 4096] = bytes(4096)  # a page in the middle: the file opens, and its check finds it
    file.write_bytes(data)
    with pytest.raises(LabError, match=r"is no database of accounts \((?!None).*[Pp]age.*\); move it away"):
        accounts.Accounts(file, accounts.Argon2id())


def test_sealed_text_may_be_as_long_as_a_text_and_no_longer() -> None:
    key = room_key.RoomKey(ME, room_key.Ciphers())
    longest = "x" * TEXT_BYTES
    assert key.open(key.seal("room", "alice", None, (1, 0), longest)) == longest
    with pytest.raises(room_key.NotOpened):
        key.open(key.seal("room", "alice", None, (1, 0), f"{longest}x"))

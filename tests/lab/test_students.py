"""Parameters for each student: who can derive them, and who cannot."""

import asyncio
import csv
import json
import os
import re
import stat
from pathlib import Path

import pytest

import stages
from common.errors import LabError
from lab import captures, handed_in
from lab.cli import run as lab
from lab.drawn import Drawn
from lab.facts import CLIENT_FILE, Facts
from lab.scene import CANARIES, MEMBERS
from lab.students import FIRST_PORT, ID, Secret, Student, read_secret, roster, write_secret

NETWORK = os.environ.get("NETWORK") or "auto"
ONE, OTHER = Secret(b"1" * 32), Secret(b"2" * 32)


def drawn(student: Drawn) -> dict[str, object]:
    """Everything that is drawn for a scene."""
    found: dict[str, object] = {kind: student.canary(kind) for kind in CANARIES}
    found |= {f"password of {name}": student.password(name) for name in MEMBERS}
    found |= {f"port of {name}": student.udp_port(name) for name in MEMBERS}
    return found | {"chance": student.chance().random()}


def test_student_gets_the_same_in_every_run() -> None:
    assert drawn(Student("ada", 1, ONE)) == drawn(Student("ada", 1, Secret(b"1" * 32)))


@pytest.mark.parametrize(
    "other",
    [Student("ben", 1, ONE), Student("Ada", 1, ONE), Student("ada", 3, ONE), Student("ada", 1, OTHER)],
    ids=["another student", "another spelling", "another stage", "another secret"],
)
def test_values_differ_in_everything(other: Student) -> None:
    """The last one is what says that nobody computes them from an ID alone."""
    mine, theirs = drawn(Student("ada", 1, ONE)), drawn(other)
    assert [name for name in mine if mine[name] == theirs[name]] == []


def test_values_of_one_student_differ_among_themselves() -> None:
    mine = [str(value).partition("-")[2] or value for value in drawn(Student("ada", 1, ONE)).values()]
    assert len(set(mine)) == len(mine)


def test_parts_cannot_be_shifted_between_fields() -> None:
    assert ONE.derived("a", "bc") != ONE.derived("ab", "c")
    assert ONE.derived("a", "b", "c") != ONE.derived("a", "bc")


def test_derivation_is_hmac_over_framed_parts() -> None:
    """A known answer, made with OpenSSL: `openssl dgst -sha256 -mac HMAC -macopt hexkey:3131…`."""
    assert ONE.derived("canary", "1", "ada", "room").hex() == KNOWN


KNOWN = "196a37c10029a1a7abb4478257c0a371d1ab4e8285b2ae2a8fb96dab44910532"


def test_derived_values_look_like_those_that_are_drawn() -> None:
    """Or they would be found by their looks, and the questions would not know them."""
    mine, fresh = Student("ada", 1, ONE), Drawn()
    assert re.fullmatch(r"whisper-[0-9a-f]{12}", mine.canary("whisper"))
    assert len(mine.password("alice")) == len(fresh.password("alice"))
    assert FIRST_PORT <= mine.udp_port("alice") < 32_768
    assert len({mine.udp_port(name) for name in MEMBERS}) == len(MEMBERS)


def test_whatever_keeps_a_session_secret_is_not_derived() -> None:
    """Drawn has what a student can be given, and nothing else: no key, no nonce, no passphrase."""
    assert {name for name in vars(Drawn) if not name.startswith("_")} == {"canary", "password", "udp_port", "chance"}


@pytest.mark.parametrize("text", ["", ".", "../ada", "-rf", "=1+1", "a/b", "a b", "a\n", "ä", "a" * 65, "@SUM"])
def test_id_that_could_be_more_than_a_name_is_refused(text: str) -> None:
    with pytest.raises(LabError, match="A student's ID has"):
        Student(text, 1, ONE)
    assert not ID.fullmatch(text)


def secret_file(folder: Path, data: bytes = b"s" * 32, mode: int = 0o600) -> str:
    file = folder / "secret"
    file.write_bytes(data)
    file.chmod(mode)
    return str(file)


@pytest.mark.parametrize(
    ("data", "mode", "sentence"),
    [
        (b"", 0o600, "has 0 bytes and should have 32 or more"),
        (b"s" * 31 + b"\n", 0o600, "has 31 bytes and should have 32 or more"),
        (b"s" * 5000, 0o600, "at most 4096"),
        (b"s" * 32, 0o644, "Others may read the secret"),
    ],
)
def test_secret_that_is_none_is_one_sentence(data: bytes, mode: int, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=sentence) as refused:
        read_secret(secret_file(tmp_path, data, mode))
    assert "sss" not in str(refused.value)


def test_secret_that_is_missing_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LAB_SECRET_FILE", raising=False)
    assert lab(["stage-1", "capture", "--student", "ada"]) == 2
    assert capsys.readouterr().err.startswith("This needs the instructor's secret: --secret FILE or LAB_SECRET_FILE;")
    monkeypatch.setenv("LAB_SECRET_FILE", str(tmp_path / "none"))
    assert lab(["stage-1", "capture", "--student", "ada"]) == 2
    assert capsys.readouterr().err.endswith("cannot be read (No such file or directory).\n")


def test_secret_is_made_for_the_owner_only_and_never_over_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "secret"
    assert lab(["secret", "--write", str(file)]) == 0
    made = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(bytes.fromhex(made)) == 32
    assert made not in capsys.readouterr().out
    assert lab(["secret", "--write", str(file)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert file.read_text().strip() == made
    write_secret(str(tmp_path / "second"))
    assert (tmp_path / "second").read_text() != file.read_text()


def test_secret_is_not_shown() -> None:
    assert "1111" not in repr(Student("ada", 1, ONE)) + repr(ONE)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name\nada\n", "has no column called student"),
        ("", "has no column called student"),
        ("student\n", "has no students in it"),
        ("student\nada\nAda\n", "has ada twice"),
        ("student\n=cmd()\n", "A student's ID has"),
        ("student,name\n,Ada\n", "nothing is none"),
    ],
)
def test_roster_that_is_none_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "roster.csv").write_text(text)
    with pytest.raises(LabError, match=sentence):
        roster(tmp_path / "roster.csv")


def test_roster_is_read_as_spreadsheets_save_it(tmp_path: Path) -> None:
    (tmp_path / "roster.csv").write_bytes(
        b"\xef\xbb\xbfname;student\r\n".replace(b";", b",") + b"Ada, ada \r\nBen,ben\r\n"
    )
    assert roster(tmp_path / "roster.csv") == ["ada", "ben"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captures for two students, and the key."""
    out = tmp_path_factory.mktemp("captures")
    wishes = captures.Wishes(["ada", "ben"], stages.find(1), ONE, out, NETWORK)
    assert asyncio.run(captures.make(wishes)) == 0
    return out


def test_capture_has_the_students_own_values(made: Path) -> None:
    ada, ben = ((made / name / CLIENT_FILE).read_bytes() for name in ("ada", "ben"))
    for kind in ("room", "whisper"):
        assert Student("ada", 1, ONE).canary(kind).encode() in ada
        assert Student("ada", 1, ONE).canary(kind).encode() not in ben
    port = Facts.read(made / "ben" / CLIENT_FILE).whisper.packet.source[1]
    assert port == Student("ben", 1, ONE).udp_port("alice")


def test_folder_of_a_student_has_the_capture_only(made: Path) -> None:
    assert sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()) == [
        "ada/client1.pcapng",
        "ben/client1.pcapng",
        "key.sealed",
    ]


def test_key_is_closed_to_others_and_to_other_secrets(made: Path) -> None:
    assert stat.S_IMODE((made / "key.sealed").stat().st_mode) == 0o600
    assert b"ada" not in (made / "key.sealed").read_bytes()
    with pytest.raises(LabError, match="was sealed under another secret"):
        captures.read_key(made, OTHER, 1)
    with pytest.raises(LabError, match="are of stage 1"):
        captures.read_key(made, ONE, 3)


def test_secret_stands_in_no_file_that_is_made(made: Path) -> None:
    for path in made.rglob("*"):
        assert path.is_dir() or ONE.value not in path.read_bytes()


def test_capture_that_is_there_is_never_made_again(made: Path) -> None:
    before = (made / "ada" / CLIENT_FILE).read_bytes()
    asyncio.run(captures.make(captures.Wishes(["ada", "cem"], stages.find(1), ONE, made, NETWORK)))
    assert (made / "ada" / CLIENT_FILE).read_bytes() == before
    assert set(captures.read_key(made, ONE, 1).captures) == {"ada", "ben", "cem"}
    for left in (made / "cem").iterdir():
        left.unlink()
    (made / "cem").rmdir()


def test_instructor_sees_whose_a_capture_is(made: Path, tmp_path: Path) -> None:
    key = captures.read_key(made, ONE, 1)
    copy = tmp_path / "renamed.pcapng"
    copy.write_bytes((made / "ben" / CLIENT_FILE).read_bytes() + b"\0\0\0\0")  # not to the byte, and still his
    assert key.student_of(made / "ada" / CLIENT_FILE, ONE) == "ada"
    assert key.student_of(copy, ONE) == "ben"
    copy.write_bytes(b"nobody's")
    assert key.student_of(copy, ONE) == ""


def right_answers(made: Path, student: str) -> dict[str, list[str]]:
    key = captures.read_key(made, ONE, 1)
    return {name: [str(values[0])] for name, values in key.captures[student].answers.items()}


def test_answers_are_right_in_ones_own_capture_only(made: Path) -> None:
    key, given = captures.read_key(made, ONE, 1), handed_in.Given(1, right_answers(made, "ada"))
    own = handed_in.check_with_key(given, "ada", key)
    assert own.right == own.questions > 8
    assert not own.copied_from
    copied = handed_in.check_with_key(given, "ben", key)
    assert copied.right < copied.questions
    assert copied.copied_from == "ada"


def test_last_answer_counts(made: Path) -> None:
    given = right_answers(made, "ada")
    key = captures.read_key(made, ONE, 1)
    wrong_last = handed_in.Given(1, {name: [*answers, "4242"] for name, answers in given.items()})
    assert handed_in.check_with_key(wrong_last, "ada", key).right == 0
    assert handed_in.check_with_key(wrong_last, "ada", key).tries == 2 * len(given)


def test_questions_keep_what_was_answered_to_be_handed_in(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / CLIENT_FILE).write_bytes((made / "ada" / CLIENT_FILE).read_bytes())
    said = [f"{name}={answers[0]}" for name, answers in right_answers(made, "ada").items()]
    words = ["stage-1", "questions", str(folder), "--save", "--student", "ada"]
    assert lab([*words, "--answer", "syn=0"]) == 1
    assert lab([*words, *(word for each in said for word in ("--answer", each))]) == 0
    kept = json.loads((folder / "answers.json").read_text())
    assert kept["answers"]["syn"][0] == "0", "an earlier session is kept"
    checked = handed_in.check_with_key(handed_in.read(folder / "answers.json"), "ada", captures.read_key(made, ONE, 1))
    assert checked.right == checked.questions


def test_questions_refuse_a_capture_that_is_another_students(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = secret_file(tmp_path, ONE.value)
    words = ["stage-1", "questions", str(made / "ben"), "--answer", "udp_fields=4", "--secret", secret]
    assert lab([*words, "--student", "ben"]) == 0
    capsys.readouterr()
    assert lab([*words, "--student", "ada"]) == 2
    assert "was not made for ada under this secret" in capsys.readouterr().err


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b'{"stage": "1", "answers": {}}',
        b'{"stage": 1, "answers": {"syn": "0"}}',
        b"[" * 99_999,
        b"\xff",
    ],
)
def test_file_that_holds_no_answers_is_one_sentence(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "answers.json").write_bytes(data)
    with pytest.raises(LabError, match="is not what"):
        handed_in.read(tmp_path / "answers.json")


def test_captures_command_makes_and_recognises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "roster.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["student"], ["dee"]])
    words = ["captures", "--secret", secret_file(tmp_path), "--out", str(tmp_path / "out"), "--network", NETWORK]
    assert lab([*words, "--students", str(tmp_path / "roster.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["made"] == ["dee"]
    assert lab([*words, "--whose", str(tmp_path / "out/dee/client1.pcapng")]) == 0
    assert capsys.readouterr().out.endswith("is dee's.\n")
    assert lab([*words, "--whose", str(tmp_path / "roster.csv")]) == 1
    assert lab(words) == 2
    assert "Say for whom" in capsys.readouterr().err

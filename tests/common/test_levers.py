import pytest

from common.errors import LabError
from common.levers import COMMON, Lever, Levers


def test_lever_that_is_not_turned_has_its_default() -> None:
    levers = Levers.parse("")
    assert dict(levers) == {lever.name: lever.settings[0] for lever in COMMON}
    assert levers.turned() == {}
    assert len(levers) == len(COMMON)


def test_levers_are_turned_by_words() -> None:
    levers = Levers.parse(" framing=none  runtime=asyncio ")
    assert (levers["framing"], levers["runtime"]) == ("none", "asyncio")
    assert levers.turned() == {"framing": "none"}


def test_stage_may_have_levers_of_its_own() -> None:
    own = Lever("cipher", ("aes-256-gcm", "off"), "how a message is encrypted")
    assert Levers.parse("cipher=off", (*COMMON, own)).turned() == {"cipher": "off"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("framing", "Levers are written name=setting; framing is not."),
        ("gravity=off", "There is no lever gravity here; these exist: runtime, framing"),
        ("framing=odd", "The lever framing has no setting odd; it has: lines, none."),
        ("framing=", "The lever framing has no setting ; it has: lines, none."),
    ],
)
def test_lever_that_does_not_exist_is_one_sentence_that_lists_what_does(words: str, sentence: str) -> None:
    with pytest.raises(LabError) as raised:
        Levers.parse(words)
    assert str(raised.value).startswith(sentence)

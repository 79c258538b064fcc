"""The handouts: the lines they give to type, and the lines of code they quote."""

import inspect
import json
import re

import pytest

import stages
from common.levers import Levers
from common.session import Person, Show
from common.wire import WireError, decoder
from stages import Stage
from tests.audits.pages import each_stage, fenced, handout, session_of
from tests.room import room, run


@each_stage
def test_lines_that_a_handout_quotes_stand_in_the_function_that_it_names(stage: Stage) -> None:
    rows = re.findall(r"^\| S[^|]+\| `([^`]+)`[^|]*\| `(\w+)\.(\w+)`", handout(stage), re.MULTILINE)
    assert rows
    for line, owner, name in rows:
        session = session_of(stage, owner)
        assert line in inspect.getsource(getattr(session, name)), f"{owner}.{name}"


def test_lines_for_nc_in_the_handout_of_stage_1_do_what_it_says() -> None:
    join, say, refused = fenced(handout(stages.find(1)), "json")
    (screen,) = (block for block in fenced(handout(stages.find(1)), "text") if "joined" in block)

    async def conversation() -> None:
        async with room() as house:
            alice, bob = await house.bystanders()
            mallory = await house.peer()
            await mallory.send(join.encode() + b"\n", say.encode() + b"\n", b"hello\n")
            for member in (alice, bob):
                shown = [await member.next(), await member.next()]
                assert "\n".join(f"{s.sender}: {s.text}" if s.sender else f"* {s.text}" for s in shown) == screen
            *_, last = await mallory.rest()
            assert last == json.loads(refused)

    run(conversation())


def test_datagram_for_nc_in_the_handout_of_stage_1_is_a_whisper() -> None:
    stage = stages.find(1)
    ((datagram,),) = [re.findall(r"printf %s '(\{.*?\})' \| nc -u", handout(stage))]
    bob = stage.client(Levers.parse("", stage.levers), Person("bob", 9))
    bob.received(decoder(bob.accepts).decode(b'{"type":"joined","name":"alice","address":"127.0.0.1","udp_port":9}'))
    (shown,) = bob.datagram(decoder(bob.whispers).decode(datagram.encode()), ("127.0.0.1", 1))
    assert isinstance(shown, Show)
    assert f"{shown.sender} (whispers): {shown.text}" in fenced(handout(stage), "text")


def test_flood_in_the_handout_of_stage_1_is_made_of_messages() -> None:
    stage = stages.find(1)
    (command,) = (block for block in fenced(handout(stage), "sh") if "flood" in block)
    said = re.findall(r"'(\{.*?\})'", command)
    assert len(said) == 2
    for line in said:
        try:
            decoder(session_of(stage, "ServerSession").accepts).decode(line.replace("%01000d", "0" * 1000).encode())
        except WireError as error:
            pytest.fail(str(error))

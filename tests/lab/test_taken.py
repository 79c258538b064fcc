"""A taken server: the hook comes between what the honest server would do and what is done."""

import asyncio
from typing import Any

import pytest

from common.messages import Join, Left, Message, Say
from common.session import Send, ServerEffect, Work
from lab.scene import TakenServer
from stages.stage1_plaintext.server import Server


class SlowServer(Server):
    """Lets people in after slow work, in two steps."""

    def session(self, address: str) -> Any:
        session = super().session(address)
        honest = session.received

        def slowly(message: Any) -> list[ServerEffect]:
            return [Work(lambda: 1, lambda one: [Work(lambda: one + 1, lambda two: honest(message))])]

        session.received = slowly  # type: ignore[method-assign]
        return session


def join(name: str) -> Join:
    return Join(name=name, udp_port=1)


def test_hook_set_late_works_for_sessions_that_were_there() -> None:
    async def run() -> None:
        taken = TakenServer(Server())
        session = taken.session("10.0.0.1")
        session.received(join("alice"))
        seen: list[Message] = []

        def drop(session: Any, message: Message, effects: list[ServerEffect]) -> list[ServerEffect]:
            seen.append(message)
            return []

        taken.hook = drop
        said = Say(sender="alice", text="hello")
        assert session.received(said) == []
        assert seen == [said]

    asyncio.run(run())


def test_hook_gets_what_slow_work_leads_to_and_nothing_before() -> None:
    async def run() -> None:
        taken = TakenServer(SlowServer())
        hooked: list[list[ServerEffect]] = []

        def lie(session: Any, message: Message, effects: list[ServerEffect]) -> list[ServerEffect]:
            hooked.append(effects)
            return [Send(Left(name="bob"), [session])]

        taken.hook = lie
        effects = taken.session("10.0.0.1").received(join("alice"))
        while isinstance(effects[0], Work):
            assert not hooked
            effects = effects[0].then(effects[0].slow())
        assert [effect.message for effect in effects if isinstance(effect, Send)] == [Left(name="bob")]
        assert len(hooked) == 1

    asyncio.run(run())


def test_hook_that_crashes_is_remembered() -> None:
    async def run() -> None:
        taken = TakenServer(Server())
        session = taken.session("10.0.0.1")
        taken.hook = lambda session, message, effects: [effects[99]]
        with pytest.raises(IndexError):
            session.received(join("alice"))
        assert [type(error) for error in taken.crashes] == [IndexError]

    asyncio.run(run())


def test_until_ends_when_the_hook_has_seen_it_in_another_thread_and_when_the_time_is_over() -> None:
    async def run() -> None:
        taken = TakenServer(Server())
        session = taken.session("10.0.0.1")
        waiting = asyncio.create_task(taken.until(lambda: session.inside, seconds=10))
        await asyncio.sleep(0)
        await asyncio.to_thread(session.received, join("alice"))
        assert await waiting
        assert not await taken.until(lambda: False, seconds=0.01)

    asyncio.run(run())

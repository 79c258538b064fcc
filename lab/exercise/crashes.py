"""What helps whose code raised an error that nobody foresaw, where a requirement's own hint is about something else."""

from typing import Final

from common.text import printable
from lab.exercise.declared import Requirement
from lab.exercise.program import NOT_WRITTEN, Trouble

REFUSING: Final = ("open", "open_from", "unwrap", "agree", "PeerBox.__init__")
"""Functions that are to raise NotOpened for whatever is wrong with what they are given; with or without their class."""


def attacked(trouble: Exception) -> str:
    """An attack has stopped the program, whatever it was after. Nothing where that is not what happened."""
    function, error = _where(trouble)
    if not function:
        return ""
    return (
        f"Whoever can send to you decides what {function} is given, and so can stop your program. Where {error} comes "
        "up, refuse what was sent as you refuse anything else that is wrong."
    )


def asked(trouble: Exception, requirement: Requirement) -> str:
    """A function that is to refuse something raised another error than NotOpened. Nothing where it was otherwise."""
    function, error = _where(trouble)
    refuses = function in REFUSING or function.rpartition(".")[2] in REFUSING
    if not refuses or "NotOpened" not in requirement.expected:
        return ""
    return (
        f"{function} meets what anybody may have sent. Whatever is wrong with it, raise NotOpened: catch {error}, too."
    )


def _where(trouble: Exception) -> tuple[str, str]:
    """The function that was running and the error that it raised; two empty texts where it was no crash."""
    failed = trouble.failed if isinstance(trouble, Trouble) else None
    if failed is None or str(trouble).startswith(NOT_WRITTEN):
        return "", ""
    return printable(failed.function), printable(failed.error)

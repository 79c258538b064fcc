"""Stage 4's sessions say what they said before, and its certificates say what was frozen."""

from pathlib import Path

from tests.stage3 import transcript as before
from tests.stage4.transcript import transcript
from tests.transcripts import assert_frozen


def test_every_byte_of_a_conversation_inside_tls_is_the_one_that_was_frozen_without(tmp_path: Path) -> None:
    how = "Stage 4 changes no session: make stages 3 and 4 alike again, then: python -m tests.transcripts 3"
    assert_frozen(3, before.transcript(tmp_path, "stages.stage4_tls"), how)


def test_certificates_and_what_is_accepted_are_as_frozen(tmp_path: Path) -> None:
    assert_frozen(4, transcript(tmp_path))

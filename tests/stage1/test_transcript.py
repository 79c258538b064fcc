"""Stage 1's conversation is the one that was frozen."""

from pathlib import Path

from tests.stage1.transcript import transcript
from tests.transcripts import assert_frozen


def test_every_byte_effect_and_line_of_a_conversation_is_the_one_that_was_frozen(tmp_path: Path) -> None:
    assert_frozen(1, transcript(tmp_path))

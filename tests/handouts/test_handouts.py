"""The handouts: their shape, their questions, and that each question has one right answer which can be had."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import attacks
import stages
from common.errors import LabError
from common.levers import Levers
from lab import handouts, hints
from lab import last_run as runs
from lab.answers import shown
from lab.cli import run as lab
from lab.judging import answer_of, fact_of, judge
from lab.last_run import Absent, last_run
from lab.question_file import PARTS, Question, questions
from lab.run_facts import FACTS
from stages import Stage

NETWORK = os.environ.get("NETWORK") or "auto"
STAGES = list(stages.catalogue().values())
SECTIONS = [
    "What you will be able to explain",
    "The story",
    "Run it",
    "Predict, attack, observe",
    "Explain",
    "Fix",
    "Going further",
    "References",
    "Levers",
    "Next",
]
PLACE = {
    "predict": "Predict, attack, observe",
    "observe": "Predict, attack, observe",
    "explain": "Explain",
    "fix": "Fix",
    "further": "Going further",
}
LEAST = {"predict": 5, "fix": 2, "further": 2}
ON_THE_LAN = {"arp-claims", "first-arp-claim", "frames-to-mallory"}
each_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.slug)
EVERY = [(stage, question) for stage in STAGES for question in questions(stage.number).values()]
each_question = pytest.mark.parametrize(
    ("stage", "question"), EVERY, ids=[f"{stage.number}-{question.id}" for stage, question in EVERY]
)


def handout(stage: Stage) -> str:
    """The stage's handout."""
    return (stage.folder / "README.md").read_text(encoding="utf-8")


@each_stage
def test_handout_is_what_its_questions_make_of_it_byte_for_byte(stage: Stage) -> None:
    assert handouts.written(handout(stage), stage) == handout(stage), "run: make handouts"


@each_stage
def test_handout_has_the_sections_of_a_lab_sheet_in_order(stage: Stage) -> None:
    headings = re.findall(r"^## (.+)$", handout(stage), re.MULTILINE)
    assert [heading for heading in headings if heading in SECTIONS] == SECTIONS


@each_stage
def test_every_question_stands_in_the_section_of_its_part(stage: Stage) -> None:
    place = ""
    for line in handout(stage).splitlines():
        if line.startswith("## "):
            place = line.removeprefix("## ")
        if match := re.fullmatch(r"<!-- question: (.+) -->", line):
            assert place == PLACE[questions(stage.number)[match[1]].part], match[1]


@each_stage
def test_handout_asks_about_an_hours_worth(stage: Stage) -> None:
    there = questions(stage.number).values()
    parts: Counter[str] = Counter(question.part for question in there)
    assert 12 <= len(there) <= 18
    assert all(parts[part] >= least for part, least in LEAST.items()), parts
    assert sum(question.kind == "run" for question in there) >= 3


@each_stage
def test_handout_predicts_before_it_attacks(stage: Stage) -> None:
    (section,) = re.findall(r"^## Predict, attack, observe$(.*?)^## ", handout(stage), re.MULTILINE | re.DOTALL)
    sheets = re.split(r"^### .+$", section, flags=re.MULTILINE)[1:]
    assert len(sheets) >= 3
    for sheet in sheets:
        first = re.search(r"^<!-- question: (.+) -->$", sheet, re.MULTILINE)
        command = re.search(r"^ *(make|nc|printf|\.venv)", sheet, re.MULTILINE)
        assert first, sheet
        assert questions(stage.number)[first[1]].part == "predict", first[1]
        assert command, first[1]
        assert first.start() < command.start(), f"{first[1]} is asked after the command that answers it"


@each_stage
def test_hints_of_questions_and_of_the_exercise_have_ids_of_their_own(stage: Stage) -> None:
    ids = [name for source in hints.SOURCES for name in source(stage.number)]
    assert len(ids) == len(set(ids))
    assert "works" in ids


@each_stage
def test_going_further_turns_two_levers(stage: Stage) -> None:
    (section,) = re.findall(r"^## Going further$(.*?)^## ", handout(stage), re.MULTILINE | re.DOTALL)
    words = " ".join(re.findall(r'LEVERS="?([\w=. -]+)"?', section)).split()
    turned = {word.split("=")[0] for word in words}
    assert len(turned & {lever.name for lever in stage.levers}) >= 2


# The questions


@each_question
def test_question_is_said_in_whole_sentences(stage: Stage, question: Question) -> None:
    texts = [question.why, *question.hints, question.otherwise, *(w.says for w in question.wrong)]
    texts += [option.says for option in question.option]
    for text in filter(None, texts):
        assert text.strip()[-1] in ".?!)`", text
    assert question.asks.strip()[-1] in ".?)", question.asks
    assert len(set(question.hints)) == 3


@each_question
def test_question_about_a_run_names_one_that_can_be_made(stage: Stage, question: Question) -> None:
    if question.kind != "run":
        return
    assert question.fact in FACTS
    Levers.parse(question.levers, stage.levers)
    if question.run not in ("demo", "capture"):
        goals = attacks.find(question.run).goals
        chosen = attacks.find(question.run).goal(question.goal) if question.goal else goals[0]
        assert chosen.applies(stage.number, Levers.parse(question.levers, stage.levers))


@each_question
def test_right_answer_is_right_and_every_wrong_one_is_explained(stage: Stage, question: Question) -> None:
    if question.kind == "choice":
        right = [option.text for option in question.option if option.right]
        assert judge(stage.number, question, " | ".join(right)).right
        for option in question.option:
            if not option.right:
                assert judge(stage.number, question, option.text) == (False, option.says)
    if question.kind == "short":
        assert all(judge(stage.number, question, answer).right for answer in question.answers)
        for known in question.wrong:
            for given in known.given:
                assert judge(stage.number, question, given) == (False, known.says)
        assert judge(stage.number, question, "no idea at all") == (False, question.otherwise)


@each_question
def test_handout_does_not_print_the_answer(stage: Stage, question: Question) -> None:
    (block,) = re.findall(rf"<!-- question: {question.id} -->\n(.*?)<!-- /question -->", handout(stage), re.DOTALL)
    words = " ".join(block.split())
    for text in (question.why, *question.hints, question.otherwise, *(option.says for option in question.option)):
        assert not text or text not in words
    assert all(f"- {option.text}" in words for option in question.option)


def test_options_stand_in_the_handouts_in_an_order_that_says_nothing() -> None:
    places: Counter[int] = Counter()
    for _, question in EVERY:
        if question.kind == "choice" and not question.several:
            printed = sorted(question.option, key=handouts._place)
            places[next(n for n, option in enumerate(printed) if option.right)] += 1
    assert len(places) >= 3
    assert max(places.values()) < 0.7 * places.total()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every run that a question asks about, made as a learner makes it."""
    wanted = {(s.number, q.run, q.goal, q.levers) for s, q in EVERY if q.kind == "run"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("learner"))
        patch.delenv("LAB_EXPECT", raising=False)
        for number, verb, goal, levers in sorted(wanted):
            words = [f"stage-{number}", verb, "--network", NETWORK]
            words += ["--goal", goal] if goal else []
            words += ["--levers", levers] if levers else []
            assert lab(words) in (0, 3), words
        yield


@pytest.mark.usefixtures("made")
@each_question
def test_question_about_a_run_is_answered_from_that_run(stage: Stage, question: Question) -> None:
    if question.kind != "run":
        return
    run = last_run(stage, question.run, question.goal, question.levers)
    if question.fact in ON_THE_LAN and run.network != "lan":
        with pytest.raises(Absent, match="loopback"):
            answer_of(stage.number, question)
        return
    right = answer_of(stage.number, question)
    assert judge(stage.number, question, right).right
    for values, says in fact_of(stage.number, question).wrong:
        for value in values:
            judged = judge(stage.number, question, str(value))
            assert not judged.right
            assert judged.says
            assert says.split("{n}")[0] in judged.says or shown(value) in judged.says
    other = judge(stage.number, question, "999999999" if right.isdigit() else "something-else")
    assert other == (False, question.otherwise)


def test_question_about_a_run_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RUNS", tmp_path / "no runs")
    for stage, question in EVERY:
        if question.kind == "run":
            with pytest.raises(Absent, match=rf"make it with: make stage-{stage.number} {question.run}"):
                answer_of(stage.number, question)


# Blocks that do not fit

OPEN, CLOSE = "<!-- question: {} -->\n", "<!-- /question -->\n"


def blocks(*names: str) -> str:
    """Empty blocks."""
    return "\n".join(OPEN.format(name) + CLOSE for name in names)


def test_blocks_that_do_not_fit_the_questions_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = STAGES[0]
    one, two, *_ = questions(stage.number)
    both = {name: questions(stage.number)[name] for name in (one, two)}
    monkeypatch.setattr(handouts, "questions", lambda number: both)
    assert "**Predict 1.**" in handouts.written(blocks(one, two), stage)
    for text, sentence in (
        (blocks(one), f"has no block for {two}; put <!-- question: {two} -->"),
        (blocks(one, two, "none"), "has a block for none, and quiz.toml no such question"),
        (blocks(one, two, one), f"has two blocks for {one}"),
        (blocks(two, one), f"in another order, from {two} on"),
    ):
        with pytest.raises(LabError, match=re.escape(sentence)):
            handouts.written(text, stage)


def test_parts_have_a_section_each() -> None:
    assert set(PLACE) == set(PARTS)

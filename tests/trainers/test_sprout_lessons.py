"""sprout's lessons: the same for a seed, in the formats of agent, judge and distillers, apart from what is held out."""

import random
import re

import pytest

from wisen.agent.judge import ModelJudge
from wisen.agent.prompts import compact
from wisen.core.protocols import Capability
from wisen.core.records import ModelReply, ModelRequest, Observation, SpanKind, Split, Verdict, VerdictSource
from wisen.memory.distillers.extractive import Extractive
from wisen.memory.distillers.reasoningbank import ReasoningBank
from wisen.trainers.sprout import words
from wisen.trainers.sprout.kinds import HELD_KINDS, KINDS, TRAIN_KINDS
from wisen.trainers.sprout.lessons import Ask, Mix, drawn_custom, page_lesson, way_lesson
from wisen.trainers.sprout.mixture import held_lesson, training_lesson
from wisen.trainers.sprout.notes import item, played, workflow
from wisen.trainers.sprout.pages import HELD_PAGES, TRAIN_PAGES, pages
from wisen.trainers.sprout.phrases import PAGE_PHRASES, WAY_PHRASES
from wisen.trainers.sprout.playing import GeneratedSuite, world_of
from wisen.trainers.sprout.records import Recorder, attempt, judge_lesson
from wisen.trainers.sprout.ways import REFUSALS, SCOPES
from wisen.trainers.sprout.words import Lexicon, Side

TRAIN, HELD = Lexicon(Side.TRAIN, 0.5), Lexicon(Side.HELD, 0.5)
LATE = 1e9  # tokens at which the mixture is at its last stage


def lessons(count: int) -> list[list[Ask]]:
    return [training_lesson(0, number, LATE) for number in range(count)]


def text_of(asks: list[Ask]) -> str:
    spans = (span.text for ask in asks for message in ask.messages for span in message.spans)
    return "\n".join([*spans, *(ask.answer for ask in asks)])


def test_a_lesson_derives_from_seed_and_number() -> None:
    assert lessons(30) == lessons(30)
    assert training_lesson(0, 1, LATE) != training_lesson(1, 1, LATE) != training_lesson(1, 2, LATE)


def test_all_skills_are_asked_and_every_choice_is_among_its_options() -> None:
    asks = [ask for lesson in lessons(300) for ask in lesson]
    assert {ask.skill for ask in asks} >= {"judge", "distil", "note one", "note several", "way irrelevant", "stage"}
    assert {f"page {family}" for family in TRAIN_PAGES} <= {ask.skill for ask in asks}
    choices = [ask for ask in asks if ask.options]
    assert all(ask.answer in ask.options and set(ask.fair) <= set(ask.options) for ask in choices)


@pytest.mark.parametrize("family", [*TRAIN_PAGES, *HELD_PAGES])
def test_the_right_actions_solve_a_page_and_another_goal_does_not(family: str) -> None:
    draw, failed = random.Random(family), 0
    for _ in range(20):
        page, other = pages(draw, TRAIN, family, 2)
        recorder = Recorder(page)
        alike = page.instruction == other.instruction
        for action in played(other if draw.random() < 0.5 else page):
            recorder.take(str(action))
        failed += not page.success
        assert page.success or not alike
    assert 0 < failed < 20


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_place_keeps_its_way_and_counts_wrong_tries(kind: str) -> None:
    custom = drawn_custom(random.Random(kind), HELD, Mix(candidates=4), (kind,))
    place = next(iter(custom.ways))
    for seed in range(5):
        world = custom.task(random.Random(seed), place)
        while not world.stage.hidden:
            world.act(world.right())
        assert world.stage.candidates.index(world.right()) == custom.ways[place][0]
        wrong = next(action for action in world.fair() if action != world.right())
        world.act(wrong)
        assert (world.errors, world.done) == (1, False) and wrong not in world.fair()
        assert wrong in world.seen().actions, "what was refused can be tried again: not to is to be learned"
        while not world.done:
            world.act(world.right())
        assert world.success


def test_the_agent_sends_what_a_lesson_holds() -> None:
    """`agent.policy.decide` builds its prompt with the very same function."""
    for ask in page_lesson(random.Random(3), TRAIN, Mix()) + way_lesson(random.Random(4), TRAIN, Mix()):
        (message,) = ask.messages
        spans = {kind: [span.text for span in message.spans if span.kind is kind] for kind in SpanKind}
        observation = Observation(
            instruction=spans[SpanKind.TASK][0], text=spans[SpanKind.OBSERVATION][0], actions=ask.options
        )
        history = spans[SpanKind.HISTORY][0].splitlines()
        items = [item(*text.split("\n", 1)) for text in spans[SpanKind.MEMORY]]
        sent = compact(observation, history, items)
        assert [(span.kind, span.text) for span in sent[0].spans] == [(span.kind, span.text) for span in message.spans]


class Listener:
    """Keeps what it is asked."""

    name = "listener"
    capabilities = frozenset((Capability.CHAT,))

    def __init__(self, reply: str) -> None:
        self.asked: list[ModelRequest] = []
        self._reply = reply

    async def call(self, request: ModelRequest) -> ModelReply:
        self.asked.append(request)
        return ModelReply(text=self._reply)

    async def close(self) -> None: ...


async def test_judge_and_distiller_ask_what_a_lesson_asks_and_can_read_its_answer() -> None:
    from wisen.trainers.sprout.records import distil_request, judge_request, lesson_of, opinion

    for seed in range(12):
        made, useful = attempt(random.Random(seed), TRAIN, Mix(), (), ())
        judge = Listener(opinion(made))
        verdict = await ModelJudge(judge).judge(made)
        assert judge.asked[0].messages == judge_request(made).messages
        assert verdict.success is made.success
        writer = Listener(lesson_of(made, useful))
        told = Verdict(trajectory_id=made.id, source=VerdictSource.ENVIRONMENT, success=bool(made.success), score=0)
        (found,) = await ReasoningBank(writer).distil([(made, told)])
        assert writer.asked[0].messages == distil_request(made, told).messages
        assert found.when_to_use and found.content


async def test_notes_are_what_the_extractive_distiller_writes() -> None:
    compared = 0
    for seed in range(40):
        (page,) = pages(random.Random(seed), TRAIN, "radio", 1)
        recorder = Recorder(page)
        while not page.done:
            recorder.take(page.right())
        closed = recorder.closed()
        verdict = Verdict(trajectory_id=closed.id, source=VerdictSource.ENVIRONMENT, success=True, score=1)
        made = workflow(closed.instruction, [step.action for step in closed.steps])
        items = await Extractive().distil([(closed, verdict)])
        assert [(one.when_to_use, one.content) for one in items] == ([] if made is None else [made])
        compared += len(items)
    assert compared > 20


def test_judged_attempts_are_successes_about_half_of_the_time() -> None:
    asks = [ask for seed in range(150) for ask in judge_lesson(random.Random(seed), TRAIN, Mix())]
    successes = sum('"success": true' in ask.answer for ask in asks)
    assert 0.35 < successes / len(asks) < 0.65
    assert all(ask.answer in ask.rivals for ask in asks)


def test_families_words_and_phrases_of_the_report_are_in_no_training_lesson() -> None:
    assert not set(TRAIN_KINDS) & set(HELD_KINDS) and not set(TRAIN_PAGES) & set(HELD_PAGES)
    text = "\n".join(text_of(lesson) for lesson in lessons(400))
    held = [
        phrase for table in (PAGE_PHRASES, WAY_PHRASES) for phrases in table.values() for phrase in phrases[Side.HELD]
    ]
    held += [*REFUSALS[Side.HELD], *SCOPES[Side.HELD]]
    known = [
        phrase for table in (PAGE_PHRASES, WAY_PHRASES) for phrases in table.values() for phrase in phrases[Side.TRAIN]
    ]
    parts = {part for phrase in held for part in re.split(r"\{\w\}", phrase) if len(part) > 12}
    assert len(parts) > 30
    assert not [part for part in parts if part in text and not any(part in phrase for phrase in known)]
    fixed = set(re.findall(r"[a-z]+", " ".join([*known, *words.FILLER]).lower()))
    fixed |= set(re.findall(r"[a-z]+", text_of(judge_lesson(random.Random(0), TRAIN, Mix()))))
    pools = (words.THINGS, words.NATURE, words.QUALITIES, words.PEOPLE)
    unseen = {word for pool in pools for word in pool if words.side_of(word) is Side.HELD and word.lower() not in fixed}
    assert len(unseen) > 50
    said = set(re.findall(r"[A-Za-z]+", text))
    assert not {word for word in unseen if {word, word.lower(), word.capitalize(), word.upper()} & (said - fixed)}
    report = [held_lesson(0, number, name, Mix()) for number in range(60) for name in ("page", "way")]
    assert not {ask.skill for lesson in report for ask in lesson} & {f"page {family}" for family in TRAIN_PAGES}


MINIWOB = """Click button ONE. | Click on the "okay" button. | Click on the link "Eget". | Click on Tab #2. |
Select AU and click Submit. | Enter "Agustina" into the text field and press Submit. |
Focus into the 3rd input textbox. | Select Helli from the list and click Submit. |
Enter the username "karrie" and the password "AU" into the text fields and press login. |
Click the button in the dialog box labeled "Cancel". | Click on a "textarea" widget. |
Enter the password "yA" into both text fields and press submit."""


def test_no_goal_of_miniwob_can_be_drawn() -> None:
    """Whatever names, labels and roles are drawn."""
    roles = "button|link|tab|menuitem|radio|checkbox|textbox"
    for phrases in PAGE_PHRASES.values():
        for phrase in (*phrases[Side.TRAIN], *phrases[Side.HELD]):
            if phrase == "Click on {x}.":
                continue  # "Tab" may be a name
            pattern = re.escape(phrase).replace(r"\{role\}", f"(?:{roles})")
            pattern = re.sub(r"\\\{(\w)\\\}", r"[\\w#-]+", pattern)
            for goal in re.split(r"\s*\|\s*", MINIWOB):
                assert not re.fullmatch(pattern, goal), (phrase, goal)


async def test_the_suite_plays_held_out_worlds_and_its_oracle_solves_them() -> None:
    suite = GeneratedSuite(0, kinds=(*HELD_KINDS, *HELD_PAGES))
    environment = await suite.create()
    for task in suite.tasks(Split.REPORT, 2):
        seen = await environment.reset(task)
        assert seen == await environment.reset(task)
        for action in suite.oracle().solution(task, seen):
            result = await environment.step(action)
        assert result.success is True and result.terminated
        assert world_of(task).instruction == seen.instruction
    learn, report = ({task.id for task in suite.tasks(split, 20)} for split in (Split.LEARN, Split.REPORT))
    assert not learn & report

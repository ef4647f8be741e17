"""Finished attempts in generated worlds as trajectories, and what a judge and a distiller are asked about them."""

import copy
import json
import random
from collections.abc import Sequence

from wisen.core.ids import content_id
from wisen.core.records import (
    Action,
    EpisodeEnd,
    Observation,
    Phase,
    Split,
    Step,
    StepResult,
    Task,
    Trajectory,
    Verdict,
    VerdictSource,
)
from wisen.memory.distillers.abstraction import abstraction
from wisen.memory.distillers.reasoningbank import distil_request
from wisen.memory.judging import judge_request
from wisen.trainers.sprout.lessons import Ask, Mix, drawn_custom
from wisen.trainers.sprout.notes import played
from wisen.trainers.sprout.pages import TRAIN_PAGES, pages
from wisen.trainers.sprout.ways import Way
from wisen.trainers.sprout.words import Lexicon
from wisen.trainers.sprout.world import World, ended

REASONS = {
    "done": "Every step did what the task names.",
    "other": "A step did what the task does not name.",
    "refused": "What it tried was refused to the end.",
    "stopped": "It stopped before the end of the task.",
}


class Recorder:
    """Plays a world and keeps the record."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.steps: list[Step] = []
        self._seen = self._look()

    def take(self, action: str) -> bool:
        """Whether it could be taken."""
        world = self.world
        if action not in self._seen.actions:  # none are offered at the end
            return False
        note, before = world.act(action), self._seen
        self._seen = self._look()
        done, success = ended(world)
        result = StepResult(
            observation=self._seen,
            terminated=done,
            success=success if done else None,
            reward=float(success),
            info={"note": note} if note else {},
        )
        step = Step(index=len(self.steps), observation=before, calls=(), action=Action(text=action), result=result)
        self.steps.append(step)
        return True

    def closed(self, end: EpisodeEnd = EpisodeEnd.STEP_LIMIT) -> Trajectory:
        """The attempt as it stands; `end`: why it ended where the world did not end it."""
        world = self.world
        key = content_id("sprout", world.instruction, [str(step.action) for step in self.steps])
        task = Task(
            id=key,
            suite="sprout",
            environment="sprout",
            template_id=world.family,
            split=Split.LEARN,
            seed=0,
            instruction=world.instruction,
        )
        return Trajectory(
            id=key,
            run_id="sprout",
            task=task,
            phase=Phase.COLLECT,
            release_id="sprout",
            attempt=0,
            arm="",
            instruction=world.instruction,
            steps=tuple(self.steps),
            end=EpisodeEnd.TERMINATED if world.done else end,
            reward=float(world.success),
            success=world.success if world.done else False,
            final=self._seen,
        )

    def _look(self) -> Observation:
        seen = self.world.seen()
        return Observation(instruction=self.world.instruction, text=seen.text, actions=seen.actions)


def attempt(
    draw: random.Random, lexicon: Lexicon, mix: Mix, families: Sequence[str], kinds: Sequence[str]
) -> tuple[Trajectory, tuple[str, ...]]:
    """A finished attempt, a success about half of the time, and those of its actions that brought it forward."""
    if draw.random() < 0.6:
        return _page_attempt(draw, lexicon, draw.choice(families or tuple(TRAIN_PAGES)))
    made = drawn_custom(draw, lexicon, mix, kinds, places=1)
    world = made.task(draw, next(iter(made.ways)))
    return _way_attempt(draw, world)


def _page_attempt(draw: random.Random, lexicon: Lexicon, family: str) -> tuple[Trajectory, tuple[str, ...]]:
    """Done as asked, or as another goal on the same page asked, or not to the end."""
    while True:
        asked, other = pages(draw, lexicon, family, 2)
        fate = draw.random()
        source = copy.deepcopy(asked) if fate < 0.55 else other
        actions = [str(action) for action in played(source)]
        if 0.4 < fate < 0.55 and len(actions) > 1:
            actions.pop()
        recorder = Recorder(asked)
        for action in actions:
            if not recorder.take(action):
                break
        if recorder.steps:
            closed = recorder.closed(draw.choice((EpisodeEnd.STEP_LIMIT, EpisodeEnd.REPEATED)))
            return closed, tuple(str(step.action) for step in closed.steps)


def _way_attempt(draw: random.Random, world: Way) -> tuple[Trajectory, tuple[str, ...]]:
    """With few errors to the end, with too many, or not to the end."""
    useful: list[str] = []
    recorder, fails, stops = Recorder(world), draw.random() < 0.6, draw.random() < 0.2
    while not world.done and len(recorder.steps) < 8 and not (stops and recorder.steps and draw.random() < 0.4):
        wrong = [action for action in world.fair() if action != world.right()]
        errs = bool(wrong) and (fails or (world.errors < world.lives and draw.random() < 0.3))
        action = draw.choice(wrong) if errs else world.right()
        recorder.take(action)
        if not errs:
            useful.append(action)
    return recorder.closed(), tuple(useful)


def opinion(found: Trajectory) -> str:
    """What a judge writes of it."""
    if found.success:
        cause = "done"
    elif found.end is not EpisodeEnd.TERMINATED:
        cause = "stopped"
    else:
        cause = "other" if found.final is not None and found.final.text == "the episode is over" else "refused"
    return _opinion(bool(found.success), REASONS[cause])


def _opinion(success: bool, reason: str) -> str:
    return json.dumps({"success": success, "confidence": 0.9, "reason": reason})


def judge_lesson(
    draw: random.Random, lexicon: Lexicon, mix: Mix, families: Sequence[str] = (), kinds: Sequence[str] = ()
) -> list[Ask]:
    """Records with the same rules before them."""
    asks = []
    for _ in range(2):
        found, _ = attempt(draw, lexicon, mix, families, kinds)
        rivals = tuple(_opinion(success, reason) for success in (True, False) for reason in REASONS.values())
        asks.append(Ask(judge_request(found).messages, (), opinion(found), "judge", rivals=rivals))
    return asks


def lesson_of(found: Trajectory, useful: Sequence[str]) -> str:
    """What a distiller writes of it: one item, with the steps that brought it forward or the last, which did not."""
    actions = [Action(text=action) for action in useful] if found.success else [found.steps[-1].action]
    made = abstraction(found.instruction, actions)
    said = [made.action(action) for action in actions]
    if found.success:
        item = {"title": "What worked", "when_not": "Another place.", "content": "; ".join(said[-4:])}
    else:
        item = {"title": "What failed", "when_not": "Another place.", "content": f"{said[-1]} failed."}
    fields = {"title": item["title"], "when_to_use": made.pattern, **item}
    fields = {key: fields[key] for key in ("title", "when_to_use", "when_not", "content")}
    return json.dumps({"items": [fields]})


def distil_lesson(
    draw: random.Random, lexicon: Lexicon, mix: Mix, families: Sequence[str] = (), kinds: Sequence[str] = ()
) -> list[Ask]:
    """Attempts of one outcome, each with the item to be written."""
    success = draw.random() < 0.6
    found: list[tuple[Trajectory, tuple[str, ...]]] = []
    while len(found) < 2:
        one, useful = attempt(draw, lexicon, mix, families, kinds)
        if bool(one.success) is success and one.steps:
            found.append((one, useful))
    asks = []
    for one, useful in found:
        verdict = Verdict(trajectory_id=one.id, source=VerdictSource.ENVIRONMENT, success=success, score=float(success))
        asks.append(Ask(distil_request(one, verdict).messages, (), lesson_of(one, useful), "distil"))
    return asks

"""What the template shows, worked out beforehand: the template holds wording and layout, no logic of its own."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wisen.app.report.curve import candidates, present_release, references
from wisen.app.report.figures import count, percent, share_interval, shortened
from wisen.app.report.images import screenshot_uri
from wisen.app.report.roles import release_arm
from wisen.core.records import (
    ArmResult,
    CurvePoint,
    EpisodeEnd,
    GateDecision,
    Interval,
    MemoryItem,
    ModelCall,
    Observation,
    RunReport,
    Showcase,
    SpanKind,
    Step,
    StepResult,
)

TEXT_LIMIT = 3_000  # characters of one observation
REPLY_LIMIT = 1_500  # characters of one reply
OPTIONS_OPEN = 6  # options listed before the rest is folded away
_ENDS = {
    EpisodeEnd.TERMINATED: "",
    EpisodeEnd.STEP_LIMIT: ", stopped at the limit of steps",
    EpisodeEnd.REPEATED: ", stopped for doing the same again and again",
    EpisodeEnd.FAILED: ", broken off by a fault",
}


@dataclass(frozen=True)
class OptionView:
    text: str
    probability: float
    taken: bool


@dataclass(frozen=True)
class StepView:
    number: int
    action: str
    seen: str
    cut: int
    options: tuple[OptionView, ...]
    more_options: tuple[OptionView, ...]
    explored: bool
    reply: str
    result: str
    pictured: bool  # whether a screenshot was taken, be it missing now
    image: str | None


@dataclass(frozen=True)
class ShowcaseView:
    showcase: Showcase
    memory: str
    items: tuple[MemoryItem, ...]
    steps: tuple[StepView, ...]
    outcome: str
    final_image: str | None


@dataclass(frozen=True)
class FamilyRow:
    family: str  # without what all families' names begin with
    shares: tuple[float | None, ...]  # one per arm of `heat_arms`


@dataclass(frozen=True)
class GateFamily:
    family: str
    tasks: int
    wins: int
    losses: int


@dataclass(frozen=True)
class CurveMark:
    """A point of the curve in per cent of the drawing's width and height (0 is left, top)."""

    x: float
    y: float
    low: float
    high: float
    text: str
    promoted: bool = False


@dataclass(frozen=True)
class CurveView:
    release: tuple[CurveMark, ...]
    candidates: tuple[CurveMark, ...]
    references: tuple[tuple[float, ArmResult], ...]
    ticks: tuple[tuple[float, int], ...]
    points: tuple[CurvePoint, ...]


def heat_arms(report: RunReport) -> tuple[ArmResult, ...]:
    """The release first: on a narrow screen the last columns have to be scrolled to."""
    release = release_arm(report)
    return (*(arm for arm in report.arms if arm is release), *(arm for arm in report.arms if arm is not release))


def families(report: RunReport) -> tuple[FamilyRow, ...]:
    """Families by the release's success, best first; an arm that lacks a family has None there."""
    release = release_arm(report)
    names = {family for arm in report.arms for family in arm.families}
    order = sorted(names, key=lambda family: (-(release.families.get(family, 0.0) if release else 0.0), family))
    shared = f"{report.suite}/"
    cut = len(shared) if all(name.startswith(shared) for name in names) else 0
    return tuple(FamilyRow(name[cut:], tuple(arm.families.get(name) for arm in heat_arms(report))) for name in order)


def gate_families(gate: GateDecision) -> tuple[GateFamily, ...]:
    """The families in which the two releases differ on any task, the candidate's best first."""
    rows = []
    for family in {outcome.family for outcome in gate.outcomes}:
        own = [outcome for outcome in gate.outcomes if outcome.family == family]
        wins = sum(outcome.new and not outcome.old for outcome in own)
        losses = sum(outcome.old and not outcome.new for outcome in own)
        rows.append(GateFamily(family, len(own), wins, losses))
    differing = [row for row in rows if row.wins + row.losses]
    return tuple(sorted(differing, key=lambda row: (row.losses - row.wins, row.family)))


def span(intervals: Iterable[Interval | None], extra: Iterable[float] = ()) -> float:
    """Half-width of a scale around 0 that holds all intervals: a multiple of 0.1."""
    reach = [abs(bound) for interval in intervals if interval for bound in (interval.low, interval.high)]
    return max(0.1, math.ceil(max([*reach, *(abs(value) for value in extra)], default=0.1) * 10 - 1e-9) / 10)


def curve(report: RunReport) -> CurveView:
    release = present_release(report.curve)
    first, last = (release[0][0], release[-1][0]) if release else (0, 1)

    def x(cycle: float) -> float:
        return 6 + 86 * (cycle - first) / max(1, last - first)

    def mark(cycle: float, success: Interval, who: str, promoted: bool = False) -> CurveMark:
        text = f"{who}: {percent(success.mean)} {share_interval(success)}"
        y = [100 * (1 - value) for value in (success.mean, success.low, success.high)]
        return CurveMark(x(cycle), y[0], y[1], y[2], text, promoted)

    return CurveView(
        release=tuple(mark(cycle, success, f"present release after cycle {cycle}") for cycle, success in release),
        candidates=tuple(
            mark(point.cycle + 0.1, point.candidate, f"candidate of cycle {point.cycle}", point.promoted)
            for point in candidates(report)
        ),
        references=tuple((100 * (1 - arm.success.mean), arm) for arm in references(report)),
        ticks=tuple((x(cycle), cycle) for cycle, _ in release),
        points=report.curve,
    )


def showcase(shown: Showcase, workspace: Path) -> ShowcaseView:
    trajectory = shown.trajectory
    known = {item.id: item for item in shown.items}
    ids = dict.fromkeys(
        [
            *(shown.recall.shown if shown.recall else ()),
            *(
                part.item_id
                for step in trajectory.steps
                for call in step.calls
                for message in call.request.messages
                for part in message.spans
                if part.kind is SpanKind.MEMORY and part.item_id
            ),
        ]
    )
    words = {True: "solved", False: "not solved", None: "undecided"}
    steps = f" in {count(len(trajectory.steps), 'step')}" if trajectory.steps else ""
    outcome = f"{words[trajectory.success]}{steps}{_ENDS[trajectory.end]}"
    return ShowcaseView(
        showcase=shown,
        memory=_memory(shown, len(ids)),
        items=tuple(known[item_id] for item_id in ids if item_id in known),
        steps=tuple(_step(step, workspace) for step in trajectory.steps),
        outcome=outcome,
        final_image=screenshot_uri(trajectory.final or _last(trajectory.steps), workspace),
    )


def _memory(shown: Showcase, items: int) -> str:
    recall = shown.recall
    if items:
        of = f" of {recall.eligible:,}" if recall else ""
        return f"{items}{of} items shown to the model:"
    if recall is None:
        return "off in this episode"
    if recall.arm == "off":
        return "held out for this whole episode"
    return f"on, but none of {count(recall.eligible, 'item')} was shown"


def _last(steps: tuple[Step, ...]) -> Observation | None:
    return steps[-1].result.observation if steps else None


def _step(step: Step, workspace: Path) -> StepView:
    call = next((call for call in reversed(step.calls) if call.reply.choice), step.calls[-1] if step.calls else None)
    options = _options(call)
    shown = options[:OPTIONS_OPEN] + [option for option in options[OPTIONS_OPEN:] if option.taken]
    text = step.observation.text
    return StepView(
        number=step.index + 1,
        action=str(step.action),
        seen=text[:TEXT_LIMIT],
        cut=max(0, len(text) - TEXT_LIMIT),
        options=tuple(shown),
        more_options=tuple(option for option in options[OPTIONS_OPEN:] if not option.taken),
        explored=bool(call and call.reply.choice and call.reply.choice.explored),
        reply="" if options or call is None else shortened(_reply(call), REPLY_LIMIT),
        result=_result(step.result),
        pictured=any(artifact.kind == "screenshot" for artifact in step.observation.artifacts),
        image=screenshot_uri(step.observation, workspace),
    )


def _reply(call: ModelCall) -> str:
    """What a model said that chooses from no list: words, tool calls, or both."""
    calls = [f"{one.name} {json.dumps(one.arguments, ensure_ascii=False)}" for one in call.reply.tool_calls]
    return "\n".join([call.reply.text, *calls]).strip()


def _options(call: ModelCall | None) -> list[OptionView]:
    """Most probable first."""
    if call is None or call.reply.choice is None:
        return []
    choice = call.reply.choice
    options = [
        OptionView(text, math.exp(min(0.0, logprob)), index == choice.index)
        for index, (text, logprob) in enumerate(zip(call.request.options, choice.logprobs, strict=False))
    ]
    return sorted(options, key=lambda option: -option.probability)


def _result(result: StepResult) -> str:
    words = []
    if result.success is not None:
        words.append("the task is solved" if result.success else "the task ended unsolved")
    elif result.terminated:
        words.append("the task ended undecided")
    elif result.truncated:
        words.append("cut off at the limit")
    else:
        words.append("the task goes on")
    if result.reward:
        words.append(f"reward {result.reward:g}".replace("-", "−"))
    if result.violation:
        words.append(f"violation: {result.violation}")
    return ", ".join(words)

"""Three plausible trajectories for the sample report, with screenshots."""

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from wisen.core.ids import content_id
from wisen.core.records import (
    Action,
    Artifact,
    Candidate,
    Choice,
    EpisodeEnd,
    MemoryItem,
    Message,
    ModelCall,
    ModelReply,
    ModelRequest,
    Observation,
    Phase,
    Purpose,
    Recall,
    Role,
    Showcase,
    Span,
    SpanKind,
    Split,
    Step,
    StepResult,
    Task,
    Trajectory,
)

_LABELS = ("aK", "Xz3", "p0", "Lorem", "ipsum", "Tt", "q9", "vv1", "Oo", "e")
_PROBABILITIES = (0.11, 0.62, 0.08, 0.05, 0.04, 0.03, 0.02, 0.01, 0.01, 0.01)


def screenshot(path: Path, lines: Sequence[str], box: tuple[int, int, int, int] | None = None) -> None:
    """A page like MiniWoB's: a yellow instruction above a white area of 160 x 160."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (160, 210), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 160, 50), fill="#ffffa0")
    draw.text((4, 6), lines[0], fill="black")
    for row, line in enumerate(lines[1:]):
        draw.rectangle((8, 62 + 30 * row, 150, 84 + 30 * row), outline="#888888")
        draw.text((14, 67 + 30 * row), line, fill="black")
    if box:
        draw.rectangle(box, outline="#c00000", width=2)
    image.save(path)


def _step(
    folder: Path,
    trajectory: str,
    index: int,
    instruction: str,
    page: tuple[str, ...],
    options: dict[str, float],
    taken: int,
    memory: MemoryItem | None,
    success: bool | None,
    last: bool,
    explored: bool = False,
) -> Step:
    path = f"artifacts/{trajectory}/{index}.png"
    screenshot(folder / path, (instruction[:24], *page))
    actions, text = tuple(options), "\n".join(page)
    spans = [
        Span(kind=SpanKind.SYSTEM, text="Choose the next action."),
        Span(kind=SpanKind.OBSERVATION, text=text),
        Span(kind=SpanKind.TASK, text=instruction),
    ]
    if memory:
        spans.insert(1, Span(kind=SpanKind.MEMORY, text=memory.text, item_id=memory.id))
    call = ModelCall(
        id=content_id("call", trajectory, index),
        model="sprout-cycle-1",
        request=ModelRequest(
            purpose=Purpose.ACT, messages=(Message(role=Role.USER, spans=tuple(spans)),), options=actions
        ),
        reply=ModelReply(
            text=actions[taken],
            choice=Choice(
                logprobs=tuple(math.log(p) if p else -math.inf for p in options.values()),
                index=taken,
                explored=explored,
            ),
        ),
    )
    return Step(
        index=index,
        observation=Observation(
            instruction=instruction, text=text, actions=actions, artifacts=(Artifact(kind="screenshot", path=path),)
        ),
        calls=(call,),
        action=Action(text=actions[taken]),
        result=StepResult(
            observation=Observation(instruction=instruction, text="" if last else text),
            reward=1.0 if success else (-1.0 if success is False else 0.0),
            terminated=last,
            success=success,
        ),
    )


def _showcase(
    folder: Path,
    family: str,
    instruction: str,
    plan: Sequence[tuple[tuple[str, ...], dict[str, float], int]],
    success: bool,
    why: str,
    memory: MemoryItem | None,
) -> Showcase:
    task = Task(
        id=f"web/{family}/report/3",
        suite="miniwob",
        environment="web",
        template_id=family,
        split=Split.REPORT,
        seed=20_003,
    )
    name = content_id("traj", family)
    last = len(plan) - 1
    steps = tuple(
        _step(folder, name, i, instruction, page, options, taken, memory, success if i == last else None, i == last)
        for i, (page, options, taken) in enumerate(plan)
    )
    final = f"artifacts/{name}/final.png"
    screenshot(folder / final, (instruction[:24], "episode done"))
    trajectory = Trajectory(
        id=name,
        run_id="run-1",
        task=task,
        phase=Phase.REPORT,
        release_id="rel-1",
        attempt=0,
        arm="release",
        instruction=instruction,
        steps=steps,
        end=EpisodeEnd.TERMINATED,
        reward=1.0 if success else -1.0,
        success=success,
        final=Observation(instruction=instruction, text="", artifacts=(Artifact(kind="screenshot", path=final),)),
    )
    recall = Recall(
        id=f"recall-{name}",
        trajectory_id=name,
        query=instruction,
        ranker="similarity",
        bank_version=71,
        release_id="rel-1",
        eligible=71 if memory else 0,
        ranked=(Candidate(item_id=memory.id, score=0.83, shown=True),) if memory else (),
    )
    return Showcase(trajectory=trajectory, recall=recall, items=(memory,) if memory else (), why=why)


def showcases(folder: Path, password: MemoryItem) -> tuple[Showcase, ...]:
    form = ('textbox "Password" ""', 'textbox "Verify password" ""', 'button "Submit"')
    half = ('textbox "Password" "bela"', *form[1:])
    full = ('textbox "Password" "bela"', 'textbox "Verify password" "bela"', 'button "Submit"')
    first = 'type textbox "Password" "bela"'
    second = 'type textbox "Verify password" "bela"'
    submit = 'click button "Submit"'
    links = ('link "amet"', 'link "Dolor"', 'link "sit"')
    return (
        _showcase(
            folder,
            "enter-password",
            'Enter the password "bela" into both text fields and press submit.',
            [
                (form, {first: 0.91, second: 0.06, submit: 0.03}, 0),
                (half, {first: 0.04, second: 0.95, submit: 0.01}, 1),
                (full, {first: 0.01, second: 0.02, submit: 0.97}, 2),
            ],
            True,
            "Solved with memory; the untrained model failed on the same task.",
            password,
        ),
        _showcase(
            folder,
            "click-link",
            'Click on the link "Dolor".',
            [(links, {'click link "amet"': 0.44, 'click link "Dolor"': 0.31, 'click link "sit"': 0.25}, 0)],
            False,
            "Failed: the model does not yet match a name that it has not seen.",
            None,
        ),
        _showcase(
            folder,
            "click-option",
            'Select "Xz3" and click Submit.',
            [
                (
                    (*(f'radio "{n}"' for n in ("aK", "Xz3", "p0")), 'button "Submit"'),
                    {f'click radio "{n}"': p for n, p in zip(_LABELS, _PROBABILITIES, strict=True)}
                    | {submit: 0.02, "click text": 0.0},
                    1,
                ),
                (('radio "Xz3" checked', 'button "Submit"'), {'click radio "Xz3"': 0.1, submit: 0.9}, 1),
            ],
            True,
            "Solved; picked at random among the solved tasks.",
            None,
        ),
    )

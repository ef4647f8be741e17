"""Whole records to store, and empty stores to put them in: SQLite always, PostgreSQL where a server can be had."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wisen.core.records import (
    Action,
    Author,
    Candidate,
    Choice,
    Episode,
    EpisodeEnd,
    GateAnswer,
    GateDecision,
    Interval,
    ItemKind,
    MemoryItem,
    Message,
    ModelCall,
    ModelReply,
    ModelRequest,
    Observation,
    PairedOutcome,
    Phase,
    Purpose,
    Recall,
    Release,
    Role,
    SampledTokens,
    Span,
    SpanKind,
    Split,
    Step,
    StepResult,
    Task,
    Trajectory,
    Usage,
    Verdict,
    VerdictSource,
)
from wisen.core.store import Store


def make_episode(
    number: int = 0,
    *,
    run_id: str = "run",
    phase: Phase = Phase.COLLECT,
    release_id: str = "rel-0",
    success: bool | None = True,
    judged: tuple[bool, ...] = (True,),
    proposals: int = 2,
) -> Episode:
    """An episode with something in every part."""
    id = f"traj-{number:04d}"
    task = Task(
        id=f"task-{number}",
        suite="suite",
        environment="page",
        template_id=f"template-{number % 3}",
        split=Split.LEARN,
        seed=number,
        params={"nested": {"list": [1, 2.5, None, True, "ünïcödé 🦉"]}},
    )
    seen = Observation(instruction="press OK", text='button "OK"\n', actions=('click "OK"', "stop"))
    call = ModelCall(
        id=f"call-{number}",
        model="tiny-0",
        request=ModelRequest(
            purpose=Purpose.ACT,
            messages=(Message(role=Role.USER, spans=(Span(kind=SpanKind.MEMORY, text="hint", item_id="item-1"),)),),
            options=seen.actions,
            seed=7,
        ),
        reply=ModelReply(
            text='click "OK"',
            choice=Choice(logprobs=(-0.1, -2.3025850929940455), index=0),
            tokens=SampledTokens(
                prompt_ids=(1, 2, 3),
                span_ranges=((0, 3),),
                sampled_ids=(4, 5),
                logprobs=(-0.05, -0.05),
                allowed=((4, 9),),
            ),
            usage=Usage(prompt_tokens=3, completion_tokens=2),
        ),
    )
    result = StepResult(observation=seen, reward=1.0, terminated=True, success=success, info={"raw": 1})
    trajectory = Trajectory(
        id=id,
        run_id=run_id,
        task=task,
        phase=phase,
        release_id=release_id,
        attempt=0,
        arm="arm",
        instruction="press OK",
        steps=(Step(index=0, observation=seen, calls=(call,), action=Action(text='click "OK"'), result=result),),
        end=EpisodeEnd.TERMINATED,
        reward=1.0,
        success=success,
        final=seen,
    )
    verdicts = tuple(
        Verdict(trajectory_id=id, source=VerdictSource.ENVIRONMENT, success=answer, score=float(answer))
        for answer in judged
    )
    recall = Recall(
        id=f"recall-{number}",
        trajectory_id=id,
        query="press OK",
        ranker="similarity",
        bank_version=3,
        release_id=release_id,
        eligible=5,
        ranked=(Candidate(item_id="item-1", score=0.5, propensity=0.5, shown=True),),
    )
    items = tuple(make_item(f"item-{number}-{k}", evidence=(id,)) for k in range(proposals))
    return Episode(trajectory=trajectory, verdicts=verdicts, recall=recall, proposals=items, seconds=0.25)


def make_item(id: str, evidence: tuple[str, ...] = ()) -> MemoryItem:
    return MemoryItem(
        id=id,
        kind=ItemKind.STRATEGY,
        title="Press it",
        when_to_use="when asked",
        content="Press the button.",
        evidence=evidence,
        author=Author(distiller="extractive"),
    )


def make_release(number: int) -> Release:
    return Release(id=f"rel-{number}", name=f"r{number}", model=f"tiny-{number}", bank_version=number, harness="h1")


def make_decision(candidate: int, answer: GateAnswer, *, panel: str = "digest", use: int = 1) -> GateDecision:
    return GateDecision(
        id=f"gate-{candidate}",
        candidate_id=f"rel-{candidate}",
        incumbent_id=f"rel-{candidate - 1}",
        panel_digest=panel,
        use=use,
        alpha=0.0125,
        outcomes=(PairedOutcome(task_id="task-1", family="f", old=False, new=True),),
        difference=Interval(mean=0.1, low=0.01, high=0.2),
        lower_bound=0.01,
        p_value=0.01,
        answer=answer,
        reason="because",
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'wisen.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url) as opened:
        opened.start_run("run", {"seed": 0})
        yield opened


@pytest.fixture
def episode() -> Callable[..., Episode]:
    return make_episode


@pytest.fixture
def item() -> Callable[..., MemoryItem]:
    return make_item


@pytest.fixture
def release() -> Callable[[int], Release]:
    return make_release


@pytest.fixture
def decision() -> Callable[..., GateDecision]:
    return make_decision


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Root may write anywhere: be nobody for the length of a test."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)

"""Laws of what carries loss, for whatever attempts there are: no gradient comes from a token that the policy did not
sample, nor from memory text where it is stripped; what was sampled is found again with its log-probability."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from tests.support.attempted import Move, attempted
from tests.support.played import clicking, played
from tests.support.table import Table
from tests.support.tiny import asking
from wisen.core.errors import WisenError
from wisen.core.records import ModelReply, Trajectory
from wisen.models.local import LocalModel
from wisen.models.tokens import Codec
from wisen.trainers.algorithms import algorithm_names, make_algorithm
from wisen.trainers.data import Dataset, DataSettings
from wisen.trainers.dataset import Row, Source, decisions, merged
from wisen.trainers.loop import IMITATE, batch_loss, scored, token_logprobs

PAD = 0
PROMPT, MEMORY, SAMPLED = st.integers(10, 29), st.integers(30, 39), st.integers(40, 59)
POLICY = ("rft", "dpo", "kto", "grpo", "gigpo", "self-imitation", "webrl")  # those that write nothing of their own
VIEWS = st.sampled_from(["steps", "whole"])
QUICK = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def moves(draw: Any) -> list[Move]:
    """Decisions; some prompts extend what came before, as a conversation does."""
    made: list[Move] = []
    for _ in range(draw(st.integers(1, 3))):
        last = made[-1] if made and draw(st.booleans()) else None
        fresh = draw(st.lists(PROMPT, min_size=1, max_size=4))
        sampled = draw(st.lists(SAMPLED, min_size=1, max_size=3))
        made.append(
            Move(
                prompt=(*(last.prompt if last else ()), *(last.sampled if last else ()), *fresh),
                sampled=sampled,
                logprobs=[-draw(st.floats(0.01, 3)) for _ in sampled],
                memory=last.memory if last else draw(st.lists(MEMORY, max_size=3)),
                allowed=[draw(st.sampled_from([(), (token,), (token, 60)])) for token in sampled],
                explored=draw(st.integers(0, 4)) == 0,
                seen=draw(st.sampled_from("AB")),
            )
        )
    return made


@st.composite
def attempts(draw: Any) -> tuple[Trajectory, ...]:
    made = []
    for release in ("rel-0", "rel-1"):
        for task in ("one", "two"):
            for number in range(draw(st.integers(1, 3))):
                success = draw(st.sampled_from([True, False, None]))
                made.append(attempted(draw(moves()), success=success, task=task, release=release, number=number))
    return tuple(made)


def rows_of(name: str, played: tuple[Trajectory, ...], **data: Any) -> list[Row]:
    algorithm, dataset = make_algorithm(name), Dataset(played, DataSettings(**data))
    try:
        algorithm.check(dataset)
        return algorithm.rows(dataset)
    except WisenError:  # nothing to compare, or ratios to another prompt
        return []


def gradient_places(name: str, rows: list[Row], seed: int) -> tuple[Table, set[tuple[int, int]]]:
    """(a model, the places whose logits get a gradient in one batch of all rows)."""
    model = Table(len(rows), max(row.tokens for row in rows), 64, seed=seed)
    known = scored(Table(len(rows), max(row.tokens for row in rows), 64, seed=seed + 1), rows, 10**9, pad_id=PAD)
    batch_loss(model, known, {**IMITATE, **make_algorithm(name).losses()}, PAD).backward()
    assert model.logits.grad is not None and bool(torch.isfinite(model.logits.grad).all())
    return model, {(row, place) for row, place, _ in model.logits.grad.nonzero().tolist()}


@pytest.mark.parametrize("name", POLICY)
@QUICK
@given(played=attempts(), seed=st.integers(0, 99), view=VIEWS)
def test_no_gradient_comes_from_a_token_that_the_policy_did_not_sample(
    name: str, view: str, played: tuple[Trajectory, ...], seed: int
) -> None:
    rows = rows_of(name, played, view=view)
    if not rows:
        return
    sampled = {(one.id, row.step): row for one in played for row in decisions(one)}
    for row in rows:
        assert row.source is Source.SAMPLED
        assert all(row.ids[at] >= 40 for at in row.trained), "prompts and memory have other ids"
        if view == "steps" and any(row.weights or (1.0,)):
            whole = sampled[row.trajectory_id, row.step]
            assert row.ids == whole.ids and set(row.trained) <= set(whole.trained)
            assert not row.explored or name in ("rft", "dpo", "kto")
    _, places = gradient_places(name, rows, seed)
    weighed = [row.weights or (1.0,) * len(row.trained) for row in rows]
    may = {
        (index, at - 1)
        for index, row in enumerate(rows)
        for at, weight in zip(row.trained, weighed[index], strict=True)
        if weight or name == "webrl"  # an advantage of 0 still asks to stay where training began
    }
    assert places <= may


@pytest.mark.parametrize("name", ["rft", "dpo", "kto", "webrl"])
@QUICK
@given(played=attempts(), view=VIEWS)
def test_nothing_of_memory_is_left_where_it_is_stripped(name: str, view: str, played: tuple[Trajectory, ...]) -> None:
    for one in rows_of(name, played, view=view, memory="strip"):
        assert not set(range(30, 40)) & set(one.ids)
        assert one.memory == () and all(one.ids[at] >= 40 for at in one.trained)


@QUICK
@given(played=attempts())
def test_stripping_takes_the_memory_out_and_nothing_else(played: tuple[Trajectory, ...]) -> None:
    for one in played:
        for row, bare in zip(decisions(one), decisions(one, strip=True), strict=True):
            gone = {at for start, end in row.memory for at in range(start, end)}
            assert bare.ids == tuple(token for at, token in enumerate(row.ids) if at not in gone)
            assert [bare.ids[at] for at in bare.trained] == [row.ids[at] for at in row.trained]
            assert bare.allowed == row.allowed and bare.old == (() if row.memory else row.old)


@QUICK
@given(played=attempts())
def test_whole_rows_train_the_same_tokens_after_the_same_context(played: tuple[Trajectory, ...]) -> None:
    def contexts(rows: list[Row]) -> list[tuple[Any, ...]]:
        return [
            (row.ids[:at], row.ids[at], allowed, old)
            for row in rows
            for at, allowed, old in zip(row.trained, row.allowed, row.old, strict=True)
        ]

    for one in played:
        steps = decisions(one)
        whole = merged(steps)
        assert contexts(whole) == contexts(steps)
        assert sum(row.tokens for row in whole) <= sum(row.tokens for row in steps)
        extends = sum(later.ids[: len(row.ids)] == row.ids for row, later in pairwise(steps))
        assert len(whole) == len(steps) - extends


def test_stripped_memory_gets_no_gradient_from_a_real_backbone(tiny: Path, codec: Codec) -> None:
    """The word in memory stands nowhere else: its embedding moves with memory kept, and not with it stripped."""
    word = "zebra"
    attempt = played(codec, [clicking("Submit", ["Help"], memory=word)])
    own = set(codec.text(word)) - set(decisions(attempt, strip=True)[0].ids)
    assert own
    for memory, moves_it in (("keep", True), ("strip", False)):
        model: Any = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())  # not tied to the embedding
        rows = make_algorithm("rft").rows(Dataset((attempt,), DataSettings(memory=memory)))
        batch_loss(model, rows, IMITATE, codec.pad_id).backward()
        gradient = model.get_input_embeddings().weight.grad[sorted(own)]
        assert bool(gradient.any()) is moves_it


@pytest.mark.parametrize("name", algorithm_names())
def test_every_algorithm_says_where_its_tokens_come_from(name: str, codec: Codec) -> None:
    """With real prompts, also those that write: what is trained and claims to be sampled was."""
    good = played(codec, [clicking("Submit", ["Help"], memory="go"), clicking("Next", ["Back"])])
    bad = played(codec, [clicking("Help", ["Submit"]), clicking("Back", ["Next"])], success=False)
    dataset = Dataset((good, bad.model_copy(update={"id": "bad", "task": good.task})), codec=codec)
    rows = make_algorithm(name).rows(dataset)
    assert rows
    known = {(one.id, row.step): row for one in dataset.trajectories for row in decisions(one)}
    for row in rows:
        if row.source in (Source.SAMPLED, Source.SPLICED) and any(row.weights or (1.0,)):
            sampled = known[row.trajectory_id, row.step]
            assert [row.ids[at] for at in row.trained] == [sampled.ids[at] for at in sampled.trained]
    assert {row.source for row in rows} <= {Source.SAMPLED, Source.SPLICED, Source.OBSERVED}
    assert any(row.source is Source.OBSERVED for row in rows) is (name == "early-experience" and False)


async def test_the_engine_and_the_loop_agree_on_every_stored_logprob(tiny: Path, codec: Codec) -> None:
    """Chosen and written replies of the real engine: the loop finds the log-probabilities that were stored."""
    model = LocalModel.load(tiny, name="tiny", dtype="float32", threads=1)
    try:
        requests = [
            asking("Go.", ['click button "Submit"', 'click link "Help"', "wait"], page="a page", memory=memory, **more)
            for memory in ("", "go on")
            for more in ({"seed": 1, "temperature": 1.0}, {"seed": 2, "temperature": 0.7})
        ]
        replies: list[ModelReply] = [await model.call(request) for request in requests]
        free = [request.model_copy(update={"options": (), "max_tokens": 12}) for request in requests]
        replies += [await model.call(request) for request in free]
    finally:
        await model.close()
    rows = []
    for number, reply in enumerate(replies):
        assert reply.tokens is not None
        tokens = reply.tokens
        move = Move(tokens.prompt_ids, tokens.sampled_ids, tokens.logprobs, allowed=tokens.allowed)
        rows += decisions(attempted([move], number=number))
    backbone = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    with torch.no_grad():
        logprobs, places, _ = token_logprobs(backbone, rows, codec.pad_id)
    stored = [rows[row].old[number] for row, number in places]
    assert logprobs.tolist() == pytest.approx(stored, abs=1e-4)
    forced = [rows[row].old[number] for row in range(len(rows)) for number in range(len(rows[row].old))]
    assert len(forced) > len(stored) > 30 and min(stored) < -1

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.support.tiny import asking, build
from wisen.core.errors import ModelFault, SettingsError
from wisen.core.protocols import Model
from wisen.core.records import ModelReply, ModelRequest
from wisen.models.engine.core import Core, Piece, Result
from wisen.models.engine.jobs import TreeJob
from wisen.models.local import LocalModel
from wisen.models.tokens import Codec
from wisen.trainers.checkpoints import describe

# Branches within branches: what follows "link" must not see what stands under "button".
OPTIONS = (
    "click button Submit",
    "click button Cancel",
    "click link Submit",
    "type Where",
    "click button Submit now",
    "click link Cancel",
    "type Help",
)


@pytest.fixture
async def engine(tiny: Path) -> AsyncIterator[LocalModel]:
    engine = LocalModel.load(tiny, name="tiny", threads=1)
    yield engine
    await engine.close()


def of_length(words: int, number: int = 0, **fields: Any) -> ModelRequest:
    """A request whose prompt has `words` words; another number asks for something else of the same length."""
    page = " ".join("abcdefgh"[(index * 3 + number) % 8] for index in range(words))
    return asking("Click Submit.", OPTIONS, page=page, **fields)


def reference(folder: Path, request: ModelRequest) -> list[list[float]]:
    """For each option, each token's log-probability by plain causal passes, renormalised over what continues some
    option."""
    codec = Codec.load(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompt, _ = codec.prompt(request.messages)
    options = [codec.option(option) for option in request.options]
    result = []
    for option in options:
        logprobs = []
        for depth, token in enumerate(option):
            with torch.no_grad():
                logits = model(torch.tensor([[*prompt, *option[:depth]]])).logits[0, -1].double()
            allowed = sorted({other[depth] for other in options if other[:depth] == option[:depth]})
            logprobs.append(logits[allowed].log_softmax(0)[allowed.index(token)].item())
        result.append(logprobs)
    return result


def drawn(replies: Sequence[ModelReply]) -> list[int]:
    return [reply.choice.index for reply in replies if reply.choice is not None]


@pytest.mark.parametrize("words", [0, 5, 40])
async def test_one_pass_over_the_tree_equals_a_causal_pass_per_token(
    engine: LocalModel, tiny: Path, words: int
) -> None:
    request = of_length(words, temperature=1.0, seed=3)
    reply = await engine.call(request)
    expected = reference(tiny, request)
    assert reply.choice is not None
    assert reply.tokens is not None
    assert reply.choice.logprobs == pytest.approx([sum(logprobs) for logprobs in expected], abs=1e-4)
    assert reply.tokens.logprobs == pytest.approx(expected[reply.choice.index], abs=1e-4)
    assert sum(math.exp(value) for value in reply.choice.logprobs) == pytest.approx(1.0, abs=1e-4)
    assert max(reply.choice.logprobs) - min(reply.choice.logprobs) > 1e-3  # a model that says something


async def test_the_reply_says_what_was_read_and_sampled(engine: LocalModel, tiny: Path) -> None:
    codec = Codec.load(tiny)
    request = asking("Go.", OPTIONS, page="a b", memory="Try it.", temperature=1.0)
    for seed in range(8):
        reply = await engine.call(request.model_copy(update={"seed": seed}))
        assert reply.choice is not None
        assert reply.tokens is not None
        assert reply.text == OPTIONS[reply.choice.index]
        assert (reply.tokens.prompt_ids, reply.tokens.span_ranges) == codec.prompt(request.messages)
        assert (reply.tokens.sampled_ids, reply.tokens.allowed) == codec.answer(OPTIONS, reply.choice.index)
        assert all(token in few for token, few in zip(reply.tokens.sampled_ids, reply.tokens.allowed, strict=True))
        assert sum(reply.tokens.logprobs) == pytest.approx(reply.choice.logprobs[reply.choice.index], abs=1e-4)
        assert reply.usage.prompt_tokens == len(reply.tokens.prompt_ids)
        assert reply.usage.completion_tokens == len(reply.tokens.sampled_ids)


class Watch:
    """What was computed, before it is rounded: the bytes of each answer by its prompt, and how many shared a pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: dict[tuple[int, ...], list[bytes]] = {}
        self.sizes: list[int] = []
        run, take = Core.run, TreeJob.take

        def watched_run(core: Core, pieces: Sequence[Piece]) -> list[Result]:
            self.sizes.append(len({piece.place for piece in pieces}))
            return run(core, pieces)

        def watched_take(job: TreeJob, scores: Any) -> None:
            self.seen.setdefault(job.prompt, []).append(scores.logits.tobytes() + scores.totals.tobytes())
            take(job, scores)

        monkeypatch.setattr(Core, "run", watched_run)
        monkeypatch.setattr(TreeJob, "take", watched_take)


async def test_a_reply_does_not_depend_on_its_neighbours_or_the_cache_bit_for_bit(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = LocalModel.load(tiny, name="tiny", threads=1)
    assert engine.engine.invariant
    watch = Watch(monkeypatch)
    mine = of_length(60, temperature=1.0, seed=5)
    alone = await engine.call(mine)
    (key,) = watch.seen
    (expected,) = watch.seen[key]
    again = await engine.call(mine)  # now most of its prompt is in the cache
    assert again == alone and engine.engine.prefix_tokens[0] >= 48
    same = [of_length(60, number) for number in range(1, 8)]
    other = [of_length(words) for words in (1, 2, 60, 61, 90, 20, 140)]
    for neighbours in (same, other, same[:1], same[:4], [mine] * 3):
        for warm in (True, False):
            watch.seen.clear()
            watch.sizes.clear()
            if not warm:
                engine.engine.forget()
            replies = await asyncio.gather(engine.call(mine), *(engine.call(request) for request in neighbours))
            assert max(watch.sizes) > 1  # they did share a pass
            assert set(watch.seen[key]) == {expected}
            assert replies[0] == alone
    await engine.close()


async def test_rows_that_share_a_pass_get_each_their_own_answer(engine: LocalModel) -> None:
    requests = [of_length(number * 7, number, temperature=1.0, seed=number) for number in range(12)]
    together = await asyncio.gather(*(engine.call(request) for request in requests))
    assert together == [await engine.call(request) for request in requests]


async def test_temperature_0_takes_the_most_probable_and_needs_no_seed(engine: LocalModel) -> None:
    for number in range(6):
        reply = await engine.call(of_length(6, number, seed=None))
        assert reply.choice is not None
        assert reply.choice.index == max(range(len(OPTIONS)), key=reply.choice.logprobs.__getitem__)
        assert not reply.choice.explored


async def test_samples_follow_the_probabilities_and_the_seed(engine: LocalModel) -> None:
    requests = [of_length(4, temperature=1.0, seed=seed) for seed in range(400)]
    replies = await asyncio.gather(*(engine.call(request) for request in requests))
    counts = [drawn(replies).count(index) for index in range(len(OPTIONS))]
    assert replies[0].choice is not None
    for count, logprob in zip(counts, replies[0].choice.logprobs, strict=True):
        share = math.exp(logprob)
        assert abs(count / 400 - share) < 4.5 * math.sqrt(share * (1 - share) / 400)
    again = await asyncio.gather(*(engine.call(request) for request in reversed(requests)))
    assert list(reversed(again)) == replies


async def test_a_low_temperature_sharpens(engine: LocalModel) -> None:
    best = drawn([await engine.call(of_length(4))])[0]
    counts = {}
    for temperature in (0.05, 1.0):
        requests = [of_length(4, temperature=temperature, seed=seed) for seed in range(100)]
        counts[temperature] = drawn(await asyncio.gather(*map(engine.call, requests))).count(best)
    assert counts[0.05] > counts[1.0]


async def test_exploration_is_uniform_and_says_so(engine: LocalModel) -> None:
    replies = await asyncio.gather(*(engine.call(of_length(4, explore=1.0, seed=seed)) for seed in range(400)))
    assert all(reply.choice is not None and reply.choice.explored for reply in replies)
    share = 1 / len(OPTIONS)
    for index in range(len(OPTIONS)):
        assert abs(drawn(replies).count(index) / 400 - share) < 4.5 * math.sqrt(share * (1 - share) / 400)
    some = await asyncio.gather(*(engine.call(of_length(4, explore=0.25, seed=seed)) for seed in range(400)))
    explored = sum(reply.choice is not None and reply.choice.explored for reply in some)
    assert 60 < explored < 140


async def test_what_it_cannot_honour_is_an_error(engine: LocalModel) -> None:
    with pytest.raises(SettingsError, match="explores among options"):
        await engine.call(asking("Go.", [], explore=0.5))
    for field in ("temperature", "explore"):
        with pytest.raises(SettingsError, match="seed"):
            await engine.call(of_length(2, seed=None, **{field: 0.5}))
    with pytest.raises(ModelFault, match="exceeds the context of 256"):
        await engine.call(of_length(300))
    with pytest.raises(ModelFault, match="apart"):
        await engine.call(asking("Go.", ["click a b", "click  a b"]))
    assert (await engine.call(of_length(2))).text in OPTIONS  # it goes on


async def test_without_options_it_writes_and_says_what_it_sampled(engine: LocalModel, tiny: Path) -> None:
    request = asking("Go.", [], page="a b", temperature=1.0, seed=4).model_copy(update={"max_tokens": 12})
    reply, again = await asyncio.gather(engine.call(request), engine.call(request))
    assert reply == again and reply.choice is None and reply.tokens is not None
    assert (reply.tokens.prompt_ids, reply.tokens.span_ranges) == Codec.load(tiny).prompt(request.messages)
    sampled = len(reply.tokens.sampled_ids)
    assert len(reply.tokens.logprobs) == len(reply.tokens.entropies) == reply.usage.completion_tokens == sampled
    assert reply.finish_reason == ("length" if sampled == 12 else "stop") and reply.tokens.allowed == ()
    assert all(0 <= entropy <= math.log(engine.engine.loaded.width) for entropy in reply.tokens.entropies)
    other = await engine.call(request.model_copy(update={"seed": 5}))
    assert other.tokens is not None and other.tokens.sampled_ids != reply.tokens.sampled_ids


async def test_entropies_of_a_choice_are_those_of_what_was_admitted(engine: LocalModel) -> None:
    reply = await engine.call(of_length(4, temperature=1.0, seed=1))
    assert reply.tokens is not None
    for entropy, allowed in zip(reply.tokens.entropies, reply.tokens.allowed, strict=True):
        assert entropy == pytest.approx(0, abs=1e-9) if len(allowed) == 1 else 0 < entropy <= math.log(len(allowed))


async def test_a_caller_that_gives_up_harms_nobody(engine: LocalModel) -> None:
    impatient = asyncio.create_task(engine.call(of_length(8, 1)))
    patient = asyncio.create_task(engine.call(of_length(8, 2)))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).text in OPTIONS
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_closing_leaves_no_caller_waiting(tiny: Path) -> None:
    engine = LocalModel.load(tiny, name="tiny", threads=1)
    calls = [asyncio.create_task(engine.call(of_length(8, number))) for number in range(20)]
    await asyncio.sleep(0)
    await engine.close()
    ends = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)
    assert all(isinstance(end, ModelReply) or (isinstance(end, ModelFault) and "closed" in str(end)) for end in ends)
    assert any(isinstance(end, ModelFault) for end in ends)


async def test_a_failing_pass_reaches_every_caller_of_it(engine: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(core: Core, pieces: Sequence[Piece]) -> list[Result]:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(Core, "run", broken)
        ends = await asyncio.gather(*(engine.call(of_length(8, n)) for n in range(3)), return_exceptions=True)
        assert [str(end) for end in ends] == ["tiny failed: out of memory"] * 3
    assert (await engine.call(of_length(8))).text in OPTIONS


def test_it_is_a_model(tiny: Path) -> None:
    assert isinstance(LocalModel.load(tiny, name="tiny", threads=1), Model)


def test_equal_seeds_build_equal_weights(tiny: Path, tmp_path: Path) -> None:
    torch.manual_seed(77)  # whatever the process did before does not matter
    before = torch.random.get_rng_state()
    same, other = build(tmp_path / "same"), build(tmp_path / "other", seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert describe(same).sha256 == describe(tiny).sha256
    assert describe(other).sha256 != describe(tiny).sha256
    assert (same / "tokenizer.json").read_bytes() == (tiny / "tokenizer.json").read_bytes()
    assert describe(same).parent is None
    assert describe(same).recipe["seed"] == 1

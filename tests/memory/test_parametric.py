"""The retrieval head: what it learns and what it cannot, when it is let in, and how it is kept."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.memory.build import item, outcome
from wisen.core.errors import SettingsError
from wisen.core.records import Candidate, Found, MemoryItem, Outcome, Recall
from wisen.memory.index import searchable
from wisen.memory.parametric.files import HeadCard, HeadFault, load_head, newest, save_head
from wisen.memory.parametric.head import Head, policy
from wisen.memory.parametric.labels import CaseLabel, case_labels
from wisen.memory.parametric.proof import area, judged, look_alpha
from wisen.memory.parametric.ranker import Parametric, Unproven, proven_ranker
from wisen.memory.parametric.refit import RefitSettings, refit
from wisen.memory.parametric.softq import Decision, SoftQSettings, decisions, fit_soft_q, soft_value
from wisen.memory.parametric.training import HeadSettings, examples, fit
from wisen.memory.rankers import Parts, make_ranker

Floats = NDArray[np.float32]
SMALL = RefitSettings(every=150, head=HeadSettings(hidden=16))


@dataclass
class Space:
    """An embedder of a small made-up space, with a cue: one direction, which the query does not share."""

    vectors: Mapping[str, Floats]
    id: str = "made-up"

    async def embed(self, texts: Sequence[str]) -> Floats:
        return np.stack([self.vectors[text] for text in texts])


def unit(vector: NDArray[np.float64]) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def world(seed: int, tasks: int = 12) -> tuple[Space, dict[int, list[MemoryItem]], dict[str, bool]]:
    """By task a useful and a useless case, equally near to its query."""
    rng = np.random.default_rng(seed)
    cue, vectors = rng.normal(size=24), dict[str, Floats]()
    cases: dict[int, list[MemoryItem]] = {}
    useful: dict[str, bool] = {}
    for task in range(tasks):
        topic = rng.normal(size=24)
        topic -= cue * (topic @ cue) / (cue @ cue)
        vectors[f"task {task}"] = unit(topic)
        cases[task] = []
        for number in range(2):
            one = item(f"plan {number} of task {task}")
            vectors[searchable(one)] = unit(topic + (-0.5 if number else 0.5) * cue + 0.3 * rng.normal(size=24))
            cases[task].append(one)
            useful[one.id] = number == 0
    return Space(vectors), cases, useful


def stream(
    cases: Mapping[int, list[MemoryItem]],
    useful: Mapping[str, bool],
    number: int,
    seed: int,
    *,
    propensity: float = 0.5,
) -> tuple[list[Recall], list[Outcome]]:
    """Episodes on the first eight tasks: a useful case, if one is shown, brings 45 points."""
    rng = np.random.default_rng(seed)
    recalls, outcomes = [], []
    for place in range(number):
        task = int(rng.integers(8))
        ranked = tuple(
            Candidate(item_id=one.id, score=0, propensity=propensity, shown=bool(rng.random() < propensity))
            for one in cases[task]
        )
        helped = any(useful[one.item_id] for one in ranked if one.shown)
        recalls.append(recalled(f"episode-{place}", f"task {task}", ranked))
        outcomes.append(outcome(f"episode-{place}", bool(rng.random() < 0.3 + 0.45 * helped), template=str(task)))
    return recalls, outcomes


def recalled(episode: str, query: str, ranked: tuple[Candidate, ...], number: int = 0) -> Recall:
    return Recall(
        id=f"recall of {episode}, {number}",
        trajectory_id=episode,
        query=query,
        ranker="similarity",
        bank_version=1,
        release_id="r",
        eligible=len(ranked),
        ranked=ranked,
        number=number,
    )


def vectors_of(space: Space, cases: Mapping[int, list[MemoryItem]]) -> dict[str, Floats]:
    known = {one.id: space.vectors[searchable(one)] for group in cases.values() for one in group}
    return known | {text: vector for text, vector in space.vectors.items() if text.startswith("task")}


def unseen_auc(head: Head, vectors: Mapping[str, Floats], cases: Mapping[int, list[MemoryItem]]) -> float:
    """How often a useful case of a task that was never played has the greater Q."""
    found = []
    for task in range(8, len(cases)):
        q = head.q(vectors[f"task {task}"], np.stack([vectors[one.id] for one in cases[task]]))
        found.append(float(q[0] > q[1]))
    return float(np.mean(found))


# --- labels


def test_labels_are_the_draws_and_nothing_else() -> None:
    ranked = (
        Candidate(item_id="a", score=2, propensity=0.5, shown=True),
        Candidate(item_id="b", score=1, propensity=0.9, shown=False),
        Candidate(item_id="b2", score=1, propensity=0.9, shown=False, cluster="b"),
        Candidate(item_id="c", score=1, propensity=1.0, shown=True),
        Candidate(item_id="d", score=0, propensity=0.0),
    )
    one = recalled("e1", "q", ranked)
    off = recalled("e2", "q", ranked).model_copy(update={"arm": "off"})
    labels = case_labels([one, off, recalled("unknown", "q", ranked)], [outcome("e1", True), outcome("e2", False)])
    assert [(label.item_id, label.shown, label.success) for label in labels] == [("a", True, True), ("b", False, True)]
    assert [label.weight for label in labels] == pytest.approx([2, 10])
    assert labels[0].score == pytest.approx(2 * 0.5) and labels[1].score == pytest.approx(-10 * 0.5)
    assert not case_labels([recalled("e1", "q", ranked[3:])], [outcome("e1", True)])  # nothing was left to chance


# --- the head


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_head_learns_a_planted_cue_and_cosine_does_not_know_it(seed: int) -> None:
    space, cases, useful = world(seed)
    vectors = vectors_of(space, cases)
    recalls, outcomes = stream(cases, useful, 600, seed)
    head = fit(examples(case_labels(recalls, outcomes), vectors), SMALL.head, seed=seed)
    assert unseen_auc(head, vectors, cases) > 0.9
    near = [vectors[f"task {task}"] @ (vectors[a.id] - vectors[b.id]) for task, (a, b) in cases.items()]
    assert min(near) < 0 < max(near)
    gains = [
        head.gain(vectors[f"task {task}"][None], np.stack([vectors[one.id] for one in cases[task]]))
        for task in range(8)
    ]
    helps, idle = np.mean([gain[0] for gain in gains]), np.mean([gain[1] for gain in gains])
    assert helps > max(0.3, idle + 0.3)  # in log-odds, over showing nothing


def test_labels_shared_by_a_run_teach_nothing_of_a_case() -> None:
    """Both are shown in every run, and both get its outcome: the mean over seeds stays at chance."""
    found = []
    for seed in range(8):
        space, cases, useful = world(seed)
        vectors = vectors_of(space, cases)
        recalls, outcomes = stream(cases, useful, 300, seed, propensity=1.0)
        assert not case_labels(recalls, outcomes)
        shared = [
            CaseLabel(one.trajectory_id, one.trajectory_id, one.query, case.item_id, True, 1.0, told.success)
            for one, told in zip(recalls, outcomes, strict=True)
            for case in one.ranked
        ]
        found.append(unseen_auc(fit(examples(shared, vectors), SMALL.head, seed=seed), vectors, cases))
    assert abs(np.mean(found) - 0.5) < 0.25 and min(found) < 0.5  # no direction in common; one alone may look like one


def test_equal_seeds_make_equal_heads_whatever_torch_is_set_to() -> None:
    import torch

    space, cases, useful = world(0)
    recalls, outcomes = stream(cases, useful, 100, 0)
    data = examples(case_labels(recalls, outcomes), vectors_of(space, cases))
    before = torch.get_num_threads()
    heads = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            torch.manual_seed(threads)
            heads.append(fit(data, SMALL.head, seed=7))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all(
        np.array_equal(getattr(heads[0], part), getattr(heads[1], part)) for part in ("state_in", "case_in", "out")
    )
    assert not np.array_equal(heads[0].out, fit(data, SMALL.head, seed=8).out)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6), st.floats(0.01, 5))
def test_the_policy_is_a_softmax(values: list[float], temperature: float) -> None:
    chances = policy(np.array(values, np.float32), temperature)
    assert chances.sum() == pytest.approx(1) and (chances >= 0).all()
    assert chances[int(np.argmax(values))] == chances.max()
    with pytest.raises(ValueError, match="temperature"):
        policy(np.array(values, np.float32), 0)


# --- several decisions in one episode


def test_soft_q_learning_finds_the_values_of_a_small_world() -> None:
    """Two decisions: at the first, "good" leads to a state where "win" brings 1 and nothing 0; nothing leads to an end
    at once, with 0.3. Values by hand from the equation."""
    rng = np.random.default_rng(0)
    vectors = {name: unit(rng.normal(size=16)) for name in ("start", "there", "good", "win")}
    data = [
        Decision("a", "start", "good", 0.0, later=("there", ("win",))),
        Decision("b", "start", None, 0.3),
        Decision("c", "there", "win", 1.0),
        Decision("d", "there", None, 0.0),
    ] * 20
    wanted = SoftQSettings(hidden=32, epochs=40, syncs=6, rate=5e-3, decay=0.0, batch=16, gamma=0.9, alpha=0.5)
    head = fit_soft_q(data, vectors, wanted, seed=0)
    there = 0.5 * np.log(np.exp(1.0 / 0.5) + np.exp(0.0))
    case = lambda name: vectors[name][None]  # noqa: E731
    assert head.q(vectors["there"], case("win"))[0] == pytest.approx(1.0, abs=0.05)
    assert head.nothing(vectors["there"]) == pytest.approx(0.0, abs=0.05)
    assert head.q(vectors["start"], case("good"))[0] == pytest.approx(0.9 * there, abs=0.08)
    assert head.nothing(vectors["start"]) == pytest.approx(0.3, abs=0.05)
    assert head.kind == "value" and soft_value(np.array([900.0, 900.0], np.float32), 1.0) == pytest.approx(
        900.693, abs=0.01
    )


def test_decisions_chain_the_recalls_of_an_episode() -> None:
    drawn = lambda key, shown: Candidate(item_id=key, score=0, propensity=0.5, shown=shown)  # noqa: E731
    second = recalled("e", "later", (drawn("b", False), drawn("c", True)), number=1)
    first = recalled("e", "first", (drawn("a", True),))
    unread = recalled("e", "none", (), number=2)
    labels = case_labels([second, unread, first], [outcome("e", True)])
    assert decisions(labels) == (
        Decision("e", "first", "a", 0.0, 2.0, ("later", ("b", "c"))),
        Decision("e", "later", None, 1.0, 2.0),
        Decision("e", "later", "c", 1.0, 2.0),
    )


# --- the proof


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.sampled_from([1.0, 2.0])), min_size=2, max_size=12))
def test_the_area_counts_pairs(rows: list[tuple[int, bool, float]]) -> None:
    scores, positive, weights = (np.array(column) for column in zip(*rows, strict=True))
    if positive.all() or not positive.any():
        with pytest.raises(ValueError, match="both sides"):
            area(scores.astype(float), positive, weights)
        return
    pairs = [(a, b) for a in rows if a[1] for b in rows if not b[1]]
    mass = sum(a[2] * b[2] for a, b in pairs)
    counted = sum(a[2] * b[2] * ((a[0] > b[0]) + 0.5 * (a[0] == b[0])) for a, b in pairs) / mass
    found, parts = area(scores.astype(float), positive, weights)
    assert found == pytest.approx(counted) and parts.sum() == pytest.approx(0, abs=1e-9)


def test_the_bound_holds_about_as_often_as_it_says() -> None:
    """Two scores that know nothing, rows in correlated groups: 'proven' at 10 % in about 10 % of trials."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(300):
        speaks = np.repeat(rng.random(60) < 0.5, 4) ^ (rng.random(240) < 0.2)
        shared = np.repeat(rng.normal(size=60), 4)
        new, old = (shared * sign + rng.normal(size=240) for sign in (1, -1))
        groups = [str(place // 4) for place in range(240)]
        wrong += judged(new, old, speaks, weights=np.ones(240), groups=groups, alpha=0.1).proven
    assert 10 <= wrong <= 55  # 30 expected
    assert sum(look_alpha(0.05, look) for look in range(1, 2000)) < 0.05


# --- refit, files, ranker


async def let_in(
    folder: Path, number: int = 900
) -> tuple[HeadCard, Space, dict[int, list[MemoryItem]], dict[str, bool]]:
    space, cases, useful = world(3)
    recalls, outcomes = stream(cases, useful, number, 3)
    items = {one.id: one for group in cases.values() for one in group}
    card = await refit(recalls, outcomes, items, space, folder, bank_version=5, seed=1, settings=SMALL)
    assert card is not None
    return card, space, cases, useful


def found_for(space: Space, cases: Sequence[MemoryItem], query: str) -> list[Found]:
    near = {one.id: float(space.vectors[query] @ space.vectors[searchable(one)]) for one in cases}
    return [Found(item=one, similarity=near[one.id]) for one in cases]


async def test_cosine_ranks_until_the_head_has_beaten_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    space, cases, useful = world(3)
    assert isinstance(proven_ranker(tmp_path, space), Unproven)
    few, *_ = await let_in(tmp_path, number=170)
    assert (few.outcomes, few.bank_version) == (150, 5) and not few.proven
    unproven = proven_ranker(tmp_path, space, 5)
    found = found_for(space, cases[9], "task 9")
    order = await unproven.rank(found, query="task 9", seed=0)
    assert [one.item_id for one in order] == [
        one.item.id for one in sorted(found, key=lambda one: (-one.similarity, one.item.id))
    ]
    card, *_ = await let_in(tmp_path)
    assert card.proven and card.proof is not None and card.proof.head > 0.53 > card.proof.cosine
    assert newest(tmp_path, 5) == tmp_path / card.name and newest(tmp_path, 4) is None
    ranker = make_ranker("parametric", {}, Parts(embedder=space, folder=tmp_path, bank_version=9))
    assert isinstance(ranker, Parametric)
    first = await ranker.rank(found, query="task 9", seed=0)
    assert [useful[one.item_id] for one in first] == [True, False]
    assert not caplog.records


async def test_noise_never_lets_it_in(tmp_path: Path) -> None:
    space, cases, _ = world(4)
    items = {one.id: one for group in cases.values() for one in group}
    for seed in range(3):
        recalls, outcomes = stream(cases, dict.fromkeys(items, False), 450, seed)
        card = await refit(recalls, outcomes, items, space, tmp_path, bank_version=1, seed=seed, settings=SMALL)
        assert card is not None and not card.proven
    assert await refit([], [], items, space, tmp_path, bank_version=1, seed=0) is None


async def test_the_prefilter_and_the_policy(tmp_path: Path) -> None:
    _, space, cases, _ = await let_in(tmp_path)
    found = found_for(space, cases[9], "task 9")
    by_cosine = sorted(found, key=lambda one: (-one.similarity, one.item.id))
    narrow = await proven_ranker(tmp_path, space, prefilter=1).rank(found, query="task 9", seed=0)
    assert [one.item_id for one in narrow] == [one.item.id for one in by_cosine]
    warm = proven_ranker(tmp_path, space, temperature=5.0)
    drawn = {(await warm.rank(found, query="task 9", seed=seed, explore=True))[0].item_id for seed in range(60)}
    assert len(drawn) == 2  # anything comes first now and then
    assert await warm.rank(found, query="task 9", seed=1, explore=True) == await warm.rank(
        found[::-1], query="task 9", seed=1, explore=True
    )
    settled = [await warm.rank(found, query="task 9", seed=seed) for seed in range(3)]
    assert settled[0] == settled[1] == settled[2]
    assert sorted(one.item_id for one in settled[0]) == sorted(one.item.id for one in found)
    assert await warm.rank([], query="task 9", seed=0) == ()
    with pytest.raises(SettingsError, match="prefilter"):
        proven_ranker(tmp_path, space, prefilter=0)
    with pytest.raises(SettingsError, match="embedder"):
        make_ranker("parametric")


async def test_a_head_is_kept_to_the_byte(tmp_path: Path) -> None:
    card, space, cases, _ = await let_in(tmp_path / "one")
    again, *_ = await let_in(tmp_path / "other")
    one, other = (tmp_path / name / card.name for name in ("one", "other"))
    assert again == card and one.read_bytes() == other.read_bytes()
    head, told = load_head(one)
    assert told.model_copy(update={"sha256": ""}) == card and told.sha256
    query, vectors = space.vectors["task 1"], np.stack([space.vectors[searchable(item)] for item in cases[1]])
    assert np.array_equal(head.q(query, vectors), load_head(other)[0].q(query, vectors))
    assert save_head(tmp_path, head, told).read_bytes() == one.read_bytes()


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "not one", "another embedder"])
async def test_a_damaged_file_is_told_and_cosine_ranks(
    harm: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card, space, *_ = await let_in(tmp_path)
    path = tmp_path / card.name
    whole = path.read_bytes()
    match harm:
        case "cut":
            path.write_bytes(whole[: len(whole) // 2])
        case "flipped":
            path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 255]) + whole[-8:])
        case "empty":
            path.write_bytes(b"")
        case "not one":
            path.write_text("hello")
        case _:
            space.id = "another"
    with caplog.at_level(logging.WARNING):
        assert isinstance(proven_ranker(tmp_path, space), Unproven)
    assert str(path) in caplog.text
    if harm != "another embedder":
        with pytest.raises(HeadFault, match=r"cannot be read|is damaged") as fault:
            load_head(path)
        assert "delete it" in fault.value.hint

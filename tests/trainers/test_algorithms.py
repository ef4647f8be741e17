"""What rows each algorithm makes, against cases worked by hand."""

import math
from statistics import fmean

import pytest

from tests.support.attempted import Move, attempted
from tests.support.played import clicking, played
from wisen.core.errors import SettingsError, WisenError
from wisen.core.records import Trajectory
from wisen.models.tokens import Codec
from wisen.trainers.algorithms import algorithm_names, make_algorithm
from wisen.trainers.algorithms.gigpo import returns_to_go
from wisen.trainers.algorithms.grpo import advantages
from wisen.trainers.algorithms.kto import mismatched
from wisen.trainers.algorithms.self_imitation import weight_at
from wisen.trainers.algorithms.webrl import perplexity
from wisen.trainers.data import Dataset, DataSettings
from wisen.trainers.dataset import Row, Source


def one(number: int, *, success: bool, release: str = "rel-1", task: str = "task-0", **move: object) -> Trajectory:
    given = Move(prompt=(10, 11), sampled=(50 + number,), **move)  # type: ignore[arg-type]
    return attempted([given], success=success, task=task, release=release, number=number)


def weights(rows: list[Row]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.trajectory_id, []).extend(row.weights)
    return found


def test_group_advantages_by_hand() -> None:
    assert advantages([1, 0, 0, 1]) == [0.5, -0.5, -0.5, 0.5]
    assert advantages([1, 0, 0, 0]) == [0.75, -0.25, -0.25, -0.25]
    scaled = advantages([1, 0, 0, 0], deviation=True)  # the deviation of (1, 0, 0, 0) is sqrt(3)/4
    assert scaled == pytest.approx([math.sqrt(3), *[-1 / math.sqrt(3)] * 3], abs=1e-4)


def test_grpo_gives_each_attempt_its_advantage_and_leaves_equal_groups_out() -> None:
    long = attempted([Move((10,), (51,), seen="s"), Move((12,), (52, 53), seen="t")], success=False, number=1)
    group = [one(0, success=True), long, one(2, success=False), one(3, success=False)]
    alike = [one(number, success=True, task="easy") for number in range(2)]
    rows = make_algorithm("grpo").rows(Dataset((*alike, *group)))
    assert weights(rows) == {
        group[0].id: [0.75],
        long.id: [-0.25] * 3,  # once per attempt, on each of its tokens
        group[2].id: [-0.25],
        group[3].id: [-0.25],
    }
    with pytest.raises(WisenError, match="each was attempted once"):
        make_algorithm("grpo").rows(Dataset((one(0, success=True), one(1, success=False, task="other"))))


def test_what_was_drawn_uniformly_counts_for_the_baseline_and_carries_no_loss() -> None:
    group = (one(0, success=True, explored=True), one(1, success=False))
    for name in ("grpo", "gigpo", "webrl"):
        rows = make_algorithm(name).rows(Dataset(group))
        assert {row.trajectory_id for row in rows} == {group[1].id}
    assert weights(make_algorithm("grpo").rows(Dataset(group))) == {group[1].id: [-0.5]}


def test_only_what_the_newest_release_played_is_on_policy() -> None:
    old = (one(0, success=True, release="rel-0"), one(1, success=False, release="rel-0"))
    new = (one(0, success=False), one(1, success=True))
    assert set(weights(make_algorithm("grpo").rows(Dataset((*old, *new))))) == {each.id for each in new}


def test_returns_to_go_by_hand() -> None:
    assert returns_to_go([0, 0, 1], 0.5) == [0.25, 0.5, 1]
    assert returns_to_go([1, -0.1, 0], 1.0) == pytest.approx([0.9, -0.1, 0])


def test_gigpo_credits_the_step_among_those_that_saw_the_same() -> None:
    """Two attempts see A; one goes on to B and succeeds, the other is refused at A and fails there.

    gamma 0.5: to go from A 0.5 and then 1 at B; the other -0.1 + 0.5 * 0 = -0.1, then 0. The anchor group of A has the
    values 0.5, -0.1, 0 (mean 2/15), that of B only 1. Attempts: +0.5 and -0.5."""
    good = attempted([Move((10,), (50,), seen="A"), Move((11,), (51,), seen="B")], success=True, number=0)
    bad = attempted(
        [Move((10,), (60,), seen="A", info={"refused": True}), Move((12,), (61,), seen="A")], success=False, number=1
    )
    rows = make_algorithm("gigpo", {"gamma": 0.5}).rows(Dataset((good, bad)))
    mean = fmean([0.5, -0.1, 0])
    assert weights(rows)[good.id] == pytest.approx([0.5 + 0.5 - mean, 0.5 + 0])
    assert weights(rows)[bad.id] == pytest.approx([-0.5 - 0.1 - mean, -0.5 + 0 - mean])
    plain = make_algorithm("gigpo", {"weight": 0}).rows(Dataset((good, bad)))
    assert weights(plain) == weights(make_algorithm("grpo").rows(Dataset((good, bad))))


def test_dpo_pairs_what_is_a_gap_apart_and_trains_on_what_they_did_differently() -> None:
    start = Move((10, 11), (50,), seen="A")
    good = attempted([start, Move((12,), (51, 52), seen="B")], success=True, number=0)
    bad = attempted([start, Move((12,), (51, 53), seen="B")], success=False, number=1)
    rows = make_algorithm("dpo").rows(Dataset((good, bad, one(7, success=True, task="alone"))))
    assert [(row.trajectory_id, row.ids, row.trained, row.weights) for row in rows] == [
        (good.id, (12, 51, 52), (2,), (1.0,)),
        (bad.id, (12, 51, 53), (2,), (-1.0,)),
    ]
    assert len({row.unit for row in rows}) == 1
    several = [one(number, success=number < 2) for number in range(4)]
    rows = make_algorithm("dpo", {"per_task": 3}).rows(Dataset(tuple(several)))
    assert len({row.unit for row in rows}) == 3 and len(rows) == 6
    assert make_algorithm("dpo").rows(Dataset((good, good.model_copy(update={"id": "twin", "success": False})))) == []


def test_kto_balances_its_two_sides() -> None:
    dataset = Dataset((one(0, success=True), *(one(n, success=False) for n in (1, 2, 3))))
    rows = make_algorithm("kto", {"kl": False}).rows(dataset)
    assert weights(rows)[dataset.trajectories[0].id] == [3.0]
    assert all(weights(rows)[each.id] == [-1.0] for each in dataset.trajectories[1:])
    with_kl = make_algorithm("kto").rows(dataset)
    assert len(with_kl) == 8 and [row.weights for row in with_kl[4:]] == [(0.0,)] * 4


def test_mismatched_rows_have_one_prompt_and_the_answer_of_another() -> None:
    first = Row((1, 2, 9), (2,), ((9, 8),), "t", unit="a", weights=(1.0,))
    second = Row((3, 7, 6), (1, 2), ((), ()), "t", unit="b", weights=(-1.0, -1.0))
    one_way, other_way = mismatched([first, second])
    assert (one_way.ids, one_way.trained, one_way.unit) == ((1, 2, 7, 6), (2, 3), "a")
    assert (other_way.ids, other_way.trained, other_way.unit, other_way.allowed) == ((3, 9), (1,), "b", ((9, 8),))


def test_the_buffer_of_self_imitation_is_what_is_still_better_than_the_newest() -> None:
    early = (one(0, success=True, release="rel-0"), one(1, success=False, release="rel-0"))
    now = (one(0, success=True), one(1, success=False))
    rows = make_algorithm("self-imitation", {"rise": 1}).rows(Dataset((*early, *now)))
    replayed = [row for row in rows if row.loss == "replayed"]
    # The newest group's mean is 0.5, so the early success is worth 1 - 0.5 by now; c(1) of a rise of 1 is the peak.
    assert [(row.trajectory_id, row.weights) for row in replayed] == [(early[0].id, (0.5,))]
    solved = (one(0, success=True), one(1, success=True))
    assert make_algorithm("self-imitation", {"rise": 1}).rows(Dataset((*early, *solved))) == []
    assert [row.loss for row in make_algorithm("self-imitation").rows(Dataset(now))] == ["policy"] * 2
    assert [weight_at(t, 2, 3.0) for t in (0, 1, 2, 9)] == pytest.approx([0, 1.5, 3, 3])


def test_webrl_replays_what_the_actor_neither_knows_nor_finds_strange() -> None:
    algorithm = make_algorithm("webrl")
    early = tuple(one(n, success=True, release="rel-0", task=f"old-{n}") for n in range(3))
    now = (one(0, success=True), one(1, success=False))
    rows = algorithm.rows(Dataset((*early, *now)))
    assert [row.loss for row in rows] == ["webrl"] * 2 + ["webrl-replay"] * 2  # as many as are fresh
    known = [math.log(0.99), math.log(0.8)]
    scored = [row.weighed(1.0, row.loss, row.unit) for row in rows]
    scored = [
        Row(**{**vars(row), "reference": (value,)}) for row, value in zip(scored, [-5.0, -5.0, *known], strict=True)
    ]
    assert perplexity(scored[3]) == pytest.approx(1.25)
    assert algorithm.select(scored) == [scored[0], scored[1], scored[3]]


def test_rft_keeps_refused_steps_as_context_only_where_it_is_asked_to() -> None:
    first = Move((10,), (50,), info={"refused": True})
    second = Move((10, 50, 11), (51,))  # extends what came before
    dataset = Dataset((attempted([first, second]),), DataSettings(view="whole"))
    (row,) = make_algorithm("rft").rows(dataset)
    assert (row.ids, row.trained) == ((10, 50, 11, 51), (1, 3))
    (row,) = make_algorithm("rft", {"bad_steps": False}).rows(dataset)
    assert (row.ids, row.trained) == ((10, 50, 11, 51), (3,))


def test_rft_leaves_out_tasks_that_are_always_solved_and_caps_each() -> None:
    easy = [one(number, success=True, task="easy") for number in range(3)]
    hard = [one(number, success=number > 0, task="hard") for number in range(4)]
    found = make_algorithm("rft", {"solved": False, "per_task": 2}).rows(Dataset((*easy, *hard)))
    assert [row.task_id for row in found] == ["hard"] * 2


NAMES = ("Submit", "Cancel", "Help")


def test_agent_r_puts_the_bad_steps_into_the_history(codec: Codec) -> None:
    good = played(codec, [clicking("Submit", ["Help"]), clicking("Next", ["Back"])])
    bad = played(codec, [clicking("Help", ["Submit"]), clicking("Back", ["Next"])], success=False)
    bad = bad.model_copy(update={"id": "bad", "task": good.task})
    rows = make_algorithm("agent-r", {"good": False}).rows(Dataset((good, bad), codec=codec))
    assert len(rows) == 2 and all(row.source is Source.SPLICED and row.old == () for row in rows)
    for row, step in zip(rows, good.steps, strict=True):
        tokens = step.calls[0].reply.tokens
        assert tokens and tuple(row.ids[at] for at in row.trained) == tokens.sampled_ids
        text = codec.text('click button "Help"')
        assert any(row.ids[at : at + len(text)] == text for at in range(row.trained[0]))
    with_good = make_algorithm("agent-r").rows(Dataset((good, bad), codec=codec))
    assert len(with_good) == 4
    assert make_algorithm("agent-r", {"state": "seen"}).rows(Dataset((good, bad), codec=codec)) != []  # blank pages
    assert make_algorithm("agent-r").rows(Dataset((good,), codec=codec)) == []


def test_early_experience_learns_what_its_actions_led_to(codec: Codec) -> None:
    good = played(codec, [clicking("Submit", ["Help"])])
    after = good.steps[0].result.observation.model_copy(update={"text": 'text "Thanks"'})
    step = good.steps[0].model_copy(update={"result": good.steps[0].result.model_copy(update={"observation": after})})
    good = good.model_copy(update={"steps": (step,)})
    bad = played(codec, [clicking("Help", ["Submit"])], success=False).model_copy(
        update={"id": "bad", "task": good.task}
    )
    rows = make_algorithm("early-experience", {"reflect": 0.5}).rows(Dataset((good, bad), codec=codec))
    (seen,) = [row for row in rows if row.source is Source.OBSERVED]  # the bad one's page stayed blank
    assert tuple(seen.ids[at] for at in seen.trained) == codec.text('text "Thanks"')
    assert set(seen.weights) == {0.3} and seen.trajectory_id == good.id
    (thought,) = [row for row in rows if row.source is Source.WRITTEN]
    words = 'click button "Help" gave no change; click button "Submit" gave text "Thanks"; so click button "Submit"'
    written = (*codec.written(words), *codec.option('click button "Submit"'))
    assert tuple(thought.ids[at] for at in thought.trained) == written
    assert [row.trajectory_id for row in rows if row.source is Source.SAMPLED] == [good.id]
    with pytest.raises(SettingsError, match="no tags for spans"):
        make_algorithm("early-experience").rows(Dataset((good, bad)))


@pytest.mark.parametrize("name", ["grpo", "gigpo", "self-imitation"])
def test_ratios_to_another_prompt_are_refused(name: str) -> None:
    dataset = Dataset((one(0, success=True), one(1, success=False)), DataSettings(memory="strip"))
    with pytest.raises(SettingsError, match="another prompt"):
        make_algorithm(name).check(dataset)
    for allowed in ("rft", "dpo", "kto"):
        make_algorithm(allowed).check(dataset)


def test_unknown_names_and_options_are_told() -> None:
    with pytest.raises(SettingsError, match=r"there is no algorithm 'ppo'.*rft, dpo, kto, grpo"):
        make_algorithm("ppo")
    with pytest.raises(SettingsError, match=r"'dpo' does not take these options: bta.*it has .*beta"):
        make_algorithm("dpo", {"bta": 1})
    with pytest.raises(SettingsError, match="beta: Input should be greater than 0"):
        make_algorithm("dpo", {"beta": 0})
    assert [make_algorithm(name).name for name in algorithm_names()] == list(algorithm_names())

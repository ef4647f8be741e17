from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.support.attempts import attempt
from tests.support.played import clicking, played
from wisen.models.tokens import Codec
from wisen.trainers.dataset import Row, balanced, continuation, deduplicated, step_rows

MOVES = [clicking("Submit", ["Cancel", "Help"]), clicking("Next", ["Back"])]

tokens = st.lists(st.integers(0, 50), max_size=12).map(tuple)


@given(tokens, tokens)
def test_the_mask_is_exactly_what_was_sampled(prompt: tuple[int, ...], sampled: tuple[int, ...]) -> None:
    ids, trained, allowed = continuation(prompt, sampled, [(token, 99) for token in sampled])
    assert ids == prompt + sampled
    assert tuple(ids[position] for position in trained) == sampled
    assert set(range(len(ids))) - set(trained) == set(range(len(prompt)))
    assert allowed == tuple((token, 99) for token in sampled)


def test_without_a_constraint_everything_was_allowed() -> None:
    assert continuation([1, 2], [3, 4], [])[2] == ((), ())


def test_each_decision_is_a_row_with_the_ids_that_were_sampled(codec: Codec) -> None:
    trajectory = played(codec, MOVES)
    rows = step_rows([trajectory])
    assert len(rows) == 2
    for index, (row, (request, choice)) in enumerate(zip(rows, MOVES, strict=True)):
        sampled, allowed = codec.answer(request.options, choice)
        assert row.ids == codec.prompt(request.messages)[0] + sampled
        assert tuple(row.ids[position] for position in row.trained) == sampled
        assert row.allowed == allowed
        assert (row.trajectory_id, row.step, row.template_id) == (trajectory.id, index, "click-one")
        assert (row.request, row.choice) == (request, choice)


def test_tokens_are_taken_as_they_were_sampled_and_never_made_anew(codec: Codec) -> None:
    trajectory = played(codec, MOVES[:1])
    (step,) = trajectory.steps
    (call,) = step.calls
    assert call.reply.tokens is not None
    odd = call.reply.tokens.model_copy(update={"prompt_ids": (7, 7, 7)})  # no tokenizer gives this for that prompt
    call = call.model_copy(update={"reply": call.reply.model_copy(update={"tokens": odd})})
    changed = trajectory.model_copy(update={"steps": (step.model_copy(update={"calls": (call,)}),)})
    assert step_rows([changed])[0].ids == (7, 7, 7, *odd.sampled_ids)


def test_a_draft_that_was_replaced_is_no_decision(codec: Codec) -> None:
    trajectory = played(codec, MOVES)
    first, second = trajectory.steps
    draft = second.calls[0].model_copy(update={"id": "draft"})
    final = first.calls[0].model_copy(update={"parent_id": "draft"})
    changed = trajectory.model_copy(update={"steps": (first.model_copy(update={"calls": (draft, final)}),)})
    assert [row.ids for row in step_rows([changed])] == [step_rows([trajectory])[0].ids]


def test_only_successes_are_kept_unless_another_filter_says_otherwise(codec: Codec) -> None:
    attempts = [played(codec, MOVES[:1], success=success, number=n) for n, success in enumerate((True, False, None))]
    assert [row.trajectory_id for row in step_rows(attempts)] == [attempts[0].id]
    assert len(step_rows(attempts, keep=lambda _: True)) == 3


def test_calls_without_sampled_tokens_give_no_rows() -> None:
    assert step_rows([attempt([("a page", "", "click")], success=True)]) == []


def test_rows_that_ask_and_answer_the_same_are_one(codec: Codec) -> None:
    request, choice = MOVES[0]
    episodes = [
        played(codec, [(request, choice)], number=0),
        played(codec, [(request, choice)], number=1),
        played(codec, [(request, 0)], number=2),
        played(codec, [MOVES[1]], number=3),
    ]
    rows = deduplicated(step_rows(episodes))
    assert len(rows) == 3
    assert len({row.ids for row in rows}) == 3


def rows_of(**counts: int) -> list[Row]:
    return [Row((number, 1), (1,), ((),), template) for template, count in counts.items() for number in range(count)]


def test_no_template_drowns_the_others() -> None:
    rows = rows_of(easy=50, hard=3, other=10)
    kept = balanced(rows, 10, seed=1)
    assert Counter(row.template_id for row in kept) == {"easy": 10, "hard": 3, "other": 10}
    assert len(set(kept)) == len(kept)
    assert set(kept) <= set(rows)


def test_the_draw_of_a_template_depends_on_the_seed_and_on_no_other_template() -> None:
    def easy(seed: int, **counts: int) -> list[Row]:
        return [row for row in balanced(rows_of(**counts), 10, seed=seed) if row.template_id == "easy"]

    assert easy(1, easy=50) == easy(1, easy=50, a=30, z=30)
    assert easy(1, easy=50) != easy(2, easy=50)

import re
from dataclasses import replace

import pytest

from tests.support.played import clicking, played
from tests.support.tiny import asking
from wisen.core.records import ModelRequest, SpanKind
from wisen.models.tokens import Codec
from wisen.trainers.dataset import Row, step_rows
from wisen.trainers.renaming import labels_of, renamed

POOL = tuple(f"Gamma ray {number:03}" for number in range(999))  # large: two draws are hardly ever the same


def row_of(codec: Codec, request: ModelRequest, choice: int) -> Row:
    return step_rows([played(codec, [(request, choice)])])[0]


def span(request: ModelRequest, kind: SpanKind) -> str:
    return next(span.text for message in request.messages for span in message.spans if span.kind is kind)


def test_labels_are_the_quoted_names_of_the_options() -> None:
    request = asking('Click "Not listed".', ['click button "Go on"', 'click link "x"', 'click link "Go on"', "scroll"])
    assert labels_of(request) == ("Go on", "x")


@pytest.mark.parametrize("seed", range(12))
def test_a_name_is_replaced_everywhere_by_the_same(codec: Codec, seed: int) -> None:
    request, choice = clicking("Submit form", ["Submit", "Cancel", "R+D (new)"])
    row = renamed(row_of(codec, request, choice), codec, POOL, share=1.0, seed=seed)
    assert row is not None
    assert row.request is not None
    new = labels_of(row.request)
    assert len(new) == 4
    assert not set(new) & set(labels_of(request))
    assert row.request.options == tuple(f'click button "{name}"' for name in new)
    assert span(row.request, SpanKind.OBSERVATION).splitlines() == [f'button "{name}"' for name in new]
    assert span(row.request, SpanKind.TASK) == f'Click on the "{new[choice]}" button.'


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_choice_and_the_number_of_options_stay(codec: Codec, share: float) -> None:
    request, choice = clicking("Submit", ["Cancel", "Help", "Next"])
    original = row_of(codec, request, choice)
    found = [renamed(original, codec, POOL, share=share, seed=seed) for seed in range(20)]
    rows = [row for row in found if row is not None]
    assert len(rows) > 5
    for row in rows:
        assert row.request is not None
        assert row.choice == choice
        assert len(set(row.request.options)) == len(request.options)
        assert (row.trajectory_id, row.step, row.template_id) == (
            original.trajectory_id,
            original.step,
            original.template_id,
        )
        sampled, allowed = codec.answer(row.request.options, choice)
        assert row.ids == codec.prompt(row.request.messages)[0] + sampled
        assert tuple(row.ids[position] for position in row.trained) == sampled
        assert row.allowed == allowed


def test_advice_from_memory_is_left_as_it_was(codec: Codec) -> None:
    request, choice = clicking("Submit", ["Cancel"], memory='When asked to submit, click "Submit".')
    row = renamed(row_of(codec, request, choice), codec, POOL, share=1.0, seed=1)
    assert row is not None
    assert row.request is not None
    assert span(row.request, SpanKind.MEMORY) == 'When asked to submit, click "Submit".'
    assert "Submit" not in span(row.request, SpanKind.TASK)


def test_a_name_within_a_word_is_not_that_name(codec: Codec) -> None:
    request = asking('Click "on" the button.', ['click button "on"', 'click button "off"'], page="one soon on")
    row = renamed(row_of(codec, request, 0), codec, (), share=1.0, seed=1)
    assert row is not None
    assert row.request is not None
    (new, _) = labels_of(row.request)
    assert span(row.request, SpanKind.OBSERVATION) == f"one soon {new}"


def test_where_nothing_can_be_renamed_there_is_no_row(codec: Codec) -> None:
    request, choice = clicking("Submit", ["Cancel"])
    row = row_of(codec, request, choice)
    assert renamed(row, codec, POOL, share=0.0, seed=1) is None
    assert renamed(row_of(codec, asking("Go.", ["left", "right"]), 0), codec, POOL, share=1.0, seed=1) is None
    assert renamed(Row(row.ids, row.trained, row.allowed, "t"), codec, POOL, share=1.0, seed=1) is None


def test_options_that_would_become_one_give_no_row(codec: Codec) -> None:
    request, choice = clicking("Submit", ["Cancel", "Help", "Next"])
    row = row_of(codec, request, choice)
    found = [renamed(row, codec, ["Same"], share=1.0, seed=seed) for seed in range(40)]
    assert None in found
    for other in found:
        assert other is None or (other.request is not None and len(set(other.request.options)) == 4)


def test_options_that_would_become_one_as_tokens_give_no_row(codec: Codec) -> None:
    request, choice = clicking("Submit", ["Cancel"])
    row = row_of(codec, request, choice)
    pool = ("a b", "a  b")
    found = [renamed(row, codec, pool, share=1.0, seed=seed) for seed in range(60)]  # raises for none
    assert all(other is None or _told_apart(codec, other) for other in found)
    assert None in found


def _told_apart(codec: Codec, row: Row) -> bool:
    assert row.request is not None
    return len({codec.option(option) for option in row.request.options}) == len(row.request.options)


def test_the_draw_depends_on_the_row_and_the_seed(codec: Codec) -> None:
    request, choice = clicking("Submit", ["Cancel", "Help"])
    row = row_of(codec, request, choice)

    def options(row: Row, seed: int) -> tuple[str, ...] | None:
        other = renamed(row, codec, POOL, share=1.0, seed=seed)
        return None if other is None or other.request is None else other.request.options

    assert options(row, 1) == options(row, 1)
    assert len({options(row, seed) for seed in range(6)}) > 3
    elsewhere = replace(row, trajectory_id="traj-of-another-run", step=5)
    assert options(elsewhere, 1) == options(row, 1)
    longer = row_of(codec, request.model_copy(update={"messages": request.messages * 2}), choice)
    assert options(longer, 1) != options(row, 1)


def test_made_up_names_are_no_labels_that_were_there(codec: Codec) -> None:
    request, choice = clicking("Submit", ["Cancel"])
    for seed in range(20):
        row = renamed(row_of(codec, request, choice), codec, (), share=1.0, seed=seed)
        assert row is not None
        assert row.request is not None
        assert all(re.fullmatch(r"[A-Za-z0-9]{2,7}", name) for name in labels_of(row.request))

import random
import re
from pathlib import Path

import pytest

from wisen.core.records import SpanKind
from wisen.models.tokens import Codec
from wisen.trainers.loop import LoopSettings
from wisen.trainers.warmup import WarmupSettings, made_up_goal, made_up_page, made_up_row, made_up_stages, warm_up

SETTINGS = WarmupSettings(pages=24, questions=2, threads=1, loop=LoopSettings(batch_tokens=1024))


@pytest.mark.parametrize("seed", range(40))
def test_a_page_lists_each_name_once_and_offers_each(seed: int) -> None:
    names, lines, options = made_up_page(random.Random(seed))
    assert len(names) >= 2
    assert len(set(names)) == len(names) == len(options)
    for name, option in zip(names, options, strict=True):
        assert option.endswith(f' "{name}"')
        listed = [line for line in lines if line.endswith(f' "{name}"') and not line.startswith("text ")]
        assert len(listed) == 1
        role = listed[0].split()[0]
        assert option in (f'click {role} "{name}"', f'select combobox 1 "{name}"')


@pytest.mark.parametrize("name", ["Bofu", "x7Qp2", "Ra Ti"])
def test_a_goal_names_what_is_asked_for(name: str) -> None:
    goals = [made_up_goal(random.Random(seed), name) for seed in range(30)]
    assert all(re.search(rf"(?<!\w){name}(?!\w)", goal) for goal in goals)
    assert len(set(goals)) > 20


@pytest.mark.parametrize("seed", range(25))
def test_each_goal_of_a_row_is_answered_by_the_option_with_its_name(codec: Codec, seed: int) -> None:
    """Read a row back from its ids: the page, then goals, each with an answer that alone carries loss."""
    names, lines, options = made_up_page(random.Random(seed))
    row = made_up_row(codec, random.Random(seed), 3)  # draws the same page first
    page = codec.span(SpanKind.OBSERVATION, "\n".join(lines))
    assert row.ids[: len(page)] == page
    assert row.allowed == ((),) * len(row.trained)
    answers = {codec.option(option): name for name, option in zip(names, options, strict=True)}
    at, answered = len(page), []
    history, task_tag = codec.span(SpanKind.HISTORY, ""), codec.span(SpanKind.TASK, "")
    while at < len(row.ids):
        assert row.ids[at : at + len(history)] == history
        ask = row.ids.index(codec.act_id, at)
        goal = row.ids[at + len(history) : ask]
        assert goal[:1] == task_tag
        end = row.ids.index(codec.end_id, ask) + 1
        name = answers[row.ids[ask + 1 : end]]  # it is one of the options
        assert contains(goal, codec.text(name))
        assert set(range(ask + 1, end)) <= set(row.trained)
        assert not set(range(at, ask + 1)) & set(row.trained)
        answered.append(name)
        at = end
    assert len(answered) == len(set(answered)) == min(3, len(names))


def contains(ids: tuple[int, ...], part: tuple[int, ...]) -> bool:
    return any(ids[start : start + len(part)] == part for start in range(len(ids)))


def test_rows_follow_from_their_seed(codec: Codec) -> None:
    assert made_up_row(codec, random.Random(4), 3) == made_up_row(codec, random.Random(4), 3)
    assert len({made_up_row(codec, random.Random(seed), 3).ids for seed in range(30)}) == 30


def test_a_warmed_up_checkpoint_follows_from_its_seed(tiny: Path, tmp_path: Path) -> None:
    first = warm_up(tiny, tmp_path / "a", SETTINGS, seed=1)
    again = warm_up(tiny, tmp_path / "b", SETTINGS, seed=1)
    other = warm_up(tiny, tmp_path / "c", SETTINGS, seed=2)
    assert first.sha256 == again.sha256 != other.sha256
    assert (first.name, first.parent) == ("a", tiny.name)
    assert first.recipe["settings"] == SETTINGS.model_dump()
    assert first.recipe["seed"] == 1


def test_pages_grow_from_stage_to_stage_and_none_comes_twice(codec: Codec) -> None:
    settings = SETTINGS.model_copy(update={"pages": 200})
    stages = made_up_stages(codec, settings, seed=1)
    rows = [row for stage in stages for row in stage]
    assert abs(len(rows) - 200) <= len(stages)
    assert len({row.ids for row in rows}) == len(rows)
    longest = [max(row.tokens for row in stage) for stage in stages]
    assert longest == sorted(longest)
    assert made_up_stages(codec, settings, seed=1) == stages
    assert made_up_stages(codec, settings.model_copy(update={"pages": 0}), seed=1) == [[] for _ in stages]


@pytest.mark.parametrize("seed", range(20))
def test_a_page_is_no_larger_than_asked_for(seed: int) -> None:
    names, lines, _ = made_up_page(random.Random(seed), 3, 1)
    assert len(names) <= 3
    assert sum(line.startswith("text ") for line in lines) <= 1

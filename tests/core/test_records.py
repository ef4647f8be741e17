"""Records cross borders: they cannot change, accept nothing unknown, and survive JSON."""

from collections.abc import Callable

import pytest
from pydantic import ValidationError

import wisen.core.records as records
from wisen.core.ids import canonical, content_id, derived_seed
from wisen.core.records import Action, Episode, MemoryItem, Record, Task, ToolCall


def test_every_record_is_frozen_strict_about_fields_and_exported() -> None:
    found = [value for value in vars(records).values() if isinstance(value, type) and issubclass(value, Record)]
    assert len(found) > 30
    for record in found:
        assert record.model_config.get("frozen") and record.model_config.get("extra") == "forbid", record
        assert record.__name__ in records.__all__
    assert len(set(records.__all__)) == len(records.__all__)
    assert all(hasattr(records, name) for name in records.__all__)


def test_an_unknown_field_and_a_change_are_errors(item: Callable[..., MemoryItem]) -> None:
    one = item("a")
    with pytest.raises(ValidationError, match="frozen"):
        one.title = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        MemoryItem.model_validate({**one.model_dump(), "weight": 1})


def test_an_episode_survives_json_strictly(episode: Callable[..., Episode]) -> None:
    one = episode(1)
    assert Episode.model_validate_json(one.model_dump_json(), strict=True) == one


def test_equal_content_has_equal_ids_whatever_the_order(episode: Callable[..., Episode]) -> None:
    task = episode(1).trajectory.task
    assert canonical({"b": 1, "a": task}) == canonical({"a": task, "b": 1})
    assert content_id("t", task) == content_id("t", Task.model_validate_json(task.model_dump_json()))
    assert content_id("t", task) != content_id("t", task.model_copy(update={"seed": 2}))
    assert content_id("t", "ab", "c") != content_id("t", "a", "bc")
    assert 0 <= derived_seed("run", 1) < 2**32 and derived_seed("run", 1) != derived_seed("run", 2)


def test_half_a_character_in_an_action_is_replaced_and_can_be_written_down() -> None:
    call = ToolCall(name="say\udc00", arguments={"to": ["a\ud800b", {"\ud800": 1, "kept": "ä€😀"}]})
    action = Action(text="x\ud800", tool_call=call)
    assert Action.model_validate_json(action.model_dump_json()) == action
    assert (action.text, call.name) == ("x?", "say?")
    assert call.arguments == {"to": ["a?b", {"?": 1, "kept": "ä€😀"}]}

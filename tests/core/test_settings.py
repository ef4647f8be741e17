"""Settings: which source wins, and that nothing which is not a setting passes."""

import os
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from wisen.app.commands.evolve import as_toml
from wisen.core.errors import SettingsError
from wisen.core.records import Record
from wisen.core.settings import Settings, load, merged, nested


class Loop(Record):
    rate: float = 0.5
    steps: int = Field(3, ge=1)


class Train(Record):
    epochs: int = 2
    loop: Loop = Loop()


class Example(Settings):
    name: str = "x"
    seed: int = Field(0, ge=0)
    mode: Literal["fast", "slow"] = "fast"
    base: str | None = None
    families: list[str] = []
    options: dict[str, object] = {}
    train: Train = Train(loop=Loop(rate=0.25))


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("WISEN_"):
            monkeypatch.delenv(name)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_flags_before_environment_before_file_before_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "wisen.toml", 'name = "file"\nseed = 1\n[train]\nepochs = 5\n[train.loop]\nsteps = 7\n')
    assert load(Example) == Example.model_construct()
    loaded = load(Example, file=file)
    assert (loaded.name, loaded.seed, loaded.train.epochs, loaded.train.loop.steps) == ("file", 1, 5, 7)
    monkeypatch.setenv("WISEN_NAME", "environment")
    monkeypatch.setenv("WISEN_TRAIN__LOOP__STEPS", "8")
    loaded = load(Example, file=file)
    assert (loaded.name, loaded.seed, loaded.train.epochs, loaded.train.loop.steps) == ("environment", 1, 5, 8)
    loaded = load(Example, file=file, overrides=nested(["name=flag", "train.loop.steps=9"]))
    assert (loaded.name, loaded.seed, loaded.train.epochs, loaded.train.loop.steps) == ("flag", 1, 5, 9)


def test_what_is_loaded_is_of_the_shape_and_immutable() -> None:
    loaded = load(Example, overrides={"seed": 3})
    assert type(loaded) is Example
    with pytest.raises(ValueError, match="frozen"):
        loaded.seed = 4  # type: ignore[misc]


def test_values_of_the_environment_are_read_as_their_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WISEN_FAMILIES", '["a", "b"]')
    monkeypatch.setenv("WISEN_OPTIONS", '{"depth": 2}')
    monkeypatch.setenv("WISEN_TRAIN__LOOP__RATE", "1e-3")
    loaded = load(Example)
    assert (loaded.families, loaded.options, loaded.train.loop.rate) == (["a", "b"], {"depth": 2}, 0.001)


@pytest.mark.parametrize(
    ("assignments", "told"),
    [
        (["sead=1"], r"unknown setting sead, did you mean seed\?"),
        (["train.epoch=1"], r"unknown setting train.epoch, did you mean train.epochs\?"),
        (["train.loop.warp=1"], "unknown setting train.loop.warp"),
        (["seed=many"], "setting seed: .*integer.*'many'"),
        (["seed=-1"], "setting seed: .*greater than or equal to 0.*-1"),
        (["seed=1.5"], "setting seed: "),
        (["mode=medium"], "setting mode: .*'fast' or 'slow'"),
        (["train.loop.steps=0", "seed=x"], "seed.*steps|steps.*seed"),  # all of them are told at once
        (["train=3"], "setting train: "),
    ],
)
def test_what_is_wrong_with_a_flag_is_told(assignments: list[str], told: str) -> None:
    with pytest.raises(SettingsError, match=told) as caught:
        load(Example, overrides=nested(assignments))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sead = 1", "unknown setting sead"),
        ("[train]\nepoch = 1", "unknown setting train.epoch"),
        ('seed = "many"', "setting seed"),
        ("seed = ", "is not TOML"),
        ("[train\n", "is not TOML"),
        (b"name = '\xff'", "is not TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_name(tmp_path: Path, text: str | bytes, told: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError, match=told) as caught:
        load(Example, file=file)
    assert "mine.toml" in str(caught.value)


def test_a_file_that_is_not_there_or_cannot_be_one_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(SettingsError, match="no settings file"):
            load(Example, file=path)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("WISEN_SEAD", "1", r"unknown variable WISEN_SEAD.*WISEN_SEED"),
        ("WISEN_TRAIN__EPOCH", "1", r"unknown variable .*WISEN_TRAIN__EPOCHS"),
        ("WISEN_TRAIN_EPOCHS", "1", r"unknown variable .*WISEN_TRAIN__EPOCHS"),
        ("WISEN_SEED", "many", "setting seed"),
        ("WISEN_FAMILIES", "a, b", "families"),
        ("WISEN_TRAIN", "{", "train"),
    ],
)
def test_what_is_wrong_with_a_variable_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=told):
        load(Example)


def test_the_variable_that_names_the_browser_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WISEN_CHROMIUM", "/usr/bin/chromium")
    assert load(Example) == Example.model_construct()


def test_assignments_are_toml_where_they_can_be_and_text_otherwise() -> None:
    assert nested(["a=1", "b.c=0.5", "b.d=true", 'e=["x", "y"]', "f=openai/gpt", 'g="q"', "h=", "i=a=b"]) == {
        "a": 1,
        "b": {"c": 0.5, "d": True},
        "e": ["x", "y"],
        "f": "openai/gpt",
        "g": "q",
        "h": "",
        "i": "a=b",
    }
    assert nested(["a=1", "a=2"]) == {"a": 2}
    for wrong in (["a"], ["=1"], [" =1"], ["a=1", "a.b=2"]):
        with pytest.raises(SettingsError):
            nested(wrong)


def test_merged_goes_down_and_the_later_wins_without_touching_its_parts() -> None:
    below, above = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}, "e": {"f": 1}}
    assert merged(below, above) == {"a": {"b": 9, "c": 2}, "d": 3, "e": {"f": 1}}
    assert (below, above) == ({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}, "e": {"f": 1}})
    assert merged({"a": {"b": 1}}, {"a": 2}) == {"a": 2}
    assert merged({"a": 2}, {"a": {"b": 1}}) == {"a": {"b": 1}}
    assert merged() == {}


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("toml") / "settings.toml"


strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    name=strings,
    families=st.lists(strings, max_size=3),
    options=st.dictionaries(strings, st.one_of(strings, st.integers(-9, 9), st.booleans()), max_size=3),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    seed=st.integers(0, 2**40),
)
def test_printed_settings_read_back_as_the_same(
    printed: Path,
    name: str,
    families: list[str],
    options: dict[str, object],
    rate: float,
    seed: int,
) -> None:
    made = Example(name=name, families=families, options=options, seed=seed, train=Train(loop=Loop(rate=rate)))
    printed.write_text(as_toml(made.model_dump(mode="json")), encoding="utf-8")
    assert load(Example, file=printed) == made

"""A model that can be held to a JSON schema is: what is asked for comes in form, whoever writes it."""

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from tests.support.talker import build_talker
from tests.support.tiny import build
from wisen.agent import judge
from wisen.core.errors import SettingsError
from wisen.core.protocols import Capability
from wisen.core.records import Message, ModelRequest, Purpose, Record, Role, Span, SpanKind, ToolSpec
from wisen.memory import distillers, selection
from wisen.memory.structured import MalformedReply, ask, parse, schema_of
from wisen.models.constraint import JsonText, compile_shape
from wisen.models.local import LocalModel
from wisen.models.scripted import ScriptedModel


class _Move(BaseModel):
    kind: Literal["move"]
    steps: Annotated[int, Field(ge=1, le=9)]


class _Stop(BaseModel):
    kind: Literal["stop"]
    sure: bool = True


class _Plan(BaseModel):
    parts: Annotated[list[Annotated[_Move | _Stop, Field(discriminator="kind")]], Field(min_length=1, max_length=2)]


def asking(**fields: object) -> ModelRequest:
    said = Message(role=Role.USER, spans=(Span(kind=SpanKind.TASK, text="Plan."),))
    return ModelRequest(**{"purpose": Purpose.JUDGE, "messages": (said,), "max_tokens": 120, **fields})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tiny") / "weights")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_talker(tmp_path_factory.mktemp("talker") / "weights")


def shapes() -> dict[str, type[BaseModel]]:
    """Every shape that the product asks a model for."""
    modules = [judge, selection]
    names = [one.name for one in pkgutil.iter_modules(distillers.__path__)]
    modules += [importlib.import_module(f"{distillers.__name__}.{name}") for name in names]
    return {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == module.__name__
        if not issubclass(value, Record)
    }


async def test_whoever_writes_keeps_to_the_form(folder: Path) -> None:
    """A model that says nonsense says it in form; without being held to it, it does not."""
    model = LocalModel.load(folder, name="talker", threads=1)
    try:
        assert Capability.SCHEMA in model.capabilities
        plans = {str(await ask(model, asking(seed=seed, temperature=1.5), _Plan)) for seed in range(4)}
        assert len(plans) > 1
        with pytest.raises(ValueError, match="Expecting value"):
            parse(_Plan, (await model.call(asking(seed=1, temperature=1.5))).text)
        held = await model.call(asking(seed=1, reply_schema=schema_of(_Plan)))
        assert held.tokens is None and parse(_Plan, held.text)
        for fields in ({"tools": (ToolSpec(name="x", description=""),)}, {"options": ("a", "b")}):
            with pytest.raises(SettingsError, match="under a schema"):
                await model.call(asking(reply_schema=schema_of(_Plan), **fields))
    finally:
        await model.close()


async def test_a_backbone_without_json_and_a_model_without_schemas_are_asked_in_words(tiny_weights: Path) -> None:
    sprout_like = LocalModel.load(tiny_weights, name="tiny", threads=1)
    try:
        assert Capability.SCHEMA not in sprout_like.capabilities
        with pytest.raises(SettingsError, match="writes no JSON"):
            await sprout_like.call(asking(seed=1, reply_schema={"type": "object"}))
    finally:
        await sprout_like.close()
    script = ScriptedModel(['{"parts": []}', "no"])
    with pytest.raises(MalformedReply):
        await ask(script, asking(), _Plan)
    assert [request.reply_schema for request in script.requests] == [None, None]


def test_every_shape_can_be_enforced_and_admits_no_unknown_field(folder: Path) -> None:
    model = LocalModel.load(folder, name="talker", threads=1)
    found = shapes()
    assert len(found) > 5
    for name, shape in (found | {"ours": _Plan}).items():
        schema = schema_of(shape)
        compile_shape(JsonText(schema_=schema), model.engine.loaded.tokenizer, model.vocabulary)
        assert "additionalProperties" in json.dumps(schema), name

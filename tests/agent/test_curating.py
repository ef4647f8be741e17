"""A foreign application whose distiller rewrites what it wrote: real store, index and embedder, scripted model."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from wisen.agent.experience import Experience, Lesson
from wisen.core.errors import ModelFault
from wisen.core.records import ModelRequest
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.memory.bank import Bank
from wisen.memory.curation import entries
from wisen.memory.distillers.ace import ACE
from wisen.models.embedder import MiniLM
from wisen.models.scripted import ScriptedModel


class Writer:
    """Tags all as helpful, and adds a bullet for each attempt; while it is down it answers nothing."""

    def __init__(self) -> None:
        self.down = False
        self.model = ScriptedModel(self._answer)

    def _answer(self, request: ModelRequest) -> str | Exception:
        if self.down:
            return ModelFault("down")
        shown = request.messages[1].text
        if "BULLETS" in shown:
            told = re.findall(r"^(\d+)\. ", shown.partition("\n\n")[0], flags=re.MULTILINE)
            tags = [{"number": int(one), "tag": "helpful"} for one in told]
            return json.dumps({"cause": "It was locked.", "lesson": "Unlock it.", "tags": tags})
        order = re.findall(r"Refund order (\d+)", shown)[-1]
        bullet = {"when_to_use": "An order is to be refunded.", "content": f"Unlock it first: lesson {order}."}
        return json.dumps({"operations": [{"do": "ADD", "kind": "strategy", **bullet}]})


async def did(experience: Experience, order: str) -> Lesson:
    job = await experience.recall(f"Refund order {order}.", job_id=order)
    return await experience.learn(job, [("unlock", "done"), ("refund", "done")], outcome=True)


def listed(root: Path) -> dict[str, dict[str, int]]:
    with Store.open(Workspace(root).store_url) as store:
        found = entries("ace", "desk", Bank(store).snapshot(), store.events(), {})
    return {entry.item.content: dict(entry.counts) for entry in found}


async def test_each_job_is_read_once_also_after_the_model_failed(tmp_path: Path) -> None:
    writer, embedder = Writer(), MiniLM()

    def opened() -> Any:
        return Experience(tmp_path, name="desk", embedder=embedder, distiller=ACE(writer.model))

    async with opened() as experience:
        first = await did(experience, "17")
        job = await experience.recall("Refund order 20.", job_id="20")
        assert "Unlock it first: lesson 17." in job.advice and first.items == job.recall.shown
        second = await experience.learn(job, [("refund", "done")], outcome=True)
        asked = len(writer.model.requests)
        assert asked == 4  # a reflection and a curation for each
        assert await experience.learn(job, [("refund", "done")]) == second and len(writer.model.requests) == asked
        writer.down = True
        with pytest.raises(ModelFault, match="down"):
            await did(experience, "30")
    assert listed(tmp_path) == {"Unlock it first: lesson 17.": {"helpful": 1}, "Unlock it first: lesson 20.": {}}
    writer.down = False
    async with opened() as experience:
        last, *_ = await asyncio.gather(did(experience, "40"), did(experience, "41"))
    found = listed(tmp_path)
    assert {word.split()[-1] for word in found} == {"17.", "20.", "30.", "40.", "41."}  # 30 was caught up with
    assert len(last.items) == 1 and len(found) == 5

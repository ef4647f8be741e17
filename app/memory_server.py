"""The memory as an MCP server: an agent of any make lists, searches, reads and recalls items, and proposes new ones.

A client is a stranger. It sees items that are in use, and of others no more than their status; what it proposes has the
lowest trust class and waits for a person. The process that serves owns the workspace, and with it the index.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from wisen.app.memory_tools import INSTRUCTIONS, NAME, TOOLS
from wisen.core.errors import WisenError
from wisen.core.ids import content_id
from wisen.core.protocols import Embedder
from wisen.core.records import (
    Author,
    EpisodeRequest,
    ItemKind,
    ItemStatus,
    MemoryItem,
    MemoryMode,
    Observation,
    Phase,
    Release,
    Scope,
    Split,
    Task,
    Trust,
)
from wisen.core.workspace import Workspace
from wisen.memory.bank import RECALLABLE, Bank, Snapshot, make_item
from wisen.memory.index import ChromaIndex
from wisen.memory.recall import RecallSettings, recall

ACTOR = "mcp"


class ServedMemory:
    """A workspace's bank and index behind tools, while it is open. Raises `StoreError` at once where another process
    owns the workspace."""

    def __init__(self, root: Path, *, embedder: Embedder | None = None, settings: RecallSettings | None = None) -> None:
        from wisen.agent.keeper import Keeper
        from wisen.models.embedder import MiniLM

        self._workspace = Workspace(root)
        self._settings = settings or RecallSettings(k=3, recording_floor=0.2)
        self._keeper = Keeper(self._workspace, run_id=content_id("app", ACTOR), name=ACTOR)
        self._index = ChromaIndex.of(self._workspace, embedder or MiniLM())
        self._indexed = -1
        self._stack = AsyncExitStack()
        self._tools: Mapping[str, Callable[..., Awaitable[Any]]] = {
            "list": self.list_items,
            "search": self.search,
            "get": self.get,
            "recall": self.recall,
            "propose": self.propose,
        }

    async def __aenter__(self) -> Self:
        try:
            self._stack.enter_context(self._workspace.lock())
            self._stack.push_async_callback(self._index.close)
            await self._keeper.open()
            self._stack.push_async_callback(self._keeper.close)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def server(self) -> Any:
        """An `mcp.server.Server` over these tools. Answers are JSON."""
        from wisen.environments.tool.serve import make_server

        async def call(name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
            try:
                return json.dumps(await self._tools[name](**arguments), ensure_ascii=False), False
            except WisenError as error:
                return str(error), True

        return make_server(NAME, TOOLS, call, instructions=INSTRUCTIONS)

    async def list_items(self, *, kind: str = "", offset: int = 0, limit: int = 50) -> dict[str, Any]:
        snapshot = await self._keeper.snapshot(None)
        items = [item for item in snapshot.recallable if kind in ("", item.kind)]
        found = [_short(snapshot, item) for item in items[offset : offset + limit]]
        return {"items": found, "total": len(items), "bank_version": snapshot.version}

    async def search(self, *, query: str, limit: int = 10) -> dict[str, Any]:
        snapshot = await self._present()
        near = await self._index.query(query, [item.id for item in snapshot.recallable], limit)
        found = [_whole(snapshot, snapshot.items[key]) | {"similarity": score} for key, score in near]
        return {"items": found, "bank_version": snapshot.version}

    async def get(self, *, id: str) -> dict[str, Any]:
        from wisen.app.explained import effects
        from wisen.app.lineage import sources

        snapshot = await self._keeper.snapshot(None)
        if id not in snapshot.items:
            raise WisenError(f"the memory holds no item {id!r}", "`list` names them")
        item, status = snapshot.items[id], snapshot.statuses[id]
        if status not in RECALLABLE:
            return {"id": id, "status": status.value, "note": "its text is not served: it is not in use"}
        came = await self._keeper.ask(lambda store: sources(store, item))
        measured = await self._keeper.ask(lambda store: effects(store, snapshot, id))
        return _whole(snapshot, item) | {
            "scope": item.scope.model_dump(mode="json"),
            "trust": item.trust.value,
            "author": item.author.model_dump(mode="json"),
            "evidence": len(item.evidence),
            "sources": [source.as_json() for source in came],
            "measured": [effect.as_json() for effect in measured],
        }

    async def recall(
        self, *, task: str, suite: str = "", environment: str = "", actions: tuple[str, ...] = (), k: int = 0
    ) -> dict[str, Any]:
        """Nothing is held out and nothing is stored: how the task goes is not known here."""
        snapshot = await self._present()
        trajectory_id = content_id("traj", ACTOR, uuid4().hex)
        request = EpisodeRequest(
            trajectory_id=trajectory_id,
            run_id=content_id("app", ACTOR),
            task=Task(
                id=f"{ACTOR}/{trajectory_id}",
                suite=suite,
                environment=environment,
                template_id=ACTOR,
                split=Split.LEARN,
                seed=0,
                instruction=task,
            ),
            phase=Phase.COLLECT,
            release=Release(id=ACTOR, name=ACTOR, model=ACTOR, bank_version=snapshot.version, harness=ACTOR),
            memory=MemoryMode.FROZEN,
        )
        settings = self._settings.model_copy(update={"k": k or self._settings.k})
        seen = Observation(instruction=task, text="", actions=tuple(actions))
        found = await recall(request, seen, snapshot, self._index, settings=settings)
        record = found.recall
        scores = {one.item_id: (rank, one) for rank, one in enumerate(record.ranked, start=1)}
        told = []
        for item in found.items:
            rank, one = scores[item.id]
            told.append(_whole(snapshot, item) | {"rank": rank, "score": one.score, "propensity": one.propensity})
        return {
            "items": told,
            "ranker": record.ranker,
            "eligible": record.eligible,
            "left_out": record.info.get("excluded", {}),
            "bank_version": record.bank_version,
        }

    async def propose(
        self,
        *,
        content: str,
        title: str = "",
        when_to_use: str = "",
        when_not: str = "",
        kind: str = ItemKind.STRATEGY.value,
        suite: str = "",
        environment: str = "",
        actions: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        item = make_item(
            kind=ItemKind(kind),
            title=title or content[:60],
            when_to_use=when_to_use,
            when_not=when_not,
            content=content,
            scope=Scope(suite=suite, environment=environment, actions=tuple(actions)),
            author=Author(distiller=ACTOR),
            evidence=(),
            source_tasks=(),
            outcome_source="",
            trust=Trust.ENVIRONMENT,
        )

        def offer(bank: Bank) -> tuple[str, ItemStatus]:
            before = bank.snapshot()
            after = bank.snapshot(bank.propose([item], actor=ACTOR, hold=True))
            new = [key for key in after.items if key not in before.items]
            key = new[0] if new else item.id  # the guard may have redacted it, which gives it another id
            return key, after.statuses[key]

        key, status = await self._keeper.change(offer)
        notes = {
            ItemStatus.CANDIDATE: "it waits for a person's approval",
            ItemStatus.QUARANTINED: "the guard holds it; a person may look at it",
        }
        return {"id": key, "status": status.value, "note": notes.get(status, "it was there already")}

    async def _present(self) -> Snapshot:
        snapshot = await self._keeper.snapshot(None)
        if snapshot.version != self._indexed:
            await self._index.ensure(snapshot.items.values())
            self._indexed = snapshot.version
        return snapshot


def _short(snapshot: Snapshot, item: MemoryItem) -> dict[str, Any]:
    return {
        "id": item.id,
        "status": snapshot.statuses[item.id].value,
        "kind": item.kind.value,
        "title": item.title,
        "when_to_use": item.when_to_use,
    }


def _whole(snapshot: Snapshot, item: MemoryItem) -> dict[str, Any]:
    return _short(snapshot, item) | {"when_not": item.when_not, "content": item.content}

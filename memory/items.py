"""Memory items: how one is made, and when two are the same."""

import unicodedata
from collections.abc import Iterable

from wisen.core.ids import content_id
from wisen.core.records import Author, ItemKind, Kept, MemoryItem, Scope, Trust

RECORDERS = frozenset({"cases", "extractive", "raw", "workflows"})  # distillers that quote instead of writing


def normalised(text: str) -> str:
    """The text with its Unicode forms unified (NFKC) and every run of white space made one space."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def item_id(kind: ItemKind, scope: Scope, when_to_use: str, content: str, kept: Kept | None = None) -> str:
    """Items of one kind and scope that say the same have one id, whoever wrote them and under whatever title. Only what
    an application keeps under names of its own is told apart by those."""
    named = () if kept is None else (kept,)
    return content_id("mem", kind, _sorted(scope), normalised(when_to_use), normalised(content), *named)


def identified(item: MemoryItem) -> MemoryItem:
    """The item under the id that its content has."""
    return item.model_copy(update={"id": item_id(item.kind, item.scope, item.when_to_use, item.content, item.kept)})


def make_item(
    *,
    kind: ItemKind,
    title: str,
    when_to_use: str,
    content: str,
    author: Author,
    evidence: Iterable[str],
    source_tasks: Iterable[str],
    when_not: str = "",
    scope: Scope | None = None,
    outcome_source: str = "environment",
    trust: Trust = Trust.ENVIRONMENT,
    parent_id: str | None = None,
    kept: Kept | None = None,
    success: bool | None = None,
    needs_tasks: int = 1,
) -> MemoryItem:
    """An item with its id computed; evidence (trajectory ids) and source tasks lose doubles and keep their order."""
    scope = _sorted(scope or Scope())
    return MemoryItem(
        id=item_id(kind, scope, when_to_use, content, kept),
        kind=kind,
        title=title,
        when_to_use=when_to_use,
        content=content,
        when_not=when_not,
        scope=scope,
        evidence=union(evidence),
        source_tasks=union(source_tasks),
        outcome_source=outcome_source,
        author=author,
        trust=trust,
        parent_id=parent_id,
        kept=kept,
        success=success,
        needs_tasks=needs_tasks,
    )


def is_recording(item: MemoryItem) -> bool:
    """Whether it tells what was done at one task, in that task's own words, rather than a lesson in words of its
    own."""
    return item.author.distiller in RECORDERS


def union(*parts: Iterable[str]) -> tuple[str, ...]:
    """All strings of the parts, each once, in order of first appearance."""
    return tuple(dict.fromkeys(text for part in parts for text in part))


def joined(
    item: MemoryItem, evidence: Iterable[str], source_tasks: Iterable[str], trust: Trust | None = None
) -> MemoryItem:
    """The item with more evidence. `trust` is the class of what brought it: it can lower the item's, never raise it."""
    return item.model_copy(
        update={
            "evidence": union(item.evidence, evidence),
            "source_tasks": union(item.source_tasks, source_tasks),
            "trust": item.trust if trust is None else Trust.least([item.trust, trust]),
        }
    )


def _sorted(scope: Scope) -> Scope:
    return scope.model_copy(update={"actions": tuple(sorted(set(scope.actions)))})

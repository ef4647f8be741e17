"""Memory items: how one is made, and when two are the same."""

import unicodedata
from collections.abc import Iterable

from wisen.core.ids import content_id
from wisen.core.records import Author, ItemKind, MemoryItem, Scope, Trust

RECORDERS = frozenset({"extractive"})  # distillers that quote instead of writing


def normalised(text: str) -> str:
    """The text with its Unicode forms unified (NFKC) and every run of white space made one space."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def item_id(kind: ItemKind, scope: Scope, when_to_use: str, content: str) -> str:
    """Items of one kind and scope that say the same have one id, whoever wrote them and under whatever title."""
    return content_id("mem", kind, _sorted(scope), normalised(when_to_use), normalised(content))


def identified(item: MemoryItem) -> MemoryItem:
    """The item under the id that its content has."""
    return item.model_copy(update={"id": item_id(item.kind, item.scope, item.when_to_use, item.content)})


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
) -> MemoryItem:
    """An item with its id computed; evidence (trajectory ids) and source tasks lose doubles and keep their order."""
    scope = _sorted(scope or Scope())
    return MemoryItem(
        id=item_id(kind, scope, when_to_use, content),
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
    )


def is_recording(item: MemoryItem) -> bool:
    """Whether it tells what was done at one task, in that task's own words, rather than a lesson in words of its
    own."""
    return item.author.distiller in RECORDERS


def union(*parts: Iterable[str]) -> tuple[str, ...]:
    """All strings of the parts, each once, in order of first appearance."""
    return tuple(dict.fromkeys(text for part in parts for text in part))


def joined(item: MemoryItem, evidence: Iterable[str], source_tasks: Iterable[str]) -> MemoryItem:
    """The item with more evidence."""
    return item.model_copy(
        update={
            "evidence": union(item.evidence, evidence),
            "source_tasks": union(item.source_tasks, source_tasks),
        }
    )


def _sorted(scope: Scope) -> Scope:
    return scope.model_copy(update={"actions": tuple(sorted(set(scope.actions)))})

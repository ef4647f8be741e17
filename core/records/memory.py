"""What was learned: items, their life, and each use of them."""

from enum import StrEnum

from wisen.core.records.base import JSON, Record


class ItemKind(StrEnum):
    STRATEGY = "strategy"
    WARNING = "warning"
    WORKFLOW = "workflow"
    SKILL = "skill"
    FACT = "fact"
    CASE = "case"


class ItemStatus(StrEnum):
    CANDIDATE = "candidate"
    PROBATION = "probation"
    ACTIVE = "active"
    RETIRED = "retired"
    QUARANTINED = "quarantined"


class Trust(StrEnum):
    """Where a text came from, least trusted first. What is made of several has the least trusted source's class."""

    ENVIRONMENT = "environment"
    MODEL = "model"
    PERSON = "person"


class Scope(Record):
    """Where an item applies. Empty means anywhere; `actions` are the verbs or tools that its advice needs."""

    suite: str = ""
    environment: str = ""
    actions: tuple[str, ...] = ()


class Author(Record):
    distiller: str
    model: str = ""
    prompt_version: str = ""


class MemoryItem(Record):
    """A piece of advice with its evidence. Content is versioned (`parent_id` is the version it was made from); its
    statistics are folds over recalls and verdicts and are stored nowhere."""

    id: str
    kind: ItemKind
    title: str
    when_to_use: str
    content: str
    when_not: str = ""
    scope: Scope = Scope()
    evidence: tuple[str, ...] = ()  # trajectory ids
    source_tasks: tuple[str, ...] = ()  # task ids of the evidence: the leakage guard reads them
    outcome_source: str = "environment"
    author: Author = Author(distiller="person")
    trust: Trust = Trust.ENVIRONMENT
    parent_id: str | None = None

    @property
    def text(self) -> str:
        """What is embedded and searched: the situation, then the advice."""
        return f"{self.title}. {self.when_to_use} {self.content}".strip()


class EventKind(StrEnum):
    PROPOSED = "proposed"  # a new item enters
    EVIDENCE = "evidence"  # another trajectory supports an item that is there
    STATUS = "status"
    RESTORED = "restored"  # the bank is set back to what it was at an earlier version


class LedgerEvent(Record):
    """One change of the bank. A bank version is the `seq` of its last event; version 0 is the empty bank."""

    seq: int
    kind: EventKind
    item_id: str = ""
    item: MemoryItem | None = None
    status: ItemStatus | None = None
    evidence: tuple[str, ...] = ()
    source_tasks: tuple[str, ...] = ()
    to_version: int | None = None
    actor: str = "wisen"
    reason: str = ""
    figures: JSON = {}  # what a decision by measurement rests on


class Candidate(Record):
    """An item that recall considered: its score under the ranker, and the draw that showed it or held it out. Items of
    one cluster share the draw."""

    item_id: str
    score: float
    propensity: float = 1.0  # probability with which it was to be shown
    shown: bool = False
    cluster: str = ""  # the oldest of its near-duplicates, itself if that is it; empty where it has none


class Recall(Record):
    """One retrieval in an episode. `eligible` counts what passed scope and leakage guard; `ranked` are the best of
    them. Only the first `k` compete for a place; a held-out item's place stays empty."""

    id: str
    trajectory_id: str
    query: str
    ranker: str
    bank_version: int
    release_id: str
    eligible: int
    ranked: tuple[Candidate, ...]
    arm: str = "on"  # "on", or "off" when the whole episode ran without memory
    arm_propensity: float = 1.0
    info: JSON = {}

    @property
    def shown(self) -> tuple[str, ...]:
        return tuple(candidate.item_id for candidate in self.ranked if candidate.shown)

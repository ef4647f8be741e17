"""What was learned: items, their life, and each use of them."""

from collections.abc import Iterable
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

    @classmethod
    def least(cls, classes: Iterable["Trust"]) -> "Trust":
        """The class of what is made of all of these. Of nothing, it is the lowest."""
        order = list(cls)
        return min(classes, key=order.index, default=order[0])


class Scope(Record):
    """Where an item applies. Empty means anywhere; `actions` are the verbs or tools that its advice needs."""

    suite: str = ""
    environment: str = ""
    actions: tuple[str, ...] = ()


class Author(Record):
    distiller: str
    model: str = ""
    prompt_version: str = ""


class Kept(Record):
    """How another application keeps an item in its own terms: where (a namespace and a key of LangGraph's store) and as
    which value. `text` is what search reads instead of the whole item: the fields that the application named, or
    nothing at all."""

    namespace: tuple[str, ...]
    key: str
    value: JSON
    text: str | None = None


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
    success: bool | None = None  # how the attempt went that it tells of; None where it tells of none
    needs_tasks: int = 1  # source tasks without which it is not recalled: a habit of one task is none
    kept: Kept | None = None

    @property
    def text(self) -> str:
        """What is embedded and searched: the situation, then the advice."""
        if self.kept is not None and self.kept.text is not None:
            return self.kept.text
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
    trust: Trust | None = None  # of the source that brought the evidence, where it lowers the item's class
    to_version: int | None = None
    actor: str = "wisen"
    reason: str = ""
    figures: JSON = {}  # what a decision by measurement rests on


class Standing(Record):
    """What is known of an item's worth where a bank version begins, for ranking only. value: under the value function
    in use, higher is better. shown, wins: runs in which it was shown, and those of them that succeeded."""

    value: float = 0.0
    shown: int = 0
    wins: int = 0


class Found(Record):
    """An item that may be recalled, as a ranker sees it. similarity: cosine to the query. lexical: the share of the
    query's information that the item's words match (BM25), from 0 to 1; 0 where words were not searched."""

    item: MemoryItem
    similarity: float
    lexical: float = 0.0
    standing: Standing = Standing()


class Moment(StrEnum):
    """When an episode asks its memory."""

    START = "start"  # before the first action
    TOOL = "tool"  # whenever the agent calls for it
    STUCK = "stuck"  # after actions of one kind that failed again and again
    WEAK = "weak"  # when the first draft of an action looks weak


class Occasion(Record):
    """What a recall within an episode is for. number: 0 for the episode's first recall. query: instead of the
    instruction. past: items that had a place in an earlier recall of the episode: each is drawn once."""

    moment: Moment = Moment.START
    step: int = 0
    number: int = 0
    query: str = ""
    past: tuple[str, ...] = ()


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
    moment: Moment = Moment.START
    step: int = 0  # the index of the step before which it was made
    number: int = 0  # among the recalls of its episode
    info: JSON = {}

    @property
    def shown(self) -> tuple[str, ...]:
        return tuple(candidate.item_id for candidate in self.ranked if candidate.shown)

"""How an episode asks its memory: the table `recall` of the settings."""

from typing import Any, Literal

from pydantic import Field

from wisen.core.records import MemoryItem, Moment, Record
from wisen.memory.items import is_recording

WORDS = "hybrid"  # the ranker that cannot do without a search by words


class RecallSettings(Record):
    """k: places for items. candidates: how many nearest items the ranker sees. floor: least cosine similarity to be
    one; recording_floor: that of a recording, whose words are those of its own task, so that a lesser likeness means
    another task. max_tokens: budget for all shown items together (about four characters a token). In collection an
    episode has memory with probability `arm_propensity`; then each of the first k is shown with probability
    `propensity`, or `active_propensity` once its worth is decided. near_duplicates: cosine from which items of one kind
    and scope are drawn as one; None: each is drawn on its own.

    ranker: who puts them in order, with `ranker_options`. value: what an item's worth is, for rankers that ask; see
    `memory.standing`. fused: candidates are also searched by their words (BM25), for any ranker; "hybrid" always does.
    lexical_floor: from this share of the query's information on, an item that its words found needs no cosine.

    leakage: what evaluation holds back beside items of the same task. "template": also those that stem from a task of
    the same template.

    max_ms: a recall that takes longer answers with nothing, and says so. Off by default, because what it drops depends
    on the machine's speed: with it, equal seeds need not give equal runs.

    when: the moment of recall. "start": before the first action. "tool": when the agent calls a tool for it. "stuck":
    after `patience` actions of one kind in a row that changed nothing. "weak": when the probabilities of the best two
    actions of a draft lie closer together than `margin`. Within an episode memory is asked at most `most` times; k and
    max_tokens hold for each time.
    """

    k: int = Field(1, ge=1)
    candidates: int = Field(20, ge=1)
    floor: float = Field(0.2, ge=-1, le=1)
    recording_floor: float = Field(0.5, ge=-1, le=1)
    max_tokens: int = Field(400, ge=1)
    arm_propensity: float = Field(0.8, gt=0, le=1)
    propensity: float = Field(0.5, gt=0, le=1)
    active_propensity: float = Field(0.9, gt=0, le=1)
    near_duplicates: float | None = Field(None, gt=0, le=1)
    ranker: str = "similarity"
    ranker_options: dict[str, Any] = {}
    value: str = "pooled"
    fused: bool = False
    lexical_floor: float = Field(0.3, gt=0, le=1)
    leakage: Literal["task", "template"] = "task"
    max_ms: float | None = Field(None, gt=0)
    when: Moment = Moment.START
    most: int = Field(3, ge=1)
    patience: int = Field(2, ge=1)
    margin: float = Field(0.2, gt=0, le=1)

    @property
    def by_words(self) -> bool:
        """Whether candidates are also searched by their words."""
        return self.fused or self.ranker == WORDS

    def passes(self, item: MemoryItem, similarity: float, lexical: float = 0.0) -> bool:
        """Whether an item is like enough to the query to be a candidate."""
        if is_recording(item):
            return similarity >= self.recording_floor
        return similarity >= self.floor or lexical >= self.lexical_floor

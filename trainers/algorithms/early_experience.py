"""Early experience: learning from what one's own actions led to, without a reward (Zhang et al. 2025,
arXiv 2510.08558)."""

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from wisen.trainers.algorithms.base import Algorithm, drawn
from wisen.trainers.data import Dataset
from wisen.trainers.dataset import Row, Source, deduplicated
from wisen.trainers.views import next_states, reflections


class EarlyExperience(Algorithm):
    """Imitation of successes, and beside it, each by its weight: world modelling, -log p(s' | s, a) on what the
    environment answered; self-reflection, a rationale that compares what came of several actions in one state, and then
    the action of the success. A weight of 0 leaves a part out.

    The actions are those that attempts really took, drawn uniformly ones among them: `collect.explore` and
    `collect.attempts` make alternatives. world_rows: transitions of one task at most. longest: tokens of an answer.
    This is the one algorithm whose loss is on tokens that the policy did not sample; such rows say so (`source`).
    """

    name: ClassVar[str] = "early-experience"
    lacking: ClassVar[str] = "nothing was collected that kept its tokens"

    rate: float = Field(1.0, gt=0)
    epochs: int = Field(10, ge=1)
    world: float = Field(0.3, ge=0)
    reflect: float = Field(0.0, ge=0)
    world_rows: int = Field(8, ge=1)
    longest: int = Field(64, ge=1)

    def rows(self, dataset: Dataset) -> list[Row]:
        codec = dataset.require_codec(self.name)
        rows: list[Row] = []
        for task, attempts in dataset.attempts.items():
            made = [(one, dataset.rows(one)) for one in attempts]
            rows += [row for one, own in made if one.success for row in own]
            if self.world:
                seen = [row for one, own in made for row in next_states(one, own, codec, longest=self.longest)]
                rows += _weighed(drawn(deduplicated(seen), self.world_rows, dataset.seed, "world", task), self.world)
            if self.reflect:
                rows += _weighed(reflections(made, codec), self.reflect)
        rows = deduplicated(rows)
        # What one learns of the world is no extension of what one did: rows of the two kinds are shaped apart.
        sampled = [row for row in rows if row.source is Source.SAMPLED]
        return [*dataset.shaped(sampled), *(row for row in rows if row.source is not Source.SAMPLED)]


def _weighed(rows: list[Row], weight: float) -> list[Row]:
    return [replace(row, weights=(weight,) * len(row.trained)) for row in rows]

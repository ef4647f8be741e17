"""What the randomised hold-out says of each case, case by case.

The outcome of a run, given to every case that was recalled in it, cannot tell a useful case from a useless one that is
always recalled with it. Here each case had a draw of its own: it was shown with probability p, or its place stayed
empty. So there are two kinds of label for one head:

    shown     (state, case)    success, weight 1 / p
    held out  (state, nothing) success, weight 1 / (1 - p)

Inverse-propensity weighting makes each stand for those that the draw sent the other way. The alternative, the score of
`memory.credit` as a target of regression, is no probability, cannot be learned by cross-entropy, and at p = 0.5 has
four times the variance of the outcome. What it would teach is here too: Q(state, case) - Q(state, nothing).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wisen.core.records import Outcome, Recall
from wisen.memory.credit import baselines, score


@dataclass(frozen=True)
class CaseLabel:
    """A case had a place in the `number`th recall of an episode, and a draw decided. `query` is the state. What belongs
    together has one `episode` where errors are estimated, and one `task_id` where data are held out."""

    episode: str
    task_id: str
    query: str
    item_id: str
    shown: bool
    propensity: float
    success: bool
    baseline: float = 0.5
    number: int = 0

    @property
    def weight(self) -> float:
        """Inverse of the probability with which the draw came out as it did."""
        return 1 / (self.propensity if self.shown else 1 - self.propensity)

    @property
    def score(self) -> float:
        """An unbiased estimate of what showing the case adds here; see `memory.credit`."""
        return score(self.shown, self.propensity, self.success, self.baseline)


def case_labels(recalls: Iterable[Recall], outcomes: Sequence[Outcome]) -> tuple[CaseLabel, ...]:
    """All labels, in collection order. outcomes: of all episodes in that order, each trajectory once.

    Left out is what was not randomised: episodes without memory, places with propensity 1, cases without a place. Of
    near-duplicates that shared a draw the best ranked stands for all.
    """
    expected = baselines(outcomes)
    place = {outcome.trajectory_id: number for number, outcome in enumerate(outcomes)}
    counted = {recall.id: recall for recall in recalls if recall.arm == "on" and recall.trajectory_id in place}
    found = []
    for recall in sorted(counted.values(), key=lambda one: (place[one.trajectory_id], one.number, one.id)):
        outcome = outcomes[place[recall.trajectory_id]]
        units: set[str] = set()
        for candidate in recall.ranked:
            unit = candidate.cluster or candidate.item_id
            if 0 < candidate.propensity < 1 and unit not in units:
                units.add(unit)
                found.append(
                    CaseLabel(
                        episode=recall.trajectory_id,
                        task_id=outcome.task_id,
                        query=recall.query,
                        item_id=candidate.item_id,
                        shown=candidate.shown,
                        propensity=candidate.propensity,
                        success=outcome.success,
                        baseline=expected[recall.trajectory_id],
                        number=recall.number,
                    )
                )
    return tuple(found)

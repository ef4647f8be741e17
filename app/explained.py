"""Why a recall showed what it showed: scores, ranks, probabilities, draws, outcomes, and measured effects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wisen.app.credits import accounts, data, measured, points
from wisen.app.lineage import sources
from wisen.core.records import Candidate, ItemCredit, Outcome, Recall
from wisen.core.store import Store
from wisen.memory.bank import Snapshot

MOST_RECALLS = 10


@dataclass(frozen=True)
class Effect:
    """One account in which an item takes part, by itself or together with near-duplicates."""

    weights: str
    credit: ItemCredit
    together: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {"weights": self.weights, "together": list(self.together), **data(self.credit)}

    def __str__(self) -> str:
        shared = f", as one with {', '.join(self.together)}" if self.together else ""
        return f"with {self.weights or 'unknown weights'}{shared}: {measured(self.credit)}"


@dataclass(frozen=True)
class Answer:
    """The same for a person and for a script."""

    lines: tuple[str, ...]
    data: dict[str, Any]


def effects(store: Store, snapshot: Snapshot, key: str) -> list[Effect]:
    return [
        Effect(weights, one, tuple(other for other in (one.item.id, *one.others) if other != key))
        for weights, credits in accounts(store, snapshot)
        for one in credits
        if key == one.item.id or key in one.others
    ]


def of_item(store: Store, snapshot: Snapshot, key: str) -> Answer:
    """Where it comes from, when it was considered, and what its effect was measured to be."""
    item = snapshot.items[key]
    came = sources(store, item)
    met = [(recall, place) for recall in store.recalls() if (place := _place(recall, key)) is not None]
    outcomes = store.outcomes([recall.trajectory_id for recall, _ in met])
    drawn = [(recall, one) for recall, (_, one) in met if recall.arm == "on" and one.propensity > 0]
    shown = [recall for recall, one in drawn if one.shown]
    held = [recall for recall, one in drawn if not one.shown]
    found = effects(store, snapshot, key)
    lines = [
        f"{key}  {item.title}  ({snapshot.statuses[key]})",
        f"it was taught by {len(item.evidence)} episodes, written by {item.author.distiller}, trust: {item.trust}",
        *(f"  {source}" for source in came),
        f"it was considered in {len(met)} episodes: shown in {len(shown)} ({_solved(shown, outcomes)}), "
        f"held out in {len(held)} ({_solved(held, outcomes)}), "
        f"without a place or without memory in {len(met) - len(drawn)}",
        *(f"  {_told(recall, *place, outcomes)}" for recall, place in met[-MOST_RECALLS:]),
        "its measured effect on success:",
        *(f"  {effect}" for effect in found),
        *([] if found else ["  no randomised appearance yet"]),
    ]
    answer = {
        "id": key,
        "status": snapshot.statuses[key].value,
        "sources": [source.as_json() for source in came],
        "recalls": [_data(recall, *place, outcomes) for recall, place in met],
        "measured": [effect.as_json() for effect in found],
    }
    return Answer(tuple(lines), answer)


def of_episode(store: Store, recalls: Sequence[Recall], snapshot: Snapshot) -> Answer:
    """Each candidate's score, rank and draw, and what is known of it."""
    known = {one.item.id: one for _, credits in accounts(store, snapshot) for one in credits}  # the newest account's
    outcomes = store.outcomes([recall.trajectory_id for recall in recalls])
    lines: list[str] = []
    answer = []
    for recall in recalls:
        excluded = recall.info.get("excluded", {})
        dropped = ", ".join(f"{count} by {stage}" for stage, count in excluded.items() if count)
        outcome = outcomes.get(recall.trajectory_id)
        ended = "" if outcome is None else f" and {'succeeded' if outcome.success else 'failed'}"
        lines += [
            f"episode {recall.trajectory_id} asked for: {recall.query}{ended}",
            f"bank version {recall.bank_version}, ranker {recall.ranker}, {recall.eligible} items eligible"
            + (f"; dropped: {dropped}" if dropped else ""),
        ]
        if recall.arm != "on":
            lines.append(f"the whole episode ran without memory (it had it with probability {recall.arm_propensity:g})")
        entries = []
        for rank, one in enumerate(recall.ranked, start=1):
            title = snapshot.items[one.item_id].title if one.item_id in snapshot.items else "no longer in the bank"
            lines.append(f"  {rank}. {one.item_id}  score {one.score:.3f}, {_draw(one)}  {title}")
            credit = known.get(one.cluster or one.item_id)
            if one.propensity > 0 and credit is not None:
                lines.append(f"     {measured(credit)}")
            entries.append(
                {"rank": rank, **one.model_dump(mode="json"), "measured": None if credit is None else data(credit)}
            )
        answer.append(recall.model_dump(mode="json", exclude={"ranked"}) | {"ranked": entries})
    return Answer(tuple(lines), {"recalls": answer})


def _place(recall: Recall, key: str) -> tuple[int, Candidate] | None:
    return next(((rank, one) for rank, one in enumerate(recall.ranked, start=1) if one.item_id == key), None)


def _told(recall: Recall, rank: int, one: Candidate, outcomes: dict[str, Outcome]) -> str:
    outcome = outcomes.get(recall.trajectory_id)
    ended = "" if outcome is None else f": {'succeeded' if outcome.success else 'failed'}"
    draw = _draw(one) if recall.arm == "on" else "the episode ran without memory"
    return f"{recall.trajectory_id}  rank {rank}, score {one.score:.3f} by {recall.ranker}, {draw}{ended}"


def _data(recall: Recall, rank: int, one: Candidate, outcomes: dict[str, Outcome]) -> dict[str, Any]:
    outcome = outcomes.get(recall.trajectory_id)
    return {
        "episode": recall.trajectory_id,
        "ranker": recall.ranker,
        "bank_version": recall.bank_version,
        "arm": recall.arm,
        "rank": rank,
        **one.model_dump(mode="json"),
        "success": None if outcome is None else outcome.success,
    }


def _solved(recalls: Sequence[Recall], outcomes: dict[str, Outcome]) -> str:
    ended = [outcomes[one.trajectory_id].success for one in recalls if one.trajectory_id in outcomes]
    return f"{points(sum(ended) / len(ended)).lstrip('+')} % of them succeeded" if ended else "none ended"


def _draw(one: Candidate) -> str:
    if one.propensity == 0:
        return "no place left"
    return f"{'shown' if one.shown else 'held out'} (to be shown with probability {one.propensity:g})"

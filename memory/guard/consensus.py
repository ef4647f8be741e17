"""Consensus: does an item advise what related items advise?

After A-MemGuard (Wei et al. 2025, arXiv 2510.02373): what several memories of one situation lead to is held against
each other, and one that leads elsewhere is set aside. There a language model writes what each memory leads to; here it
is read off the item's own steps, and a model may write it instead (`review`). The decisions are the same, and pure.

Two items agree where the kinds of steps that they share weigh enough against all that either takes; a step weighs the
more, the fewer items take it. What a step is given is not compared. Each task that taught an item is one vote, up to
`most_votes` of one item. Two decisions follow:

- `corroborated`: enough of an item's neighbours agree with it, it adds little to what these do, and it leaves out
  little of what nearly all of these do. Where there is corroborated advice for a query, advice that nobody corroborates
  is not shown with it (`held_back`), unless its situation is by far the nearest: then it is the first of its kind.
- `departure`: in its very situation most agree with each other and hardly any with the item, which is then an outlier
  to be set aside. Where fewer than `quorum` others have a say, or no majority of them agrees, nothing is said: a
  newcomer without neighbours is no outlier.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from pydantic import Field

from wisen.core.records import Record
from wisen.memory.guard.steps import Reading

Weights = Mapping[str, float]


class ConsensusSettings(Record):
    """For both: neighbours: so many items at most have a say, the nearest. alike: least weighted share of common steps
    of two items that agree. support: share of the neighbours' votes that must agree with an item, and alone: most
    weight of what none of these does, as a share of all that the item does.

    corroboration: near: least cosine of two situations (`when_to_use`) to be neighbours. least: so many votes must
    agree: a single other item may be a forger's too. usual: what more than this share of the agreeing votes does is
    usual, and left_out: most weight of the usual that an item leaves out, as a share of all that it does. lead: how
    much nearer to the query an item's situation must be than that of any corroborated one, to be shown without
    corroboration.

    Outliers: related: least cosine of two situations to be the same, and margin: how much farther they may be from each
    other than from their nearest (see `situations`). quorum: votes that the others must have. majority: more than this
    share of them must agree with each other."""

    neighbours: int = Field(12, ge=2)
    alike: float = Field(0.4, gt=0, le=1)
    support: float = Field(0.15, gt=0, lt=1)
    alone: float = Field(0.3, gt=0, le=1)
    near: float = Field(0.15, ge=-1, le=1)
    least: int = Field(2, ge=1)
    usual: float = Field(0.75, gt=0, lt=1)
    left_out: float = Field(0.2, gt=0, le=1)
    lead: float = Field(0.8, ge=0, le=2)
    related: float = Field(0.4, ge=-1, le=1)
    margin: float = Field(0.2, ge=0, le=2)
    quorum: int = Field(3, ge=2)
    majority: float = Field(0.5, gt=0, lt=1)
    most_votes: int = Field(5, ge=1)


class Departure(Record):
    """How an item departs from the majority in its situation. `common`: the steps that most of these take, in their
    order. Of them it leaves out `missing`; `foreign`: its own steps that none of these takes."""

    item_id: str
    common: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    others: tuple[str, ...] = ()  # ids of the majority

    @property
    def reason(self) -> str:
        said = [
            f"leaves out {listed(self.missing)}" if self.missing else "",
            f"takes {listed(self.foreign)}, which none of them does" if self.foreign else "",
        ]
        told = " and ".join(one for one in said if one) or "takes another course"
        return f"against {len(self.others)} related items that agree it {told}"


def weights_of(readings: Iterable[Reading]) -> dict[str, float]:
    """By kind of step, how much it tells one course from another: the less, the more items take it."""
    taken = [{step.what for step in one.steps} for one in readings]
    counts: dict[str, int] = {}
    for steps in taken:
        for what in steps:
            counts[what] = counts.get(what, 0) + 1
    return {what: math.log(1 + (len(taken) - count + 0.5) / (count + 0.5)) for what, count in counts.items()}


def agreement(one: Reading, other: Reading, weights: Weights) -> float:
    """From 0 to 1: the weight of the kinds of steps that both take over that of all that either takes. Of forms that
    cannot be compared, 0."""
    if one.acts != other.acts:
        return 0.0
    mine, others = _steps(one), _steps(other)
    total = _weight(mine | others, weights)
    if total <= 0:
        return 1.0 if mine == others else 0.0
    return _weight(mine & others, weights) / total


def departure(
    reading: Reading, others: Iterable[Reading], weights: Weights, settings: ConsensusSettings
) -> Departure | None:
    """How the item departs from related ones, None where it does not, or where they cannot tell. `others` may hold the
    item itself, and readings of the other form: neither has a say."""
    others = [one for one in others if one.acts == reading.acts and one.item_id != reading.item_id and one.steps]
    others.sort(key=lambda one: one.item_id)  # so that the order in which they come decides no tie
    votes = {one.item_id: _votes(one, settings) for one in others}
    total = sum(votes.values())
    if not reading.steps or total < settings.quorum or total <= _votes(reading, settings):
        return None

    enough, friends = _support(reading, others, weights, settings)
    beyond, own = _beyond(reading, friends), _steps(reading)
    if enough and (len(beyond) < 2 or _weight(beyond, weights) <= settings.alone * _weight(own, weights)):
        return None  # a single step of its own may be a find
    groups = [_friends(one, others, weights, settings) for one in others]
    majority = max(groups, key=lambda group: (sum(votes[one.item_id] for one in group), [one.item_id for one in group]))
    agreeing = sum(votes[one.item_id] for one in majority)
    if agreeing < settings.quorum or agreeing <= settings.majority * total:
        return None
    common = _shared(majority, 0.5, settings)
    return Departure(
        item_id=reading.item_id,
        common=tuple(sorted(common, key=lambda what: (_place(what, majority), what))),
        missing=tuple(sorted(common - own)),
        foreign=tuple(sorted(_beyond(reading, majority))),
        others=tuple(sorted(one.item_id for one in majority)),
    )


def corroborated(reading: Reading, others: Sequence[Reading], weights: Weights, settings: ConsensusSettings) -> bool:
    """Whether enough of the others' votes agree with the item, and both what it does beyond these and what it leaves
    out of the usual weigh little."""
    enough, friends = _support(reading, others, weights, settings)
    if not enough or sum(_votes(one, settings) for one in friends) < settings.least:
        return False
    beyond = _beyond(reading, friends)
    left_out = _shared(friends, settings.usual, settings) - _steps(reading)
    most = _weight(_steps(reading), weights)
    return _weight(beyond, weights) <= settings.alone * most and _weight(left_out, weights) <= settings.left_out * most


def _support(
    reading: Reading, others: Sequence[Reading], weights: Weights, settings: ConsensusSettings
) -> tuple[bool, list[Reading]]:
    """Whether enough agree, and who."""
    total = sum(_votes(one, settings) for one in others if one.acts == reading.acts)
    friends = _friends(reading, others, weights, settings)
    return bool(friends) and sum(_votes(one, settings) for one in friends) >= settings.support * total, friends


def _beyond(reading: Reading, friends: Iterable[Reading]) -> set[str]:
    """The steps that none of these takes."""
    return _steps(reading) - {step for one in friends for step in _steps(one)}


def _shared(among: Sequence[Reading], share: float, settings: ConsensusSettings) -> set[str]:
    """The steps that more than this share of their votes takes."""
    votes = {one.item_id: _votes(one, settings) for one in among}
    total = sum(votes.values())
    return {
        what
        for what in {step for one in among for step in _steps(one)}
        if sum(votes[one.item_id] for one in among if what in _steps(one)) > share * total
    }


def _weight(steps: Iterable[str], weights: Weights) -> float:
    return math.fsum(weights.get(what, 0.0) for what in steps)  # exact, so that the order of a set plays no part


def _friends(
    reading: Reading, others: Sequence[Reading], weights: Weights, settings: ConsensusSettings
) -> list[Reading]:
    return [one for one in others if agreement(reading, one, weights) >= settings.alike]


def departs_alike(reading: Reading, known: Departure) -> bool:
    """Whether an item departs in every way in which another one did."""
    own = _steps(reading)
    told = bool(known.missing or known.foreign)
    return told and not own.intersection(known.missing) and own.issuperset(known.foreign)


def admitted(
    new: Sequence[Reading],
    present: Sequence[Reading],
    related: Mapping[str, Sequence[str]],
    settings: ConsensusSettings,
    *,
    immune: Collection[str] = (),
) -> tuple[Departure, ...]:
    """Newcomers that depart, in their order, each judged by what was there and what came before it; and present items
    that depart once a newcomer is in. Who departs has no say from then on. `immune` are never judged. related: by item
    id, the ids of the items in its situation, nearest first."""
    found: list[Departure] = []
    inside = {one.item_id: one for one in present}
    weights = weights_of([*present, *new])

    def judge(one: Reading) -> bool:
        near = [inside[key] for key in related.get(one.item_id, ()) if key in inside and key != one.item_id]
        departs = None if one.item_id in immune else departure(one, near[: settings.neighbours], weights, settings)
        if departs is not None:
            found.append(departs)
            inside.pop(one.item_id, None)
        return departs is None

    for one in new:
        if judge(one):
            inside[one.item_id] = one
            for key in related.get(one.item_id, ()):
                if key in inside and key != one.item_id:
                    judge(inside[key])
    return tuple(found)


def held_back(nearness: Mapping[str, float], sure: Collection[str], settings: ConsensusSettings) -> set[str]:
    """Of what one query recalls, the items that are not to be shown. nearness: by item id, the cosine of its situation
    and the query. sure: the corroborated ones."""
    best = max((cosine for key, cosine in nearness.items() if key in sure), default=None)
    if best is None:
        return set()
    return {key for key, cosine in nearness.items() if key not in sure and cosine <= best + settings.lead}


def listed(names: Iterable[str], most: int = 4) -> str:
    found = list(dict.fromkeys(names))
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")


def _votes(reading: Reading, settings: ConsensusSettings) -> int:
    return min(max(1, len(set(reading.sources))), settings.most_votes)


def _steps(reading: Reading) -> set[str]:
    return {step.what for step in reading.steps}


def _place(what: str, among: Sequence[Reading]) -> float:
    """Where in their course they take a step, on average, from 0 to 1."""
    places = [
        next(place for place, step in enumerate(one.steps) if step.what == what) / len(one.steps)
        for one in among
        if what in _steps(one)
    ]
    return sum(places) / len(places)

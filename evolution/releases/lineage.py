"""Where releases come from: a tree by parent, and beside each why it was made and what decided about it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from wisen.core.records import GateDecision, Record, Release, ReleaseEvent, ReleaseEventKind
from wisen.core.store import Store

How = Literal["gate", "hand", "first", "none"]
BY_HAND = "promoted by hand: no gate decided"


class Link(Record):
    """One release of a line. made: why it was made. how: what let it in; "first" where
    there was nothing to compare it with, "none" where nothing has. decided: in words.
    gate: the decision's id, where a gate decided."""

    name: str
    parent: str | None = None
    weights: str
    bank_version: int
    made: str = ""
    how: How = "none"
    decided: str = ""
    gate: str | None = None


@dataclass(frozen=True)
class Node:
    """A release in the tree, with those that were made from it. served: it was the present one at some time."""

    link: Link
    present: bool
    served: bool
    decision: GateDecision | None
    children: tuple["Node", ...]


def tree_of(store: Store) -> tuple[Node, ...]:
    """The releases that have no parent here, each with its descendants, in the order in which they were made."""
    present = store.current_release()
    return grown(store.releases(), store.release_events(), store.gates(), present.id if present else "")


def grown(
    releases: Sequence[Release], events: Sequence[ReleaseEvent], gates: Sequence[GateDecision], present: str
) -> tuple[Node, ...]:
    """`present`: the id of the release that is served."""
    links = links_of(releases, events)
    known = {release.id for release in releases}
    decisions = {decision.id: decision for decision in gates}

    def node(release: Release) -> Node:
        link = links[release.id]
        return Node(
            link=link,
            present=release.id == present,
            served=any(event.release_id == release.id and takes_effect(event) for event in events),
            decision=decisions.get(link.gate or ""),
            children=tuple(node(one) for one in releases if one.parent_id == release.id),
        )

    return tuple(node(one) for one in releases if one.parent_id not in known)


def links_of(releases: Sequence[Release], events: Sequence[ReleaseEvent]) -> dict[str, Link]:
    """By id. What decided is the last gate, or a person where no gate ever let it in."""
    names = {release.id: release.name for release in releases}
    found: dict[str, Link] = {}
    for release in releases:
        mine = [event for event in events if event.release_id == release.id]
        made = next((event.reason for event in mine if event.kind is ReleaseEventKind.CREATED), "")
        how, event = _decided(mine)
        found[release.id] = Link(
            name=release.name,
            parent=names.get(release.parent_id or ""),
            weights=release.model,
            bank_version=release.bank_version,
            made=made,
            how=how,
            decided=event.reason if event else "",
            gate=event.gate_id if event else None,
        )
    return found


def _decided(mine: Sequence[ReleaseEvent]) -> tuple[How, ReleaseEvent | None]:
    promoted = [event for event in mine if event.kind is ReleaseEventKind.PROMOTED]
    by_gate = [event for event in promoted if event.gate_id]
    if by_gate:
        return "gate", by_gate[-1]
    if promoted:
        by_hand = [event for event in promoted if event.reason.startswith(BY_HAND)]
        return ("hand", by_hand[-1]) if by_hand else ("first", promoted[-1])
    rejected = [event for event in mine if event.kind is ReleaseEventKind.REJECTED]
    return "none", rejected[-1] if rejected else None


def line_of(store: Store, release: Release) -> tuple[Link, ...]:
    """From the first release to this one."""
    releases = store.releases()
    links, by_id = links_of(releases, store.release_events()), {one.id: one for one in releases}
    line: list[Link] = []
    here: Release | None = release
    while here is not None and links[here.id] not in line:
        line.insert(0, links[here.id])
        here = by_id.get(here.parent_id or "")
    return tuple(line)


def takes_effect(event: ReleaseEvent) -> bool:
    """Whether the event made its release the present one."""
    return event.kind in (ReleaseEventKind.PROMOTED, ReleaseEventKind.ROLLED_BACK)

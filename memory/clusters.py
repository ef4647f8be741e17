"""Near-duplicates: items that say the same in other words. They are drawn and credited as one, because of two
redundant items shown together each looks useless."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wisen.core.protocols import Embedder
from wisen.core.records import ItemKind, MemoryItem, Scope
from wisen.memory.bank import Snapshot
from wisen.memory.index import searchable

NEAR = 0.90  # least cosine


def clusters(items: Sequence[MemoryItem], vectors: NDArray[np.floating], near: float = NEAR) -> dict[str, str]:
    """By item id, the id of its cluster's oldest item; an item on its own has its own id.

    items: oldest first. vectors: [n, d], unit vectors of what is searched of the items. An item joins the oldest item
    of its kind and scope that leads a cluster and is at least `near`; so a cluster never grows into a chain, and a
    newcomer changes no cluster's id.
    """
    leaders: dict[tuple[ItemKind, Scope], list[int]] = {}
    found: dict[str, str] = {}
    for place, item in enumerate(items):
        rivals = leaders.setdefault((item.kind, item.scope), [])
        cosines = np.round(vectors[rivals].astype(np.float64) @ vectors[place].astype(np.float64), 6)
        joined = np.flatnonzero(cosines >= near)
        if len(joined):
            found[item.id] = items[rivals[int(joined[0])]].id
        else:
            rivals.append(place)
            found[item.id] = item.id
    return found


async def clusters_of(snapshot: Snapshot, embedder: Embedder, near: float = NEAR) -> dict[str, str]:
    """The clusters of what can be recalled from a bank version; retired items are in none."""
    able = {item.id for item in snapshot.recallable}
    items = [item for key, item in snapshot.items.items() if key in able]
    return clusters(items, await embedder.embed([searchable(item) for item in items]), near) if items else {}

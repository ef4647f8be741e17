"""What each item is worth to a ranker, where a bank version begins. For ranking only: status is never decided by it.

A version's standings are a fold over what was collected from the versions before it. So they are as frozen as the
version: the release that recalls from it ranks the same whenever it is played.
"""

from collections.abc import Iterable, Mapping, Sequence

from wisen.core.errors import SettingsError
from wisen.core.records import ItemCredit, MemoryItem, Outcome, Recall, Standing
from wisen.memory.credit import Appearance, Restarts, appearances, credit
from wisen.memory.pooling import shrunken
from wisen.memory.values import VALUE_FUNCTIONS, value_function

POOLED = "pooled"  # measured lift, drawn towards that of its kind, distiller and author as far as evidence is thin


def check_value(name: str) -> None:
    """Raises `SettingsError` for a value that there is not."""
    if name != POOLED and name not in VALUE_FUNCTIONS:
        raise SettingsError(f"there is no value {name!r} of an item", f"one of {', '.join((POOLED, *VALUE_FUNCTIONS))}")


def standings(
    recalls: Iterable[Recall],
    outcomes: Sequence[Outcome],
    items: Mapping[str, MemoryItem],
    *,
    value: str,
    before: int,
    begun: Restarts | None = None,
) -> dict[str, Standing]:
    """By unit (see `memory.credit.appearances`), also of those without evidence. Counted are recalls from bank versions
    before `before`, whatever weights they were made with: evidence on earlier weights is a first guess on the next.

    outcomes: of all episodes, in collection order. begun: where accounts begin anew, for the value "pooled".
    """
    check_value(value)
    counted = tuple(recall for recall in recalls if recall.bank_version < before)
    accounts = appearances(counted, outcomes)
    if value == POOLED:
        known = {one.item.id: one for one in credit(counted, outcomes, items, begun=begun)}
        worth = shrunken([known.get(key) or _unseen(item) for key, item in items.items()])
    else:
        method = value_function(value)
        worth = {key: method.value(accounts.get(key, ())) for key in items}
    return {key: _standing(worth[key], accounts.get(key, ())) for key in items}


def _standing(value: float, account: Sequence[Appearance]) -> Standing:
    shown = [one.success for one in account if one.shown]
    return Standing(value=value, shown=len(shown), wins=sum(shown))


def _unseen(item: MemoryItem) -> ItemCredit:
    return ItemCredit(item=item, lift=None, shown=0, held_out=0, success_shown=None, success_held_out=None)
